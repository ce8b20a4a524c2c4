import Foundation
import Imaging
import Testing

@Suite("Folders of published fundus sets")
struct FundusFolderTests {
  private final class Folder {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("fundus-folder-\(UUID().uuidString)").path

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ samples: [UInt16], colour: PNGImage.Colour = .grey) throws {
      try make(name)
      try PNGImage(samples: samples, height: 2, width: 3, colour: colour, bitDepth: 8)
        .write(to: path + "/" + name)
    }

    func photograph(_ name: String) throws {
      try write(name, (0..<18).map { UInt16($0 * 10) }, colour: .rgb)
    }

    func make(_ name: String) throws {
      let folder = (path + "/" + name).split(separator: "/").dropLast().joined(separator: "/")
      try FileManager.default.createDirectory(
        atPath: "/" + folder, withIntermediateDirectories: true)
    }
  }

  @Test("pairs: names with masks, others left out")
  func pairs() throws {
    let folder = Folder()
    try folder.photograph("b.png")
    try folder.write("b_mask.png", [0, 1, 2, 2, 1, 0])
    try folder.photograph("a.png")
    try folder.write("c_mask.png", [0, 0, 0, 0, 0, 0])
    let set = try FundusFolder(path: folder.path)
    #expect(set.layout == .pairs && set.photographs.map(\.name) == ["b"])
    let (image, labels) = try set.photographs[0].read()
    #expect(labels == [0, 1, 2, 2, 1, 0] && image.channels == 3)
  }

  @Test("REFUGE: training, validation and test, by name, in folders of any depth")
  func refuge() throws {
    let folder = Folder()
    try folder.photograph("Training400/Glaucoma/g0001.png")
    try folder.photograph("Training400/Non-Glaucoma/n0001.png")
    try folder.write(
      "Annotation-Training400/Disc_Cup_Masks/Glaucoma/g0001.png", [255, 128, 0, 0, 128, 255])
    try folder.write(
      "Annotation-Training400/Disc_Cup_Masks/Non-Glaucoma/n0001.png",
      [255, 255, 128, 128, 0, 255])
    try folder.photograph("REFUGE-Validation400/REFUGE-Validation400/V0001.png")
    try folder.write(
      "REFUGE-Validation400-GT/Disc_Cup_Masks/V0001.png", [255, 255, 255, 255, 255, 128])
    try folder.photograph("Test400/T0001.png")
    try folder.write("REFUGE-Test-GT/Disc_Cup_Masks/G/T0001.png", [0, 0, 0, 255, 255, 255])
    try folder.photograph("Test400/T0002.png")
    let set = try FundusFolder(path: folder.path)
    #expect(set.layout == .refuge)
    #expect(set.photographs.map(\.name) == ["g0001", "n0001", "V0001", "T0001"])
    #expect(set.photographs.map(\.part) == [.train, .train, .validation, .test])
    #expect(try set.photographs[0].read().labels == [0, 1, 2, 2, 1, 0])
  }

  @Test("REFUGE as published, in JPEG, is refused with the way out")
  func jpeg() throws {
    let folder = Folder()
    try folder.make("Training400/Glaucoma/g0001.jpg")
    try Data([0xff, 0xd8]).write(
      to: URL(fileURLWithPath: folder.path + "/Training400/Glaucoma/g0001.jpg"))
    try folder.make("Annotation-Training400/Disc_Cup_Masks/x")
    let error = #expect(throws: ImagingError.self) { try FundusFolder(path: folder.path) }
    #expect(error?.cause.contains("converted to PNG") == true, "\(String(describing: error))")
  }

  @Test("Drishti-GS: a pixel counts where three of four experts agree")
  func drishti() throws {
    let folder = Folder()
    for (image, truth) in [
      ("Training/Images/GLAUCOMA/drishtiGS_002", "Training/GT"),
      ("Test/Images/normal/drishtiGS_001", "Test/Test_GT"),
    ] {
      try folder.photograph(image + ".png")
      let name = try #require(image.split(separator: "/").last)
      let base = "\(truth)/\(name)/SoftMap/\(name)"
      try folder.write(base + "_ODsegSoftmap.png", [255, 191, 191, 127, 63, 0])
      try folder.write(base + "_cupsegSoftmap.png", [255, 191, 127, 255, 0, 0])
    }
    let set = try FundusFolder(path: folder.path)
    #expect(set.layout == .drishti)
    #expect(set.photographs.map(\.name) == ["drishtiGS_002", "drishtiGS_001"])
    #expect(set.photographs.map(\.part) == [.train, .test])
    // The fourth pixel is cup but not disc: outside.
    #expect(try set.photographs[0].read().labels == [2, 2, 1, 0, 0, 0])
  }

  @Test("missing and empty folders, grey photographs and masks of another size are errors")
  func refusals() throws {
    let folder = Folder()
    #expect(throws: ImagingError.self) { try FundusFolder(path: folder.path) }
    try folder.make("x/y")
    #expect(throws: ImagingError.noImages(folder: folder.path)) {
      try FundusFolder(path: folder.path)
    }
    try folder.write("a.png", [0, 0, 0, 0, 0, 0])
    try folder.write("a_mask.png", [0, 0, 0, 0, 0, 0])
    let set = try FundusFolder(path: folder.path)
    #expect(throws: ImagingError.self) { try set.photographs[0].read() }
  }
}
