import Foundation
import Imaging
import Testing

@Suite("Echo dataset folders")
struct EchoDatasetFolderTests {
  private static func folder(_ body: (String) throws -> Void) throws {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("echo-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    try body(path)
  }

  private static func write(_ text: String, _ path: String) throws {
    try text.write(toFile: path, atomically: true, encoding: .utf8)
  }

  @Test("a CAMUS patient: clip, masks and information")
  func camus() throws {
    try Self.folder { root in
      let patient = root + "/patient0007"
      try FileManager.default.createDirectory(
        atPath: patient, withIntermediateDirectories: true)
      try FileManager.default.createDirectory(
        atPath: root + "/other", withIntermediateDirectories: true)
      let geometry = Geometry(
        size: GridSize(x: 4, y: 5, z: 3), spacing: SIMD3(0.3, 0.2, 1))
      let image = Volume(voxels: (0..<60).map(Float.init), geometry: geometry)
      let masks = Volume(voxels: (0..<60).map { Float($0 % 4) }, geometry: geometry)
      let folder = try #require(CAMUSFolder.patients(in: root).first)
      #expect(CAMUSFolder.patients(in: root).map(\.patient) == ["patient0007"])
      try NIfTI.write(image, to: folder.clipPath(.fourChamber))
      try NIfTI.write(masks, to: folder.maskPath(.fourChamber))
      try Self.write("ED: 1\nES: 18\nEF: 56.5\nAge: 42\n", patient + "/Info_4CH.cfg")
      let clip = try folder.clip(.fourChamber)
      #expect(clip.image.voxels == image.voxels)
      #expect(clip.masks.voxels == masks.voxels)
      #expect(try folder.information(.fourChamber)["EF"] == "56.5")
      #expect(throws: ImagingError.self) { try folder.clip(.twoChamber) }
      let other = Volume(
        voxels: [Float](repeating: 0, count: 40),
        geometry: Geometry(size: GridSize(x: 4, y: 5, z: 2), spacing: SIMD3(0.3, 0.2, 1)))
      try NIfTI.write(
        other, to: folder.maskPath(.fourChamber), options: NIfTIWriteOptions(overwrite: true))
      #expect(throws: ImagingError.self) { try folder.clip(.fourChamber) }
    }
  }

  @Test("frames are evenly spaced with halves to even")
  func frames() {
    #expect(CAMUSFolder.sampledFrames(of: 10) == Array(0..<10))
    #expect(CAMUSFolder.sampledFrames(of: 19) == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18])
    #expect(CAMUSFolder.sampledFrames(of: 6, wanted: 3) == [0, 2, 5])
    #expect(CAMUSFolder.sampledFrames(of: 4, wanted: 3) == [0, 2, 3])
    #expect(CAMUSFolder.sampledFrames(of: 2, wanted: 4) == [0, 0, 1, 1])
    #expect(CAMUSFolder.sampledFrames(of: 1) == [Int](repeating: 0, count: 10))
  }

  private static let tracings = """
    FileName,X1,Y1,X2,Y2,Frame
    0XA.avi,5,0,5,8,46
    0XA.avi,2,2,7.4,2,46
    0XA.avi,2,5,7,5,46
    0XA.avi,4,7,5,7,46
    0XA.avi,5,1,5,6,61
    0XA.avi,4,3,6,3,61
    0XA.avi,4,5,6,5,61

    """
  private static let list = """
    FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split
    0XA,78.5,14.9,69.2,112,112,50,70,VAL
    0XB,50,10,20,112,112,50,30,TRAIN

    """

  @Test("EchoNet's tables: outlines, phases and frames")
  func echoNet() throws {
    try Self.folder { root in
      try Self.write(Self.tracings, root + "/VolumeTracings.csv")
      try Self.write(Self.list, root + "/FileList.csv")
      let index = try EchoNetIndex(folder: root)
      #expect(index.videos.map(\.name) == ["0XA", "0XB"])
      let video = index.videos[0]
      #expect(video.split == "VAL" && video.ejectionFraction == 78.5)
      #expect(video.phases?.endDiastole == 46 && video.phases?.endSystole == 61)
      #expect(video.sampledFrames(4) == [46, 51, 56, 61])
      #expect(index.videos[1].phases == nil && index.videos[1].sampledFrames() == nil)
      let mask = try #require(video.tracings[61]).mask(height: 8, width: 8)
      // The rectangle from (4, 3) to (6, 5), its border included.
      let expected = (0..<64).map { (4...6).contains($0 % 8) && (3...5).contains($0 / 8) }
      #expect(mask == expected)
      let corners = try #require(video.tracings[46]).polygon.map { [$0.x, $0.y] }
      #expect(corners == [[2, 2], [2, 5], [4, 7], [5, 7], [7, 5], [7, 2]])
    }
  }

  @Test("tables with missing columns, short lines and words for numbers are refused")
  func malformed() throws {
    let spoiled: [(String, String, String)] = [
      (Self.tracings.replacingOccurrences(of: "X2", with: "U2"), Self.list, "no column X2"),
      (Self.tracings, Self.list.replacingOccurrences(of: ",VAL", with: ""), "line 2"),
      (Self.tracings, Self.list.replacingOccurrences(of: "78.5", with: "high"), "line 2"),
      (Self.tracings.replacingOccurrences(of: "7.4", with: "x"), Self.list, "line 3"),
    ]
    for (tracings, list, reason) in spoiled {
      try Self.folder { root in
        try Self.write(tracings, root + "/VolumeTracings.csv")
        try Self.write(list, root + "/FileList.csv")
        do {
          _ = try EchoNetIndex(folder: root)
          Issue.record("not refused: \(reason)")
        } catch let error as ImagingError {
          #expect("\(error)".contains(reason), "\(error)")
        }
      }
    }
    try Self.folder { root in
      #expect(throws: ImagingError.self) { try EchoNetIndex(folder: root) }
    }
  }
}
