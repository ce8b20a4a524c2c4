import Foundation
import Imaging
import Inference
import Layers
public import Models
import Randomness
import TensorCore

/// Trains a ``GDKVM`` on simulated clips.
///
/// The loss of a clip is cross-entropy and Dice at sampled points of every supervised frame, and those
/// of the auxiliary maps with a small weight. Half of the steps (by default) are given the true first
/// mask, so that the network can do with or without one.
public final class EchoTrainer {
  /// The network.
  public let model: GDKVM
  /// What the run depends on.
  public let configuration: EchoTrainingConfiguration

  private let loop: TrainingLoop<DiceScores>
  private let data: EchoDataset
  private let validation: EchoDataset

  /// The best validation so far.
  public var best: DiceScores? { loop.best }
  /// Its Dice on simulated hearts, by the names that figures have in the card; none before the first validation.
  public var metrics: [String: Double] {
    let names = HeartLabel.structures.map { "dice_simulated_\($0)" }
    return Dictionary(uniqueKeysWithValues: zip(names, best?.dice ?? []))
  }

  /// What is worth telling about the start, one sentence each.
  public var warnings: [String] { loop.warnings }

  private static let weightStream: UInt64 = 1
  private static let sampleStream: UInt64 = 2
  private static let format = "restore-echo-training-2"

  /// A run in a folder, new or continued.
  ///
  /// - Parameters:
  ///   - configuration: What the run depends on.
  ///   - folder: The run folder.
  ///   - resume: Whether to continue the run that is there; without it there must be none.
  /// - Throws: ``TrainingError``, or what reading and writing files throws.
  public init(
    _ configuration: EchoTrainingConfiguration, folder: String, resume: Bool
  ) throws {
    try configuration.validate()
    self.configuration = configuration
    try RunFolder.check(folder, configuration: configuration, resume: resume)
    var generator = SeededGenerator(seed: configuration.seed, stream: Self.weightStream)
    model = try GDKVM(configuration.network, using: &generator)
    if !configuration.initialWeights.isEmpty, !(resume && RunFolder.hasState(folder)) {
      try model.load(startingFrom: Safetensors(contentsOf: configuration.initialWeights))
    }
    let size = (height: configuration.size[0], width: configuration.size[1])
    // Wherever that lands, the seeds of all hearts must follow.
    let seed = min(
      configuration.seed &* 100_000,
      UInt64.max - 2000 - UInt64(EchoTrainingConfiguration.mostHearts))
    func hearts(_ first: UInt64, _ count: Int) -> EchoDataset {
      EchoDataset(
        seeds: seed + first..<seed + first + UInt64(count), frames: configuration.cycleFrames,
        size: size, objects: configuration.network.objects)
    }
    data = hearts(1000, configuration.hearts)
    validation = hearts(0, configuration.validationHearts)
    // After all that a mistake in a configuration or a file of weights may end.
    let runFolder = try RunFolder(folder, configuration: configuration, resume: resume)
    loop = try TrainingLoop(
      model, Self.optimizer(of: model, configuration), configuration.plan, format: Self.format,
      in: runFolder, resume: resume)
  }

  /// AdamW in which the gates' `A_log` and `dt_bias` do not decay.
  private static func optimizer(
    of model: GDKVM, _ configuration: EchoTrainingConfiguration
  ) -> OptimizerGroups {
    let isGate = { (name: String) in name == "A_log" || name == "dt_bias" }
    var section = TrainingConfiguration.OptimizerSection()
    section.name = "adamw"
    section.weightDecay = configuration.weightDecay
    section.clip = configuration.clip
    let weights = section.makeOptimizer(for: model.parameters.filter { !isGate($0.name) })
    section.weightDecay = 0
    let gates = section.makeOptimizer(for: model.parameters.filter { isGate($0.name) })
    return OptimizerGroups([weights, gates])
  }

  // MARK: - The loop

  /// What a step learns from, and the generator of what it still draws.
  private struct StepBatch {
    let clips: EchoBatch
    let hasMask: Bool
    let generator: SeededGenerator
  }

