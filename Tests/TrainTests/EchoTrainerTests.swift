import Foundation
import Inference
import Layers
import Models
import TensorCore
import Testing
import Train

@Suite("Training on clips")
struct EchoTrainerTests {
  private static let configuration: EchoTrainingConfiguration = {
    var configuration = EchoTrainingConfiguration()
    configuration.network.imageEncoderWidth = 4
    configuration.network.maskEncoderWidth = 4
    configuration.network.keyChannels = 8
    configuration.network.valueChannels = 8
    configuration.network.pixelChannels = 8
    configuration.network.sensoryChannels = 8
    configuration.network.embedChannels = 8
    configuration.network.heads = 2
    configuration.network.blocks = 1
    configuration.network.feedForwardChannels = 16
    configuration.network.decoderChannels = [8, 8, 8]
    configuration.size = [32, 32]
    configuration.frames = 2
    configuration.cycleFrames = 4
    configuration.batch = 1
    configuration.hearts = 2
    configuration.validationHearts = 1
    configuration.points = 64
    configuration.iterations = 4
    configuration.validateEvery = 2
    configuration.warmup = 1
    return configuration
  }()

  private func folder() -> String {
    NSTemporaryDirectory() + "echo-training-" + UUID().uuidString
  }

  /// Expects the weights of a checkpoint in a bundle, in half precision.
  private static func expect(
    _ model: GDKVM, _ checkpoint: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let stored = try Safetensors(contentsOf: checkpoint)
    for (name, parameter) in model.parameters {
      let wanted = try #require(stored.tensor(named: name)).values
      // Half precision has eleven bits.
      let isSame = zip(parameter.tensor.values, wanted).allSatisfy {
        abs($0 - $1) <= abs($1) / 2048 + 1e-7
      }
      #expect(isSame, "\(name)", sourceLocation: sourceLocation)
    }
  }

