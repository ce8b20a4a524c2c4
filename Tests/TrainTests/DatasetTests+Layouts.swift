import Foundation
import Imaging
import TensorCore
import Testing
import Train

extension DatasetTests {
  @Test("subjects of a BIDS folder may be links")
  func linkedSubjects() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    try FileManager.default.createDirectory(
      atPath: root + "/set", withIntermediateDirectories: true)
    for subject in ["sub-1", "sub-2", "sub-3"] {
      try write("\(root)/store/\(subject)/anat/\(subject)_T1w.nii.gz")
      try FileManager.default.createSymbolicLink(
        atPath: "\(root)/set/\(subject)", withDestinationPath: "\(root)/store/\(subject)")
    }
    let split = try DataSplit(contentsOf: root + "/set", section { $0.validationShare = 0.3 })
    #expect((split.train.count, split.validation.count) == (2, 1))
  }

  @Test("pairs of one file name are told apart by their folders; a list may have absolute paths")
  func pairsOfOneName() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    for path in ["set/p1/in.nii", "set/p1/out.nii", "set/p2/in.nii", "set/p2/out.nii", "far.nii"] {
      try write("\(root)/\(path)")
    }
    try Data("p1/in.nii,p1/out.nii\n\(root)/far.nii,\(root)/far.nii\n".utf8)
      .write(to: URL(fileURLWithPath: root + "/set/train.txt"))
    try Data("p2/in.nii,p2/out.nii\n".utf8)
      .write(to: URL(fileURLWithPath: root + "/set/val.txt"))
    let paired = section { $0.simulator = "paired" }
    let split = try DataSplit(contentsOf: root + "/set", paired)
    #expect(split.train.map(\.subject) == ["p1/out", "far"])
    #expect(split.validation.map(\.subject) == ["p2/out"])
    #expect(split.train[1].files == [root + "/far.nii"])
    #expect(split.train[0].inputs == [root + "/set/p1/in.nii"])
  }

  @Test(
    "unknown keys of a split file are refused with the nearest that there is",
    arguments: [
      (#"{"train": [{"subject": "a", "file": [], "files": []}], "validation": []}"#, "files"),
      (
        #"{"train": [{"subject": "a", "files": ["a.nii"]}], "validation": [], "tests": []}"#, "test"
      ),
    ])
  func unknownKeys(text: String, nearest: String) throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    for ending in ["json", "yaml"] {
      let path = "\(root)/split.\(ending)"
      try Data(text.utf8).write(to: URL(fileURLWithPath: path))
      let error = try #require(throws: TrainingError.self) { try DataSplit(contentsOf: path) }
      #expect("\(error)".contains("did you mean `\(nearest)`?"), "\(error)")
    }
  }
}
