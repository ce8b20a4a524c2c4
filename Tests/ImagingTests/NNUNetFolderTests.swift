import Foundation
import Imaging
import Testing

@Suite("nnU-Net raw folders")
struct NNUNetFolderTests {
  private final class Folder {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("nnunet-\(UUID().uuidString)").path

    init() throws {
      for part in ["imagesTr", "labelsTr", "imagesTs"] {
        try FileManager.default.createDirectory(
          atPath: path + "/" + part, withIntermediateDirectories: true)
      }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ text: String, to name: String) throws {
      try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/" + name))
    }
  }

  private static let description = """
    {"channel_names": {"0": "T1", "1": "FLAIR"}, "numTraining": 2, "file_ending": ".nii.gz",
     "labels": {"background": 0, "edema": 2, "core": 1}}
    """

  @Test("channels, labels in order of their numbers, cases with their files")
  func reads() throws {
    let folder = try Folder()
    try folder.write(Self.description, to: "dataset.json")
    for name in ["b", "a_1"] {
      for channel in 0..<2 { try folder.write("", to: "imagesTr/\(name)_000\(channel).nii.gz") }
      try folder.write("", to: "labelsTr/\(name).nii.gz")
    }
    let set = try NNUNetFolder(path: folder.path)
    #expect(set.channels == ["T1", "FLAIR"])
    #expect(set.labels.map(\.name) == ["core", "edema"] && set.labels.map(\.value) == [1, 2])
    #expect(set.cases.map(\.name) == ["a_1", "b"])
    #expect(
      set.cases[0].images
        == ["a_1_0000", "a_1_0001"].map { "\(folder.path)/imagesTr/\($0).nii.gz" })
    #expect(set.cases[0].labels == "\(folder.path)/labelsTr/a_1.nii.gz")
    // A case that was not copied is told of.
    let more = Self.description.replacingOccurrences(
      of: "\"numTraining\": 2", with: "\"numTraining\": 3")
    try folder.write(more, to: "dataset.json")
    let error = #expect(throws: ImagingError.self) { try NNUNetFolder(path: folder.path) }
    #expect(error?.cause.contains("numTraining is 3, imagesTr has 2 cases") == true)
  }

  @Test("the first version of the layout: modality, and numbers to names")
  func firstVersion() throws {
    let folder = try Folder()
    try folder.write(
      #"{"modality": {"0": "CT"}, "labels": {"0": "background", "1": "liver"}}"#,
      to: "dataset.json")
    try folder.write("", to: "imagesTr/x_0000.nii.gz")
    try folder.write("", to: "labelsTr/x.nii.gz")
    let set = try NNUNetFolder(path: folder.path)
    #expect(set.channels == ["CT"] && set.labels == [NNUNetFolder.Label(name: "liver", value: 1)])
  }

  @Test("two files of one channel are refused, one of the two being the wrong one")
  func twice() throws {
    let folder = try Folder()
    for name in ["x_0000.nii.gz", "x_0000.nii", "x_0001.nii.gz"] {
      try folder.write("", to: "imagesTs/" + name)
    }
    let error = #expect(throws: ImagingError.self) {
      try NNUNetFolder.images(in: folder.path + "/imagesTs")
    }
    #expect(
      error?.cause.contains("x_0000.nii is the same channel") == true, "\(error?.cause ?? "")")
  }

  @Test("missing labels, channels and gaps in numbers are errors that say so")
  func refusals() throws {
    let folder = try Folder()
    #expect(throws: ImagingError.self) { try NNUNetFolder(path: folder.path) }
    try folder.write("[1]", to: "dataset.json")
    #expect(throws: ImagingError.self) { try NNUNetFolder(path: folder.path) }
    try folder.write(
      Self.description.replacingOccurrences(of: "2,", with: "3,"), to: "dataset.json")
    let gap = #expect(throws: ImagingError.self) { try NNUNetFolder(path: folder.path) }
    #expect(gap?.cause.contains("without gaps") == true)
    try folder.write(
      Self.description.replacingOccurrences(
        of: "\"edema\": 2, \"core\": 1", with: "\"1\": \"a\", \"2\": \"a\""),
      to: "dataset.json")
    let twice = #expect(throws: ImagingError.self) { try NNUNetFolder(path: folder.path) }
    #expect(twice?.cause.contains("one name") == true)
    try folder.write(
      Self.description.replacingOccurrences(of: "\"edema\": 2", with: "\"ignore\": 2"),
      to: "dataset.json")
    let ignored = #expect(throws: ImagingError.self) { try NNUNetFolder(path: folder.path) }
    #expect(ignored?.cause.contains("ignore") == true)
    try folder.write(
      Self.description.replacingOccurrences(of: "\"edema\": 2", with: "\"edema\": [1, 2]"),
      to: "dataset.json")
    let region = #expect(throws: ImagingError.self) { try NNUNetFolder(path: folder.path) }
    #expect(region?.cause.contains("regions") == true)
    try folder.write(Self.description, to: "dataset.json")
    #expect(throws: ImagingError.noImages(folder: folder.path + "/imagesTr")) {
      try NNUNetFolder(path: folder.path)
    }
    try folder.write(
      Self.description.replacingOccurrences(
        of: "\"numTraining\": 2", with: "\"numTraining\": 1"), to: "dataset.json")
    try folder.write("", to: "imagesTr/x_0000.nii.gz")
    #expect(throws: ImagingError.self) { try NNUNetFolder(path: folder.path) }
    try folder.write("", to: "labelsTr/x.nii.gz")
    #expect(try NNUNetFolder(path: folder.path).cases.count == 1)
    try folder.write("", to: "labelsTr/y.nii.gz")
    let lost = #expect(throws: ImagingError.self) { try NNUNetFolder(path: folder.path) }
    #expect(lost?.cause.contains("labelsTr/y.nii.gz has no image") == true)
    try FileManager.default.removeItem(atPath: folder.path + "/labelsTr/y.nii.gz")
    try folder.write("", to: "imagesTr/x_0002.nii.gz")
    let hole = #expect(throws: ImagingError.self) { try NNUNetFolder(path: folder.path) }
    #expect("\(String(describing: hole))".contains("channel 1 is missing"))
  }
}
