import Foundation
import Layers
import Models
import Randomness
import TensorCore

/// Trains the optic disc and cup network on a folder of photographs with masks.
///
/// Mean binary cross-entropy of both classes; the best checkpoint is the one with the highest mean Dice
/// on images held back for validation, which are never learnt from. From random weights: there is no
/// pretraining.
///
/// Source: Chen et al., *TVConv*, CVPR 2022, §4.2, who choose by the test images.
public final class FundusTrainer {
  /// The Dice scores of a validation.
  public struct Scores: Sendable, Equatable {
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
  }

  private struct ValidationRecord: Encodable {
    let step: Int
    let cupDice: Double
    let discDice: Double
    let isBest: Bool
  }

  private let configuration: TrainingConfiguration
  private let runFolder: RunFolder
  private let model: TVConvNet
  private let optimizer: any Optimizer
  private let schedule: LearningRateSchedule
  private let dataset: FundusDataset

  /// The best validation so far.
  public private(set) var best: Scores?

  /// Names of the images held back.
  public var validationNames: [String] { dataset.validation.map(\.name) }

  /// Where the best weights go.
  public var bestWeights: String { runFolder.best }

  private static let weightStream: UInt64 = 0

  /// Reads the images and makes the run folder.
  ///
  /// - Parameters:
  ///   - configuration: Its `data.split` is the folder of images; `data.validation_share` and
  ///     `data.split_seed` say which of them are held back. Of the model it is the preset that counts.
  ///   - folder: The run folder; must not hold a run.
  /// - Throws: ``TrainingError``, `ModelError`, or what reading images throws.
  public init(_ configuration: TrainingConfiguration, folder: String) throws {
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
    runFolder = try RunFolder(folder, configuration: configuration, resume: false)
    optimizer = configuration.optim.makeOptimizer(for: model.parameters)
    schedule = LearningRateSchedule(configuration)
  }

  /// Runs until all steps are done or a stop is asked for.
  ///
  /// - Parameters:
  ///   - shouldStop: Asked after each step.
  ///   - report: Told the step and the mean loss since the last report.
  /// - Returns: Whether all steps are done.
  /// - Throws: ``TrainingError/notFinite(step:what:)``, or what writing files throws.
  public func run(
    shouldStop: () -> Bool, report: (_ step: Int, _ loss: Double) -> Void
  ) throws -> Bool {
    model.setTraining(true)
    model.setRequiresGradient(true)
    var (sum, count) = (0.0, 0)
    let steps = configuration.train.iterations
    for step in 0..<steps {
      let rate = schedule.rate(at: step)
      let (loss, norm) = try learn(step, rate)
      (sum, count) = (sum + loss, count + 1)
      let isLast = step + 1 == steps
      if (step + 1).isMultiple(of: configuration.train.logEvery) || isLast {
        try runFolder.append(
          StepRecord(
            step: step + 1, loss: sum / Double(count), learningRate: rate, gradientNorm: norm))
        report(step + 1, sum / Double(count))
        (sum, count) = (0, 0)
      }
      let stops = shouldStop()
      if (step + 1).isMultiple(of: configuration.train.validateEvery) || isLast || stops {
        try validate(step + 1)
      }
      if stops && !isLast { return false }
    }
    return true
  }

  private func learn(_ step: Int, _ rate: Double) throws -> (loss: Double, norm: Double) {
    try Engine.shared.perform { () throws in
      let (images, masks) = dataset.batch(
        step: step, count: configuration.train.batch, seed: configuration.seed)
      let loss = model(images).binaryCrossEntropy(target: masks)
      guard loss.scalar.isFinite else { throw TrainingError.notFinite(step: step, what: "loss") }
      let norm = optimizer.step(loss.gradients(), learningRate: rate)
      guard norm.isFinite else { throw TrainingError.notFinite(step: step, what: "gradient") }
      return (Double(loss.scalar), norm)
    }
  }

  private func validate(_ step: Int) throws {
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
      try write(to: runFolder.best, step)
    }
    try write(to: runFolder.latest, step)
    try runFolder.append(
      ValidationRecord(step: step, cupDice: cup, discDice: disc, isBest: isBest))
  }

  private func write(to path: String, _ step: Int) throws {
    var writer = SafetensorsWriter(metadata: ["step": "\(step)"])
    writer.add(stateOf: model)
    try runFolder.write(writer.encoded(), to: path)
  }
}
