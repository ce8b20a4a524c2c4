import Foundation
import Imaging
public import Inference
public import Layers
public import Models
import Randomness
import TensorCore

/// Trains a U-Net with deep supervision on an nnU-Net raw folder, configured by the folder's fingerprint.
///
/// Cross-entropy plus Dice on the output and, with halving weights, on those of coarser levels; a third
/// of the patches lie around structures. The best checkpoint is the one with the highest mean Dice of
/// all structures on cases held back. What a step draws depends on the seed and the step alone, so that
/// an interrupted run goes on to the bit.
///
/// Source: Isensee et al., *nnU-Net*, Nature Methods 18, 2021, in its spirit.
public final class SegmentationTrainer {
  /// The name of this way of training in configurations, `model.arch`.
  public static let architecture = "unet-segmentation"

  /// The configuration for a folder without a file: what the keys are if nobody sets them.
  ///
  /// - Parameter folder: An nnU-Net raw folder.
  /// - Returns: With the batch of the folder's plan.
  public static func defaults(for folder: String) -> TrainingConfiguration {
    var configuration = TrainingConfiguration()
    configuration.model.arch = architecture
    configuration.model.preset = "auto"
    configuration.model.name = "segmentation"
    configuration.data.split = folder
    configuration.optim.learningRate = 2e-3
    configuration.optim.weightDecay = 3e-5
    configuration.optim.name = "adamw"
    configuration.schedule.warmup = 20
    configuration.train.iterations = 2000
    configuration.train.batch = 0
    configuration.train.validateEvery = 200
    configuration.train.logEvery = 20
    return configuration
  }

  let configuration: TrainingConfiguration
  let network: UNet
  private let dataset: SegmentationDataset
  private let loop: TrainingLoop<DiceScores>

  /// How images are seen.
  public var plan: SegmentationPlan { dataset.plan }
  /// Steps done.
  public var step: Int { loop.step }
  /// The best validation so far.
  public var best: DiceScores? { loop.best }
  /// Samples of a step: the configuration's, or what the plan suggests.
  public var batch: Int { configuration.train.batch > 0 ? configuration.train.batch : plan.batch }
  /// What is worth telling about the start, one sentence each.
  public var warnings: [String] { loop.warnings + dataset.warnings }
  /// Names of the cases held back.
  public var validationNames: [String] { dataset.validation.map(\.name) }
  /// How many convolutions of each kind the network has.
  public var convolutions: [ConvolutionKind: Int] { network.convolutionCounts }

  private static let weightStream: UInt64 = 0
  private static let format = "restore-segmentation-training-2"

  /// Reads the folder, plans, and makes the run folder, or continues the run in it.
  ///
  /// - Parameters:
  ///   - configuration: Its `data.split` is the folder. `model.preset` is `auto`, `2d` or `3d`.
  ///   - folder: The run folder.
  ///   - resume: Whether to continue a run that is there; without it there must be none.
  ///   - progress: Told what is being done.
  /// - Throws: ``TrainingError``, `ModelError`, or what reading images throws.
  public init(
    _ configuration: TrainingConfiguration, folder: String, resume: Bool = false,
    progress: (String) -> Void = { _ in }
  ) throws {
    guard let axes = SegmentationPlanner.Axes(rawValue: configuration.model.preset) else {
      throw TrainingError.invalidValue(
        key: "model.preset", reason: "`\(configuration.model.preset)` is not auto, 2d or 3d")
    }
    try configuration.requireNoUnheededKeys(heeding: [
      "validation_share", "split_seed", "cache_megabytes", "flips", "deforms",
    ])
    guard configuration.model.hyperparameters.isEmpty else {
      throw TrainingError.invalidValue(
        key: "model.hyperparameters",
        reason: "do not go with `\(Self.architecture)`: the plan of the folder decides")
    }
    self.configuration = configuration
    try RunFolder.check(folder, configuration: configuration, resume: resume)
    dataset = try SegmentationDataset(
      NNUNetFolder(path: configuration.data.split), configuration.data,
      planner: SegmentationPlanner(axes: axes), progress: progress)
    var choice = ConvolutionChoice()
    if case .choice(let chosen) = configuration.model.convolution { choice = chosen }
    let network = Self.network(for: dataset.plan, choice)
    try network.validate()
    if let bound = network.convolution.boundSize {
      guard dataset.plan.patch == [bound.height, bound.width], dataset.isOfOneSize,
        !configuration.data.flips, !configuration.data.deforms
      else {
        throw TrainingError.invalidValue(
          key: "model.convolution",
          reason: "is bound to places of images of \(bound.height)x\(bound.width): all images must "
            + "have the size of the patch, \(dataset.plan.patch), and data.flips and data.deforms be false"
        )
      }
    }
    var generator = SeededGenerator(seed: configuration.seed, stream: Self.weightStream)
    self.network = try UNet(network, using: &generator)
    if self.network.convolutionCounts[.fdconv] != nil,
      (configuration.train.batch > 0 ? configuration.train.batch : dataset.plan.batch) < 2
    {
      throw TrainingError.invalidValue(
        key: "train.batch", reason: "is 1, but the batch norm of fdconv layers needs 2")
    }
    if !(resume && RunFolder.hasState(folder)) {
      try configuration.model.initialWeights.load(into: self.network)
    }
    // After all that a flaw of the data may end.
    let runFolder = try RunFolder(folder, configuration: configuration, resume: resume)
    try Self.keep(dataset, of: configuration, in: runFolder)
    loop = try TrainingLoop(
      self.network, configuration.optim.makeOptimizer(for: self.network.parameters),
      configuration.plan(
        samples: configuration.train.batch > 0 ? configuration.train.batch : dataset.plan.batch),
      format: Self.format, in: runFolder, resume: resume)
  }

