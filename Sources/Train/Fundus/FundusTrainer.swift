import Foundation
import Layers
import Models
import Randomness
import TensorCore

/// Trains the optic disc and cup network on a folder of photographs with masks.
///
/// Mean binary cross-entropy of both classes; the best checkpoint is the one with the highest mean Dice
/// on images held back for validation, which are never learnt from. From random weights: there is no
/// pretraining. What a step draws depends on the seed and the step alone, so that an interrupted run
/// goes on to the bit.
///
/// Source: Chen et al., *TVConv*, CVPR 2022, §4.2, who choose by the test images.
public final class FundusTrainer {
  /// The Dice scores of a validation.
  public struct Scores: Sendable, Equatable, Codable {
    /// After so many steps.
    public let step: Int
    /// Mean over images, of the cup.
    public let cup: Double
    /// Mean over images, of the disc.
    public let disc: Double
  }

  private struct StepRecord: Encodable {
    let step: Int
    let loss: Double
    let learningRate: Double
    let gradientNorm: Double
    let seconds: Double
  }

  private struct ValidationRecord: Encodable {
    let step: Int
    let cupDice: Double
    let discDice: Double
    let validationDice: Double
    let isBest: Bool
  }

  let configuration: TrainingConfiguration
  let runFolder: RunFolder
  let model: TVConvNet
  private let optimizer: any Optimizer
  private let schedule: LearningRateSchedule
  private let dataset: FundusDataset
  private let start = Date()
  private var secondsBefore = 0.0

  /// Steps done.
  public private(set) var step = 0

  /// The best validation so far.
  public private(set) var best: Scores?

  /// Names of the images held back.
  public var validationNames: [String] { dataset.validation.map(\.name) }

  /// The number of images that are learnt from.
  public var trainingCount: Int { dataset.train.count }

  /// Where the best weights go.
  public var bestWeights: String { runFolder.best }

  private static let weightStream: UInt64 = 0
  private static let format = "restore-fundus-training-1"

  /// Reads the images and makes the run folder, or continues the run in it.
  ///
  /// - Parameters:
  ///   - configuration: Its `data.split` is the folder of images; `data.validation_share` and
  ///     `data.split_seed` say which of them are held back. Of the model it is the preset that counts.
  ///   - folder: The run folder.
  ///   - resume: Whether to continue a run that is there; without it there must be none.
  /// - Throws: ``TrainingError``, `ModelError`, or what reading images throws.
  public init(_ configuration: TrainingConfiguration, folder: String, resume: Bool = false) throws {
    guard configuration.train.batch >= 2 else {
      throw TrainingError.invalidValue(
        key: "train.batch",
        reason: "is \(configuration.train.batch), but the batch norm of the pooled map needs 2")
    }
    self.configuration = configuration
    var generator = SeededGenerator(seed: configuration.seed, stream: Self.weightStream)
    guard
      let model = try configuration.model.description().makeModel(using: &generator) as? TVConvNet,
      model.outChannels == 2
    else {
      throw TrainingError.invalidValue(
        key: "model.arch", reason: "is not \(TVConvNet.architecture) with two classes")
    }
    self.model = model
    if !configuration.model.initialWeights.isEmpty {
      try model.load(Safetensors(contentsOf: configuration.model.initialWeights))
    }
    dataset = try FundusDataset(
      folder: configuration.data.split, side: model.configuration.imageSize,
      validationShare: configuration.data.validationShare, seed: configuration.data.splitSeed)
    runFolder = try RunFolder(folder, configuration: configuration, resume: resume)
    optimizer = configuration.optim.makeOptimizer(for: model.parameters)
    schedule = LearningRateSchedule(configuration)
    if resume, FileManager.default.fileExists(atPath: runFolder.state) { try restore() }
  }

  private func restore() throws {
    let file = try Safetensors(contentsOf: runFolder.state)
    guard file.metadata["format"] == Self.format,
      let step = file.metadata["step"].flatMap(Int.init),
      let seconds = file.metadata["seconds"].flatMap(Double.init)
    else {
      throw TrainingError.cannotResume(
        folder: runFolder.path, reason: "its state file is not one of such a run")
    }
    try model.load(file, prefix: "model.")
    let unfit = optimizer.restore(steps: step) { file.tensor(named: $0) }
    guard unfit.isEmpty else {
      throw TrainingError.cannotResume(
        folder: runFolder.path, reason: "its state lacks \(unfit.joined(separator: ", "))")
    }
    if let text = file.metadata["best"] {
      best = try JSONDecoder().decode(Scores.self, from: Data(text.utf8))
    }
    (self.step, secondsBefore) = (step, seconds)
  }