  /// Trains until the last step or until told to stop.
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
      batch: batch,
      gradients: { batch, sum in
        var generator = batch.generator
        let loss = loss(of: batch.clips, hasMask: batch.hasMask, using: &generator)
        loss.addGradients(to: &sum)
        return Double(loss.scalar)
      },
      validation: { step in
        let names = HeartLabel.structures.prefix(configuration.network.objects).map(\.name)
        return DiceScores(step: step, structures: names, dice: try validate())
      }, shouldStop: shouldStop, report: report)
  }

  /// The draws of a step depend on the seed and the step alone.
  private func batch(of step: Int) -> StepBatch {
    var generator = SeededGenerator(
      seed: configuration.seed, stream: Self.sampleStream, UInt64(step))
    let clips = data.batch(
      configuration.batch, frames: configuration.frames,
      shadows: configuration.shadows, using: &generator)
    let hasMask = generator.nextUniformDouble() < configuration.firstMaskPart
    return StepBatch(clips: clips, hasMask: hasMask, generator: generator)
  }

  private func loss(
    of batch: EchoBatch, hasMask: Bool, using generator: inout SeededGenerator
  ) -> Tensor {
    let (frames, _) = model.segmented(
      batch.clips, firstMasks: hasMask ? batch.firstMasks : nil, withAuxiliary: true)
    let indices =
      configuration.supervisesAllFrames ? Array(frames.indices) : [0, frames.count - 1]
    let clips = batch.clips.shape[0]
    var total: Tensor?
    for clip in 0..<clips {
      /// The supervised frames of this clip, `[F, H, W, N + 1]`.
      func maps(_ map: (GDKVMFrame) -> Tensor) -> Tensor {
        .concatenate(
          indices.map { map(frames[$0]).sliced(axis: 0, clip..<clip + 1) }, axis: 0)
      }
      let labels = Tensor.concatenate(
        indices.map { index in
          let label = batch.labels.sliced(axis: 0, clip..<clip + 1)
            .sliced(axis: 1, index..<index + 1)
          return label.reshaped(to: Shape([1] + label.shape.dimensions.suffix(3)))
        }, axis: 0)
      func term(_ logits: Tensor, _ weight: Double) -> Tensor {
        PointLoss.total(
          logits: logits, labels: labels, points: configuration.points, using: &generator
        ).scaled(by: Float(weight / Double(clips)))
      }
      var sum = term(maps(\.logits), 1)
      if configuration.auxiliaryWeight > 0 {
        let sensory = maps { frame in
          guard let logits = frame.sensoryLogits else {
            preconditionFailure("echo training: no auxiliary logits")
          }
          return Aggregation.logOdds(logits: logits)
        }
        sum = sum + term(sensory, configuration.auxiliaryWeight)
        for level in frames[0].queryLogits.indices {
          let query = maps { Aggregation.logOdds(logits: $0.queryLogits[level]) }
          sum = sum + term(query, configuration.auxiliaryWeight)
        }
      }
      total = total.map { $0 + sum } ?? sum
    }
    guard let total else { preconditionFailure("echo training: an empty batch") }
    return total
  }

  // MARK: - Validation

  /// The mean Dice of each structure over all frames of the validation hearts, without a first mask.
  ///
  /// - Throws: `InferenceError.outputNotFinite` if the network makes no numbers.
  private func validate() throws -> [Double] {
    model.setTraining(false)
    model.setRequiresGradient(false)
    return try EchoEvaluation(
      model, on: validation.clips, shadows: configuration.shadows, seed: configuration.seed
    ).dice
  }

  // MARK: - Files

  /// Writes the best checkpoint in half precision as a bundle, `FOLDER/bundle`.
  ///
  /// - Returns: The bundle's folder.
  /// - Throws: What reading the checkpoint and writing the files throws.
  public func exportBundle() throws -> String {
    let runFolder = loop.runFolder
    let bundle = runFolder.path + "/bundle"
    let stored = try Safetensors(contentsOf: runFolder.exported)
    try FileManager.default.createDirectory(atPath: bundle, withIntermediateDirectories: true)
    var writer = SafetensorsWriter()
    for entry in model.state {
      if case .derived = entry.content { continue }
      if entry.name.hasSuffix("num_batches_tracked") { continue }
      if let tensor = stored.tensor(named: entry.name) {
        writer.add(deployed: tensor, named: entry.name)
      }
    }
    try runFolder.write(writer.encoded(), to: bundle + "/weights.safetensors")
    let card = ModelCard(
      name: configuration.name, version: "1.0.0", network: ModelDescription(model),
      interface: .clips(configuration.network, size: configuration.size),
      sizeMultiple: GDKVM.sizeStep,
      trainingData: "Simulated clips of beating hearts only, \(configuration.hearts) of them; "
        + "no real echocardiogram.",
      intendedUse: "Research on segmentation of apical echocardiography clips.",
      limitations: "Not for diagnosis or treatment. Never saw a real heart: on real clips it may "
        + "find nothing, or something else.",
      metrics: metrics,
      weightsSHA256: try SHA256.hexadecimal(ofFile: bundle + "/weights.safetensors"),
      references: ["GDKVM, ICCV 2025, arXiv 2512.10252."], license: "Apache-2.0")
    try card.write(toBundle: bundle)
    return bundle
  }
}
