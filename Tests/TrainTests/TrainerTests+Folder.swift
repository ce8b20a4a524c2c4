import Foundation
import Imaging
import Inference
import Layers
import Models
import Randomness
import TensorCore
import Testing
import Train

extension TrainerTests {
  @Test("a run does not go on with other subjects than it began with")
  func otherSubjects() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let configuration = try configuration(folder, steps: 2)
    _ = try Trainer(configuration, folder: folder + "/run", resume: false)
      .run(shouldStop: { true }, report: { _ in })
    let split = """
      {"train": [{"subject": "b", "files": ["b.nii"]}],
       "validation": [{"subject": "a", "files": ["a.nii"]}]}
      """
    try Data(split.utf8).write(to: URL(fileURLWithPath: folder + "/split.json"))
    let error = try #require(throws: TrainingError.self) {
      try Trainer(configuration, folder: folder + "/run", resume: true)
    }
    guard case .cannotResume = error else {
      Issue.record("\(error)")
      return
    }
    let kept = try DataSplit(contentsOf: folder + "/run/split-restoration.json")
    #expect(kept.train.map(\.subject) == ["a"])
  }

  @Test("a config.json that no run wrote stays; what changes no bit may change when a run goes on")
  func configurations() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var configuration = try configuration(folder, steps: 2)
    let run = folder + "/run"
    let foreign = Data(#"{"data": {"split": "split.json"}}"#.utf8)
    try FileManager.default.createDirectory(atPath: run, withIntermediateDirectories: true)
    try foreign.write(to: URL(fileURLWithPath: run + "/config.json"))
    #expect(throws: TrainingError.runExists(folder: run)) {
      try Trainer(configuration, folder: run, resume: false)
    }
    #expect(FileManager.default.contents(atPath: run + "/config.json") == foreign)
    // A folder that is refused is left as it is.
    #expect(try FileManager.default.contentsOfDirectory(atPath: run) == ["config.json"])
    try FileManager.default.removeItem(atPath: run + "/config.json")
    _ = try Trainer(configuration, folder: run, resume: false)
      .run(shouldStop: { true }, report: { _ in })
    configuration.train.checkpointActivations = true
    configuration.train.prefetch = 0
    configuration.checkpoint.everySteps = 7
    configuration.data.cacheMegabytes = 5
    _ = try Trainer(configuration, folder: run, resume: true)
    configuration.optim.learningRate *= 2
    configuration.data.crop = 8
    #expect(
      throws: TrainingError.cannotResume(
        folder: run,
        reason: "its config.json differs from the given configuration in data.crop, "
          + "optim.learning_rate")
    ) { try Trainer(configuration, folder: run, resume: true) }
  }

  @Test("a run of another machine continues with a warning; one of another program does not")
  func otherMachine() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let configuration = try configuration(folder, steps: 2)
    let run = folder + "/run"
    _ = try Trainer(configuration, folder: run, resume: false)
      .run(shouldStop: { true }, report: { _ in })
    let path = run + "/checkpoints/state-latest.safetensors"
    let state = try Safetensors(contentsOf: path)
    func rewrite(_ changes: [String: String]) throws {
      var writer = SafetensorsWriter(metadata: state.metadata.merging(changes) { $1 })
      for entry in state.entries {
        writer.add(try #require(state.tensor(named: entry.name)), named: entry.name)
      }
      try writer.encoded().write(to: URL(fileURLWithPath: path))
    }
    try rewrite(["back_end": "an abacus, 10 threads"])
    let trainer = try Trainer(configuration, folder: run, resume: true)
    #expect(trainer.warnings.count == 1)
    #expect(trainer.warnings.first?.contains("an abacus, 10 threads") == true)
    #expect(try trainer.run(shouldStop: { false }, report: { _ in }) == .finished)
    try rewrite(["format": "something-else-1"])
    let error = try #require(throws: TrainingError.self) {
      try Trainer(configuration, folder: run, resume: true)
    }
    guard case .cannotResume = error else {
      Issue.record("\(error)")
      return
    }
  }

  @Test("what a killed program left half written is removed when its run goes on")
  func abandoned() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let configuration = try configuration(folder, steps: 2)
    let run = folder + "/run"
    _ = try Trainer(configuration, folder: run, resume: false)
      .run(shouldStop: { true }, report: { _ in })
    let left = ["checkpoints/.restore-1f.tmp", ".restore-2e.tmp"].map { "\(run)/\($0)" }
    for path in left { try Data([1]).write(to: URL(fileURLWithPath: path)) }
    try Data([1]).write(to: URL(fileURLWithPath: run + "/notes.tmp"))
    // Without permission nothing is touched.
    #expect(throws: TrainingError.runExists(folder: run)) {
      try Trainer(configuration, folder: run, resume: false)
    }
    #expect(left.allSatisfy(FileManager.default.fileExists(atPath:)))
    _ = try Trainer(configuration, folder: run, resume: true)
    #expect(!left.contains(where: FileManager.default.fileExists(atPath:)))
    #expect(FileManager.default.fileExists(atPath: run + "/notes.tmp"))
  }

  @Test("a folder with a run is not used for another one")
  func exists() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let run = folder + "/run"
    _ = try Trainer(configuration(folder, steps: 1), folder: run, resume: false)
      .run(shouldStop: { false }, report: { _ in })
    #expect(throws: TrainingError.runExists(folder: run)) {
      try Trainer(configuration(folder, steps: 1), folder: run, resume: false)
    }
    #expect(
      throws: TrainingError.cannotResume(
        folder: run,
        reason: "its config.json differs from the given configuration in train.iterations")
    ) { try Trainer(configuration(folder, steps: 9), folder: run, resume: true) }
    let state = run + "/checkpoints/state-latest.safetensors"
    try FileManager.default.removeItem(atPath: state)
    #expect(
      throws: TrainingError.cannotResume(folder: run, reason: "it has weights, but no \(state)")
    ) { try Trainer(configuration(folder, steps: 1), folder: run, resume: true) }
    // A run that was ended before its first checkpoint begins again, its log too.
    try FileManager.default.removeItem(atPath: run + "/checkpoints/latest.safetensors")
    _ = try Trainer(configuration(folder, steps: 1), folder: run, resume: true)
    #expect(try String(contentsOfFile: run + "/log.jsonl", encoding: .utf8).isEmpty)
    #expect(throws: TrainingError.stopped) {
      try Trainer(
        configuration(folder, steps: 1), folder: folder + "/new", resume: false,
        shouldStop: { true })
    }
  }
}
