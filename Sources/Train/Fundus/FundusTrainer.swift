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
  let configuration: TrainingConfiguration
  let model: TVConvNet
  let loop: TrainingLoop<DiceScores>
  private let dataset: FundusDataset

  /// Steps done.
  public var step: Int { loop.step }

  /// The best validation so far: the Dice of cup and disc, means over images.
  public var best: DiceScores? { loop.best }

  /// What is worth telling about the start, one sentence each.
  public var warnings: [String] { loop.warnings + dataset.warnings }

  /// Names of the images held back.
  public var validationNames: [String] { dataset.validation.map(\.name) }

  /// The number of images that are learnt from.
  public var trainingCount: Int { dataset.train.count }

  /// Where the best weights go.
  public var bestWeights: String { loop.runFolder.best }

  private static let weightStream: UInt64 = 0
  private static let format = "restore-fundus-training-3"

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
    try configuration.requireNoUnheededKeys(
      heeding: ["validation_share", "split_seed"], countsSlices: false)
    self.configuration = configuration
    try RunFolder.check(folder, configuration: configuration, resume: resume)
    var generator = SeededGenerator(seed: configuration.seed, stream: Self.weightStream)
    guard
      let model = try configuration.model.description().makeModel(using: &generator) as? TVConvNet,
      model.outChannels == 2
    else {
      throw TrainingError.invalidValue(
        key: "model.arch", reason: "is not \(TVConvNet.architecture) with two classes")
    }
    self.model = model
    dataset = try FundusDataset(
      folder: configuration.data.split, side: model.configuration.imageSize,
      validationShare: configuration.data.validationShare, seed: configuration.data.splitSeed)
    if !(resume && RunFolder.hasState(folder)) {
      try configuration.model.initialWeights.load(into: model)
    }
    let runFolder = try RunFolder(folder, configuration: configuration, resume: resume)
    let parts = [
      "train": dataset.train.map(\.name), "validation": dataset.validation.map(\.name),
    ]
    try runFolder.keep(
      RunFolder.json(ofParts: parts), of: "fundus", from: configuration.data.split)
    loop = try TrainingLoop(
      model, configuration.optim.makeOptimizer(for: model.parameters),
      configuration.plan(samples: configuration.train.batch), format: Self.format, in: runFolder,
      resume: resume)
  }

  /// Runs until all steps are done or a stop is asked for.
  ///
  /// - Parameters:
  ///   - shouldStop: Asked after each step; the state is then written.
  ///   - report: Told from time to time.
  /// - Returns: Whether the run is finished or can be resumed.
  /// - Throws: ``TrainingError/notFinite(step:what:)``, or what writing files throws.
  public func run(
    shouldStop: () -> Bool, report: (TrainingProgress) -> Void
  ) throws -> TrainingOutcome {
    try loop.run(
      batch: { step in
        dataset.batch(
          step: step, count: configuration.train.batch, seed: configuration.seed)
      },
      gradients: { batch, sum in
        let loss = model(batch.images).binaryCrossEntropy(target: batch.masks)
        loss.addGradients(to: &sum)
        return Double(loss.scalar)
      },
      validation: { step in
        let (cup, disc) = Engine.shared.perform { dataset.validationDice { model($0) } }
        return DiceScores(step: step, structures: ["cup", "disc"], dice: [cup, disc])
      }, shouldStop: shouldStop, report: report)
  }
}
