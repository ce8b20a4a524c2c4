import Foundation
import Imaging
import Layers
import Randomness
import TensorCore
import Testing
import Train

extension DatasetTests {
  @Test("no image is in two parts, whatever its name, contrast, format or task")
  func leaks() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    for name in ["a", "b"] { try write("\(root)/\(name).nii") }
    try FileManager.default.createSymbolicLink(
      atPath: root + "/link.nii", withDestinationPath: root + "/a.nii")
    func split(_ name: String, _ train: String, _ validation: String) throws -> String {
      let text = """
        {"train": [{"subject": "one", "files": ["\(train)"]}],
         "validation": [{"subject": "two", "files": ["\(validation)"]}]}
        """
      try Data(text.utf8).write(to: URL(fileURLWithPath: "\(root)/\(name).json"))
      return "\(root)/\(name).json"
    }
    try FileManager.default.linkItem(atPath: root + "/a.nii", toPath: root + "/hard.nii")
    for (train, validation) in [
      ("a.nii", "link.nii"), ("a.nii", "hard.nii"), ("link.nii", "ct-like:4:hard.nii"),
      ("phantom:t1:5", "phantom:fdg:5"), ("phantom:t1:5", "phantom:t1:05"),
      ("phantom:ct:5", "phantom:ct:005"),
    ] {
      let path = try split("same", train, validation)
      #expect(throws: TrainingError.self, "\(train)") { try DataSplit(contentsOf: path) }
    }
    _ = try DataSplit(contentsOf: split("other", "phantom:t1:5", "phantom:ct:5"))
    var configuration = TrainingConfiguration()
    for (name, train, validation) in [("x", "a.nii", "b.nii"), ("y", "b.nii", "a.nii")] {
      var task = TrainingConfiguration.DataSection()
      (task.name, task.split) = (name, try split(name, train, validation))
      configuration.tasks.append(task)
    }
    let error = try #require(throws: TrainingError.self) { try configuration.splits() }
    #expect("\(error)".contains("another task"))
    // The same people in other images.
    configuration.tasks[1].split = root + "/people.json"
    let people = """
      {"train": [{"subject": "two", "files": ["c.nii"]}],
       "validation": [{"subject": "three", "files": ["d.nii"]}]}
      """
    try Data(people.utf8).write(to: URL(fileURLWithPath: configuration.tasks[1].split))
    let shared = try #require(throws: TrainingError.self) { try configuration.splits() }
    #expect("\(shared)".contains("another task has the subject two"), "\(shared)")
    configuration.tasks.removeLast()
    #expect(try configuration.splits().count == 1)
    // The authors' training images are pickled, the others NIfTI: their names still tell.
    for (part, ending) in [("train", ".bin"), ("validation", ".nii")] {
      for kind in ["HQ", "LQ"] {
        let folder = "\(root)/authors/\(part)/\(kind)"
        try FileManager.default.createDirectory(
          atPath: folder, withIntermediateDirectories: true)
        try Data().write(to: URL(fileURLWithPath: "\(folder)/1\(ending)"))
      }
    }
    let paired = section { $0.simulator = "paired" }
    #expect(throws: TrainingError.self) { try DataSplit(contentsOf: root + "/authors", paired) }
  }

  @Test("pairs are not trained on as if their targets alone were there")
  func forgotten() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    for (part, name) in [("train", "a"), ("validation", "b")] {
      for kind in ["HQ", "LQ"] { try write("\(root)/\(part)/\(kind)/\(name).nii") }
    }
    let error = try #require(throws: TrainingError.self) {
      try DataSplit(contentsOf: root, section())
    }
    #expect("\(error)".contains("`paired`"))
    _ = try DataSplit(contentsOf: root, section { $0.simulator = "paired" })
  }
}
