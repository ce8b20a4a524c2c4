import Foundation
import Imaging
import Layers
import Models
import Randomness
import TensorCore

/// Trains a restoration network on clean scans with simulated degradation.
public final class Trainer {
  let configuration: TrainingConfiguration
  let model: any RestorationModel
  let dataset: SliceDataset
  let loop: TrainingLoop<Validation.Findings>
  private let loss: RestorationLoss
  private let validation: Validation
  let teachers: Teachers

  /// What is worth telling about the start, one sentence each.
  public var warnings: [String] {
    loop.warnings + Set(dataset.warnings + validation.warnings).sorted()
      + [normalizationWarning].compactMap(\.self)
  }

  /// What a bundle cannot say: it normalises images one way.
  var normalizationWarning: String? {
    let first = configuration.allTasks[0]
    guard
      let other = configuration.allTasks.first(where: { $0.normalization != first.normalization })
    else { return nil }
    return "the task \(other.name) is normalised by `\(other.normalization)`, but the bundle "
      + "normalises all images by `\(first.normalization)`, as the task \(first.name)"
  }

  private static let weightStream: UInt64 = 0
  private static let format = "restore-training-2"

  /// Reads the data and prepares the run folder; continues from its state if `resume` is true.
  ///
  /// - Parameters:
  ///   - configuration: Validated; the split's path must be usable from the working directory.
  ///   - folder: The run folder; made if absent.
  ///   - resume: Whether to continue a run that is there.
  ///   - shouldStop: Asked while the data are prepared.
  ///   - preparing: Told how many of how many scans are read.
  /// - Throws: ``TrainingError``, or what reading images, weights and configurations throws.
  public init(
    _ configuration: TrainingConfiguration, folder: String, resume: Bool,
    shouldStop: @Sendable () -> Bool = { false },
    preparing: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws {
    try configuration.validate()
    self.configuration = configuration
    var generator = SeededGenerator(seed: configuration.seed, stream: Self.weightStream)
    model = try configuration.networkDescription().makeModel(using: &generator)
    if !(resume && RunFolder.hasState(folder)),
      let weights = try configuration.model.initialWeights.read()
    {
      try model.load(weights.widened(toInputsOf: model))
    }
    if configuration.train.checkpointActivations, model.setCheckpointsActivations(true) == 0 {
      throw TrainingError.invalidValue(
        key: "train.checkpoint_activations",
        reason: "`\(configuration.model.arch)` has no parts that can be computed again")
    }
    loss = RestorationLoss(configuration.loss)
    teachers = try Teachers(configuration)
    let splits = try configuration.splits()
    try Self.check(model, configuration)
    // After all that a mistake in a configuration may end, and before minutes of preparation.
    let runFolder = try RunFolder(folder, configuration: configuration, resume: resume)
    try Self.keep(splits, of: configuration, in: runFolder)
    dataset = try SliceDataset(
      configuration, splits: splits, shouldStop: shouldStop, report: preparing)
    guard !shouldStop() else { throw TrainingError.stopped }
    validation = try Validation(configuration, splits)
    guard !shouldStop() else { throw TrainingError.stopped }
    try Self.check(model, configuration, validation)
    loop = try TrainingLoop(
      model, configuration.optim.makeOptimizer(for: model.parameters),
      configuration.plan(samples: configuration.train.batch), format: Self.format, in: runFolder,
      resume: resume)
  }

  /// Writes who is in which part into the run folder; a run that goes on must have the same.
  private static func keep(
    _ splits: [DataSplit], of configuration: TrainingConfiguration, in runFolder: RunFolder
  ) throws {
    for (section, split) in zip(configuration.allTasks, splits) {
      try runFolder.keep(try split.json(), of: section.name, from: section.split)
    }
  }

  /// Runs until all steps are done or a stop is asked for; writes checkpoints on the way.
  ///
  /// - Parameters:
  ///   - shouldStop: Asked after each step.
  ///   - report: Told from time to time.
  /// - Returns: Whether the run is finished or can be resumed.
  /// - Throws: ``TrainingError/notFinite(step:what:)``, or what writing files throws.
  public func run(
    shouldStop: () -> Bool, report: (TrainingProgress) -> Void
  ) throws -> TrainingOutcome {
    let section = configuration.train
    let batches = BatchQueue(
      from: loop.step, to: section.iterations, capacity: section.prefetch
    ) { [dataset] step in Result { try dataset.batch(step: step, batch: section.batch) } }
    return try loop.run(
      batch: { step in
        (try batches.next().get(), dataset.tasks(step: step, batch: section.batch))
      },
      gradients: { batch, sum in
        let (images, tasks) = batch
        let clean = teachers.targets(images.noisy, images.clean, tasks: tasks)
        return addGradients((images.noisy, clean), to: &sum)
      },
      validation: { _ in
        let findings = validation.findings { model($0) }
        try loop.show(validation.pictures { model($0) })
        return findings
      }, shouldStop: shouldStop, report: report)
  }

  /// Adds the gradient of the loss, part by part, and returns the loss.
  private func addGradients(
    _ batch: (noisy: Tensor, clean: Tensor), to gradients: inout Gradients
  ) -> Double {
    let parts = configuration.train.accumulate
    let samples = batch.noisy.shape[0] / parts
    var sum = 0.0
    for part in 0..<parts {
      let range = part * samples..<(part + 1) * samples
      let value = loss(
        of: model, batch.noisy.sliced(axis: 0, range), batch.clean.sliced(axis: 0, range)
      ).scaled(by: 1 / Float(parts))
      sum += Double(value.scalar)
      value.addGradients(to: &gradients)
    }
    return sum
  }

  /// Makes sure that the network is one for the slices of the data.
  private static func check(
    _ model: any RestorationModel, _ configuration: TrainingConfiguration
  ) throws(TrainingError) {
    let (batch, parts) = (configuration.train.batch, configuration.train.accumulate)
    if model.convolutionCounts[.fdconv] != nil && batch / parts < 2 {
      throw .invalidValue(
        key: batch < 2 ? "train.batch" : "train.accumulate",
        reason:
          "leaves \(batch / parts) sample at a time, but the batch norm of fdconv layers needs 2"
      )
    }
    let channels = 2 * configuration.allTasks[0].neighbours + 1
    guard model.inChannels == channels, model.outChannels == 1 else {
      throw .invalidValue(
        key: "model.hyperparameters",
        reason:
          "the network takes \(model.inChannels) and gives \(model.outChannels) channels; slices with "
          + "data.neighbours \(configuration.allTasks[0].neighbours) have \(channels), their targets 1"
      )
    }
    guard model.spatialAxes == 2 else {
      throw .invalidValue(
        key: "model.hyperparameters",
        reason: "the network is for volumes, and slices are trained on")
    }
    let crop = configuration.allTasks[0].crop
    if let network = model as? FSRWKV, crop <= network.sizeMultiple, batch / parts < 2 {
      throw .invalidValue(
        key: "data.crop",
        reason: "is \(crop): that leaves one pixel on the coarsest level, of one sample at a time; "
          + "batch norm needs 2")
    }
    if let network = model as? UNet {
      try network.requireTraining(
        on: crop, samples: batch / parts,
        loss: RestorationLoss(configuration.loss))
    }
  }

  /// Makes sure that a network that is bound to one size of images sees no other.
  private static func check(
    _ model: any RestorationModel, _ configuration: TrainingConfiguration, _ validation: Validation
  ) throws(TrainingError) {
    guard let bound = model.boundSize else { return }
    let size = "\(bound.height)x\(bound.width)"
    for section in configuration.allTasks
    where section.crop != bound.height || section.crop != bound.width {
      throw .invalidValue(
        key: "data.crop", reason: "is \(section.crop), but the network is bound to \(size)")
    }
    for shape in validation.shapes where shape[1] != bound.height || shape[2] != bound.width {
      throw .invalidValue(
        key: "model.convolution",
        reason: "binds the network to \(size), but there is a slice of \(shape[1])x\(shape[2])")
    }
  }
}