  @Test("a run that was cut goes on to the bit; its bundle holds the best weights")
  func resume() throws {
    let folder = folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let configuration = Self.configuration
    try configuration.validate()
    let whole = try EchoTrainer(configuration, folder: folder + "/whole", resume: false)
    var reports: [TrainingProgress] = []
    #expect(
      try whole.run(shouldStop: { false }, report: { reports.append($0) }) == .finished)
    #expect(reports.map(\.step) == [4])
    let cut = try EchoTrainer(configuration, folder: folder + "/cut", resume: false)
    var asked = 0
    let outcome = try cut.run(
      shouldStop: {
        asked += 1
        return asked == 3
      }, report: { _ in })
    #expect(outcome == .stopped)
    // The third step is the latest, the second was validated.
    let early = try ModelBundle(path: cut.exportBundle())
    let checkpoints = folder + "/cut/checkpoints/"
    let earlyModel = try #require(early.loadModel() as? GDKVM)
    try Self.expect(earlyModel, checkpoints + "best.safetensors")
    #expect(
      FileManager.default.contents(atPath: checkpoints + "best.safetensors")
        != FileManager.default.contents(atPath: checkpoints + "latest.safetensors"))
    let best = try #require(cut.best)
    #expect(best.step == 2)
    #expect(early.card.metrics == ["dice_simulated_ventricle": best.dice[0]])
    #expect(throws: TrainingError.runExists(folder: folder + "/cut")) {
      try EchoTrainer(configuration, folder: folder + "/cut", resume: false)
    }
    var other = configuration
    other.batch = 2
    #expect(
      throws: TrainingError.cannotResume(
        folder: folder + "/cut",
        reason: "its config.json differs from the given configuration in batch")
    ) { try EchoTrainer(other, folder: folder + "/cut", resume: true) }
    let rest = try EchoTrainer(configuration, folder: folder + "/cut", resume: true)
    #expect(rest.warnings.isEmpty)
    #expect(try rest.run(shouldStop: { false }, report: { _ in }) == .finished)
    for name in ["latest", "best"] {
      let files = ["whole", "cut"].map {
        FileManager.default.contents(atPath: "\(folder)/\($0)/checkpoints/\(name).safetensors")
      }
      #expect(files[0] != nil && files[0] == files[1], "\(name)")
    }
    let bundle = try ModelBundle(path: rest.exportBundle())
    #expect(bundle.card.task == .segment && bundle.card.metrics == rest.metrics)
    let loaded = try #require(bundle.loadModel() as? GDKVM)
    // Clips are segmented at the size of the training.
    #expect(try bundle.frameSize() == configuration.size)
    try Self.expect(loaded, checkpoints + "best.safetensors")
    // A network that makes no numbers has no Dice, and not that of background either.
    for (_, parameter) in loaded.parameters where parameter.shape.rank == 1 {
      parameter.update { $0.update(repeating: .nan) }
    }
    #expect(throws: InferenceError.outputNotFinite(slice: 0)) {
      try EchoEvaluation(
        loaded,
        on: EchoDataset(
          seeds: 1..<2, frames: 2, size: (configuration.size[0], configuration.size[1]),
          objects: configuration.network.objects
        ).clips)
    }
  }

  @Test(
    "a configuration that cannot be is refused by its key",
    arguments: [
      (#"{"size": [30, 32]}"#, "size"), (#"{"frames": 50}"#, "frames"),
      (#"{"learning_rate": 0}"#, "learning_rate"), (#"{"batch": "two"}"#, "batch"),
      (#"{"shadow_width": [0.3, 0.1]}"#, "shadow_width"),
      (#"{"network": {"objects": 4}}"#, "network.objects"),
      (#"{"network": {"in_channels": 3}}"#, "network.in_channels"),
      (#"{"size": [16, 16], "batch": 1}"#, "size"), (#"{"points": 1000000000000}"#, "points"),
      (#"{"hearts": 1000000000000}"#, "hearts"), (#"{"batch": 1.5}"#, "batch"),
      (#"{"validation_hearts": 901}"#, "validation_hearts"),
      (#"{"auxiliary_weight": -0.01}"#, "auxiliary_weight"),
      (#"{"auxiliary_weight": 1e300}"#, "auxiliary_weight"),
      (#"{"seed": -3}"#, "seed"), ("name: 2020-01-01", "name"), ("clip: .inf", "clip"),
    ])
  func invalid(text: String, key: String) throws {
    let path = folder() + ".json"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    let error = try #require(throws: TrainingError.self) {
      try EchoTrainingConfiguration(contentsOf: path)
    }
    guard case .invalidValue(let found, _) = error else {
      Issue.record("\(error)")
      return
    }
    #expect(found == key)
  }

  @Test("the hearts of the largest seeds are simulated; a flaw leaves no folder")
  func seeds() throws {
    let folder = folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var configuration = Self.configuration
    configuration.seed = 194_059_747_655_424_483
    _ = try EchoTrainer(configuration, folder: folder + "/run", resume: false)
    configuration.initialWeights = folder + "/nowhere.safetensors"
    #expect(throws: (any Error).self) {
      try EchoTrainer(configuration, folder: folder + "/other", resume: false)
    }
    #expect(!FileManager.default.fileExists(atPath: folder + "/other"))
  }

  @Test("an unknown key is refused with the nearest that there is; what is written is read again")
  func keys() throws {
    let path = folder() + ".json"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data(#"{"heart": 3}"#.utf8).write(to: URL(fileURLWithPath: path))
    #expect(throws: TrainingError.unknownKey(key: "heart", suggestion: "hearts")) {
      try EchoTrainingConfiguration(contentsOf: path)
    }
    try Data(Self.configuration.json().utf8).write(to: URL(fileURLWithPath: path))
    #expect(try EchoTrainingConfiguration(contentsOf: path) == Self.configuration)
  }
}
