import Foundation
import Imaging
import Testing

@Suite("PNG volumes")
struct PNGVolumeTests {
  private func write(
    _ samples: [UInt16], _ name: String, in folder: URL, height: Int = 2, width: Int = 3,
    colour: PNGImage.Colour = .grey, bitDepth: Int = 16
  ) throws {
    try PNGImage(samples: samples, height: height, width: width, colour: colour, bitDepth: bitDepth)
      .write(to: folder.appending(path: name).path)
  }

  @Test("a folder is a volume, slices in natural order, 16 bits kept")
  func stack() throws {
    try withTemporaryFolder { folder in
      for (name, value) in [("s10.png", 3), ("s9.png", 2), ("s1.PNG", 1), ("t.png", 4)] {
        try write((0..<6).map { UInt16(10_000 * value + $0) }, name, in: folder)
      }
      try Data("text".utf8).write(to: folder.appending(path: "s2.txt"))
      let stack = try PNGVolume(stackIn: folder.path)
      #expect(
        stack.files.map { URL(fileURLWithPath: $0).lastPathComponent }
          == ["s1.PNG", "s9.png", "s10.png", "t.png"])
      #expect(stack.volume.shape == [1, 4, 2, 3])
      #expect(stack.volume.spacing == SIMD3(1, 1, 1))
      #expect(!stack.volume.geometry.isOrientationKnown)
      #expect(stack.bitDepth == 16)
      #expect(
        stack.volume.voxels
          == (1...4).flatMap { value in (0..<6).map { Float(10_000 * value + $0) } })
    }
  }

  @Test("an axial slice shows a picture as it is stored")
  func orientation() throws {
    try withTemporaryFolder { folder in
      try write([0, 1, 2, 3, 4, 5], "a.png", in: folder)
      let single = try PNGVolume(
        contentsOf: folder.appending(path: "a.png").path, spacing: SIMD3(0.5, 2, 3))
      let slices = single.volume.slices(in: .axial)
      #expect(slices.count == 1)
      #expect(slices[0].pixels == [0, 1, 2, 3, 4, 5])
      #expect(slices[0].rowSpacing == 2)
      #expect(slices[0].columnSpacing == 0.5)
      #expect(slices.layout.edges == nil)
    }
  }

  @Test("the channels of an RGB picture are the volumes of a series")
  func colours() throws {
    try withTemporaryFolder { folder in
      try write([1, 2, 3, 4, 5, 6], "a.png", in: folder, height: 1, width: 2, colour: .rgb)
      let single = try PNGVolume(contentsOf: folder.appending(path: "a.png").path)
      #expect(single.volume.shape == [3, 1, 1, 2])
      #expect(single.volume.voxels == [1, 4, 2, 5, 3, 6])
      #expect(throws: ImagingError.self) { try PNGVolume(stackIn: folder.path) }
    }
  }

  @Test("slices that do not fit together are refused")
  func mismatches() throws {
    try withTemporaryFolder { folder in
      try write([1, 2, 3, 4, 5, 6], "1.png", in: folder)
      try write([1, 2, 3, 4], "2.png", in: folder, height: 2, width: 2)
      let names = ["1.png", "2.png"].map { folder.path + "/" + $0 }
      #expect(
        throws: ImagingError.geometryDiffers(
          file: names[1], shape: [1, 1, 2, 2], reference: names[0], referenceShape: [1, 1, 2, 3],
          offset: 0)
      ) { try PNGVolume(stackIn: folder.path) }
    }
    try withTemporaryFolder { folder in
      try write([1, 2, 3, 4, 5, 6], "1.png", in: folder)
      try write([1, 2, 3, 4, 5, 6], "2.png", in: folder, bitDepth: 8)
      let error = #expect(throws: ImagingError.self) { try PNGVolume(stackIn: folder.path) }
      #expect(error?.kind == "data-type")
    }
  }

  @Test("no folder, no pictures, no size, not enough memory")
  func errors() throws {
    try withTemporaryFolder { folder in
      #expect(throws: ImagingError.noImages(folder: folder.path)) {
        try PNGVolume(stackIn: folder.path)
      }
      let missing = folder.path + "/none"
      let error = #expect(throws: ImagingError.self) { try PNGVolume(stackIn: missing) }
      #expect(error?.code == 66)
      for slice in 1...6 { try write([1, 2, 3, 4, 5, 6], "\(slice).png", in: folder) }
      #expect(throws: ImagingError.self) {
        try PNGVolume(stackIn: folder.path, spacing: SIMD3(1, 0, 1))
      }
      // A slice takes 24 bytes, the stack 144; each file is smaller than the limit.
      #expect(
        throws: ImagingError.needsMemory(file: folder.path, needed: 144, working: 144, limit: 143)
      ) {
        try PNGVolume(stackIn: folder.path, maxMemory: 143)
      }
    }
  }
}