  /// Runs until all steps are done or a stop is asked for.
  ///
  /// - Parameters:
  ///   - shouldStop: Asked after each step; the state is then written.
  ///   - report: Told the step and the mean loss since the last report.
  /// - Returns: Whether all steps are done.
  /// - Throws: ``TrainingError/notFinite(step:what:)``, or what writing files throws.
  public func run(
    shouldStop: () -> Bool, report: (_ step: Int, _ loss: Double) -> Void
  ) throws -> Bool {
    model.setTraining(true)
    model.setRequiresGradient(true)
    var (sum, count) = (0.0, 0)
    var lastCheckpoint = Date()
    let steps = configuration.train.iterations
    while step < steps {
      let rate = schedule.rate(at: step)
      let (loss, norm) = try learn(rate)
      step += 1
      (sum, count) = (sum + loss, count + 1)
      let isLast = step == steps
      if step.isMultiple(of: configuration.train.logEvery) || isLast {
        try runFolder.append(
          StepRecord(
            step: step, loss: sum / Double(count), learningRate: rate, gradientNorm: norm,
            seconds: seconds))
        report(step, sum / Double(count))
        (sum, count) = (0, 0)
      }
      if step.isMultiple(of: configuration.train.validateEvery) || isLast { try validate() }
      let isDue =
        step.isMultiple(of: configuration.checkpoint.everySteps)
        || -lastCheckpoint.timeIntervalSinceNow >= configuration.checkpoint.everyMinutes * 60
      let stops = shouldStop()
      if isDue || isLast || stops {
        try writeState()
        lastCheckpoint = Date()
      }
      if stops && !isLast { return false }
    }
    return true
  }

  private var seconds: Double { secondsBefore - start.timeIntervalSinceNow }

  private func learn(_ rate: Double) throws -> (loss: Double, norm: Double) {
    model.restartDropout(seed: configuration.seed, step: step)
    return try Engine.shared.perform { () throws in
      let (images, masks) = dataset.batch(
        step: step, count: configuration.train.batch, seed: configuration.seed)
      let loss = model(images).binaryCrossEntropy(target: masks)
      guard loss.scalar.isFinite else { throw TrainingError.notFinite(step: step, what: "loss") }
      let norm = optimizer.step(loss.gradients(), learningRate: rate)
      guard norm.isFinite else { throw TrainingError.notFinite(step: step, what: "gradient") }
      return (Double(loss.scalar), norm)
    }
  }

  private func validate() throws {
    model.setTraining(false)
    model.setRequiresGradient(false)
    defer {
      model.setTraining(true)
      model.setRequiresGradient(true)
    }
    let (cup, disc) = Engine.shared.perform { dataset.validationDice { model($0) } }
    let isBest = best.map { cup + disc > $0.cup + $0.disc } ?? true
    if isBest {
      best = Scores(step: step, cup: cup, disc: disc)
      try writeWeights(to: runFolder.best)
    }
    try runFolder.append(
      ValidationRecord(
        step: step, cupDice: cup, discDice: disc, validationDice: (cup + disc) / 2,
        isBest: isBest))
    try runFolder.drawProgress()
  }

  private func writeWeights(to path: String) throws {
    var writer = SafetensorsWriter(metadata: ["step": "\(step)"])
    writer.add(stateOf: model)
    try runFolder.write(writer.encoded(), to: path)
  }

  private func writeState() throws {
    try writeWeights(to: runFolder.latest)
    var metadata = ["format": Self.format, "step": "\(step)", "seconds": "\(seconds)"]
    if let best {
      metadata["best"] = String(decoding: try JSONEncoder().encode(best), as: UTF8.self)
    }
    var writer = SafetensorsWriter(metadata: metadata)
    writer.add(stateOf: model, prefix: "model.")
    for (name, tensor) in optimizer.state { writer.add(tensor, named: name) }
    try runFolder.write(writer.encoded(), to: runFolder.state)
  }
}