  /// Writes the plan and who is in which part; a run that goes on must have the same.
  private static func keep(
    _ dataset: SegmentationDataset, of configuration: TrainingConfiguration,
    in runFolder: RunFolder
  ) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    let plan = try encoder.encode(dataset.plan)
    let path = runFolder.path + "/plan.json"
    if runFolder.hasBegun, let stored = FileManager.default.contents(atPath: path), stored != plan {
      throw TrainingError.cannotResume(
        folder: runFolder.path,
        reason: "\(configuration.data.split) has other images than when the run began")
    }
    let parts = [
      "train": dataset.train.map(\.name), "validation": dataset.validation.map(\.name),
    ]
    try runFolder.keep(
      RunFolder.json(ofParts: parts), of: "segmentation", from: configuration.data.split)
    try runFolder.write(plan, to: path)
  }

  /// The network for a plan: 16 channels on the first level, twice as many on each further one up to 128.
  public static func network(
    for plan: SegmentationPlan, _ choice: ConvolutionChoice
  ) -> UNetConfiguration {
    var network = UNetConfiguration()
    network.inChannels = plan.channels.count
    network.outChannels = plan.labels.count + 1
    network.channels = (0...plan.pooling.count).map { min(128, 16 << $0) }
    network.axes = plan.axes
    network.isResidual = false
    network.hasDeepSupervision = true
    network.pooling = plan.pooling.joined().allSatisfy { $0 == 2 } ? [] : plan.pooling
    network.convolution = choice
    return network
  }

  // MARK: - The loop

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
          step: step, count: batch, seed: configuration.seed, flips: configuration.data.flips,
          deforms: configuration.data.deforms)
      },
      gradients: { batch, sum in
        let loss = loss(of: batch.images, labels: batch.labels)
        loss.addGradients(to: &sum)
        return Double(loss.scalar)
      },
      validation: { step in
        let segmenter = try VolumeSegmenter(network, plan: plan, overlap: 0.25)
        let dice = try dataset.validationDice(
          most: configuration.train.validationSlices, segmenter)
        return DiceScores(step: step, structures: plan.labels.map(\.name), dice: dice)
      }, shouldStop: shouldStop, report: report)
  }

  private func loss(of images: Tensor, labels: Tensor) -> Tensor {
    let outputs = network.outputs(images)
    // Half the weight on each coarser level, all weights together 1.
    let weights = outputs.indices.map { pow(0.5, Double($0)) }
    let total = weights.reduce(0, +)
    var loss: Tensor?
    for (output, weight) in zip(outputs, weights) {
      let sizes = Array(output.shape.dimensions.dropFirst().dropLast())
      let target = labels.resized(to: sizes, mode: .nearest)
      let term = output.segmentationLoss(target: target).scaled(by: Float(weight / total))
      loss = loss.map { $0 + term } ?? term
    }
    guard let loss else { preconditionFailure("segmentation training: no output") }
    return loss
  }

  // MARK: - Files

  /// Writes the best checkpoint as a model bundle with its plan, `RUN/bundle`.
  ///
  /// - Returns: The bundle's folder.
  /// - Throws: What reading the checkpoint and writing the files throws.
  public func exportBundle() throws -> String {
    let runFolder = loop.runFolder
    let folder = runFolder.path + "/bundle"
    let stored = try Safetensors(contentsOf: runFolder.exported)
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    var writer = SafetensorsWriter()
    for entry in network.state {
      if case .derived = entry.content { continue }
      if let tensor = stored.tensor(named: entry.name) { writer.add(tensor, named: entry.name) }
    }
    try runFolder.write(writer.encoded(), to: folder + "/weights.safetensors")
    var metrics: [String: Double] = [:]
    if let best {
      for (label, dice) in zip(plan.labels, best.dice) {
        metrics["validation_dice_\(label.name)"] = dice
      }
    }
    var channels = ModelCard.DataFormat(modality: plan.channels[0].name, channel: "")
    channels.numChannels = plan.channels.count
    channels.channelDef = Dictionary(
      uniqueKeysWithValues: plan.channels.enumerated().map { ("\($0)", $1.name) })
    var classes = ModelCard.DataFormat(modality: plan.channels[0].name, channel: "background")
    (classes.format, classes.numChannels) = ("segmentation", plan.labels.count + 1)
    for label in plan.labels { classes.channelDef["\(label.value)"] = label.name }
    var card = ModelCard(
      name: configuration.model.name, version: "1.0.0", network: ModelDescription(network),
      interface: .init(
        task: .segment, input: channels, output: classes, normalization: .zScore()),
      sizeMultiple: network.sizeMultiple,
      trainingData: "\(dataset.train.count) cases of the folder "
        + "\(URL(fileURLWithPath: configuration.data.split).lastPathComponent), from "
        + "\(configuration.model.initialWeights.origin).",
      intendedUse: "Research on " + plan.labels.map(\.name).joined(separator: ", ")
        + " in images like those of the training.",
      limitations: "Not for diagnosis or treatment. Not tested on images unlike the training data.",
      metrics: metrics,
      weightsSHA256: try SHA256.hexadecimal(ofFile: folder + "/weights.safetensors"),
      references: ["Isensee et al., nnU-Net, Nature Methods 18, 2021 (how plans are made)."],
      license: "Apache-2.0")
    card.plan = plan
    try card.write(toBundle: folder)
    return folder
  }
}
