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
  @Test(
    "a network that is not one for the slices is refused by its key",
    arguments: [
      ("restore-rwkv", "light", ["in_channels": HyperparameterValue.integer(3)]),
      ("unet", "", ["out_channels": .integer(2)]), ("unet", "", ["dims": .integer(3)]),
      ("dncnn", "", ["dims": .integer(3)]), ("gdkvm", "light", [:]),
    ])
  func channels(
    architecture: String, preset: String, hyperparameters: [String: HyperparameterValue]
  ) throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var configuration = try configuration(folder, steps: 1)
    configuration.model.arch = architecture
    if !preset.isEmpty { configuration.model.preset = preset }
    configuration.model.hyperparameters = hyperparameters
    let error = try #require(throws: TrainingError.self) {
      try Trainer(configuration, folder: folder + "/run", resume: false)
    }
    guard case .invalidValue("model.hyperparameters", _) = error else {
      Issue.record("\(error)")
      return
    }
  }

  @Test(
    "what would trap in the first step is refused by its key, and no folder is made",
    arguments: [
      ("loss.similarity_weight", "data.crop"), ("levels", "data.crop"), ("norm", "data.crop"),
      ("translation", "data.crop"), ("fdconv", "train.accumulate"),
      ("fs-rwkv", "data.crop"),
    ])
  func traps(flaw: String, key: String) throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var configuration = try configuration(folder, steps: 1)
    func levels(_ count: Int, _ isSupervised: Bool) {
      configuration.model.hyperparameters = [
        "channels": .list([HyperparameterValue](repeating: .integer(2), count: count)),
        "deep_supervision": .flag(isSupervised),
      ]
    }
    configuration.model.arch = "unet"
    configuration.model.preset = "light"
    switch flaw {
    case "loss.similarity_weight":
      levels(3, true)
      configuration.loss.similarityWeight = 0.1
    case "translation":
      levels(4, true)
      configuration.loss.name = "translation"
    case "levels": levels(6, true)
    case "norm":
      levels(5, false)
      configuration.train.accumulate = 2
    case "fs-rwkv":
      configuration.model.arch = "fs-rwkv"
      configuration.data.crop = 8
      configuration.train.accumulate = 2
    default:
      configuration.model.hyperparameters = ["channels": .list([.integer(18), .integer(18)])]
      var choice = ConvolutionChoice(.fdconv)
      choice.fallback = .plain
      configuration.model.convolution = .choice(choice)
      configuration.train.accumulate = 2
    }
    try configuration.validate()
    let error = try #require(throws: TrainingError.self) {
      try Trainer(configuration, folder: folder + "/run", resume: false)
    }
    guard case .invalidValue(key, _) = error else {
      Issue.record("\(error)")
      return
    }
    #expect(!FileManager.default.fileExists(atPath: folder + "/run"))
  }

  @Test(
    "a state that no run can have written is refused, and traps nowhere",
    arguments: [
      ("step", "-1"), ("step", "5"), ("step", "9223372036854775807"), ("step", "1.5"),
      ("seconds", "nan"), ("seconds", "-1"), ("seconds", "inf"), ("best", "{}"),
      ("format", "restore-training-1"),
    ])
  func states(key: String, value: String) throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let configuration = try configuration(folder, steps: 4)
    let first = try Trainer(configuration, folder: folder + "/run", resume: false)
    var asked = 0
    let outcome = try first.run(
      shouldStop: {
        asked += 1
        return asked == 2
      }, report: { _ in })
    #expect(outcome == .stopped)
    let path = folder + "/run/checkpoints/state-latest.safetensors"
    let state = try Safetensors(contentsOf: path)
    var metadata = state.metadata
    #expect(metadata.updateValue(value, forKey: key) != nil)
    var writer = SafetensorsWriter(metadata: metadata)
    for entry in state.entries {
      writer.add(try #require(state.tensor(named: entry.name)), named: entry.name)
    }
    try writer.encoded().write(to: URL(fileURLWithPath: path))
    let error = try #require(throws: TrainingError.self) {
      try Trainer(configuration, folder: folder + "/run", resume: true)
    }
    guard case .cannotResume(folder + "/run", _) = error else {
      Issue.record("\(error)")
      return
    }
  }
}
