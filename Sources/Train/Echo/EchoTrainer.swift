import Foundation
import Imaging
public import Inference
import Layers
public import Models
import Randomness
import TensorCore

/// How far a training on clips is.
public struct EchoTrainingProgress: Codable, Sendable {
  /// Steps done.
  public let step: Int
  /// Steps in all.
  public let steps: Int
  /// The mean loss since the last report.
  public let loss: Double
  /// Mean Dice of each structure on the validation hearts, if this step validated.
  public let dice: [Double]?
  /// Seconds of training so far.
  public let seconds: Double
}

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

  private let folder: String
  private let weights: Adam
  /// A_log and dt_bias, which are not decayed.
  private let gates: Adam
  private let data: EchoDataset
  private let validation: EchoDataset
  private var step = 0
  private var secondsBefore = 0.0

  private var latest: String { folder + "/latest.safetensors" }
  private var logPath: String { folder + "/log.jsonl" }

  /// A run in a folder, new or continued.
  ///
  /// - Parameters:
  ///   - configuration: What the run depends on.
  ///   - folder: Gets `config.json`, `log.jsonl`, `latest.safetensors` and the bundle.
  ///   - resume: Whether to continue the run that is there.
  /// - Throws: ``EchoTrainingError``, or what reading and writing files throws.
  public init(
    _ configuration: EchoTrainingConfiguration, folder: String, resume: Bool
  ) throws {
    self.configuration = configuration
    self.folder = folder
    var generator = SeededGenerator(seed: configuration.seed, stream: 1)
    model = try GDKVM(configuration.network, using: &generator)
    if !configuration.initialWeights.isEmpty {
      try model.load(startingFrom: Safetensors(contentsOf: configuration.initialWeights))
    }
    let exists = FileManager.default.fileExists(atPath: folder + "/latest.safetensors")
    if exists && !resume { throw EchoTrainingError.runExists(folder: folder) }
    let isGate = { (name: String) in name == "A_log" || name == "dt_bias" }
    var optimizer = TrainingConfiguration.OptimizerSection()
    optimizer.name = "adamw"
    optimizer.weightDecay = configuration.weightDecay
    optimizer.clip = configuration.clip
    weights = Adam(model.parameters.filter { !isGate($0.name) }, optimizer)
    optimizer.weightDecay = 0
    gates = Adam(model.parameters.filter { isGate($0.name) }, optimizer)
    let size = (height: configuration.size[0], width: configuration.size[1])
    let seed = configuration.seed &* 100_000
    func hearts(_ first: UInt64, _ count: Int) -> EchoDataset {
      EchoDataset(
        seeds: seed + first..<seed + first + UInt64(count), frames: configuration.cycleFrames,
        size: size, objects: configuration.network.objects)
    }
    data = hearts(1000, configuration.hearts)
    validation = hearts(0, min(900, configuration.validationHearts))
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true)
    if exists {
      try restore()
    } else {
      try write(try configuration.json(), to: folder + "/config.json")
    }
  }

  // MARK: - The loop

  /// Trains until the last step or until told to stop.
  ///
  /// - Parameters:
  ///   - shouldStop: Asked after each step.
  ///   - report: Told about progress every 10 steps and at each validation.
  /// - Returns: Whether all steps are done.
  /// - Throws: ``EchoTrainingError/diverged(step:)``, or what writing files throws.
  public func run(
    shouldStop: () -> Bool, report: (EchoTrainingProgress) -> Void
  ) throws -> Bool {
    let start = Date()
    var (sum, count) = (0.0, 0)
    while step < configuration.iterations && !shouldStop() {
      let loss = try trainOnce()
      (sum, count) = (sum + loss, count + 1)
      let isLast = step == configuration.iterations
      let validates = step % configuration.validateEvery == 0 || isLast
      guard step % 10 == 0 || validates else { continue }
      let seconds = secondsBefore - start.timeIntervalSinceNow
      let progress = EchoTrainingProgress(
        step: step, steps: configuration.iterations, loss: sum / Double(count),
        dice: validates ? validate() : nil, seconds: seconds)
      (sum, count) = (0, 0)
      report(progress)
      if validates {
        try append(progress)
        try save(seconds: seconds)
      }
    }
    secondsBefore -= start.timeIntervalSinceNow
    try save(seconds: secondsBefore)
    return step >= configuration.iterations
  }

  /// One step; the draws depend on the seed and the step alone.
  private func trainOnce() throws -> Double {
    var generator = SeededGenerator(
      seed: configuration.seed, stream: 2, UInt64(step))
    let batch = data.batch(
      configuration.batch, frames: configuration.frames,
      shadows: configuration.shadows, using: &generator)
    let hasMask = generator.nextUniformDouble() < configuration.firstMaskPart
    model.setTraining(true)
    model.setRequiresGradient(true)
    let rate = self.rate(at: step)
    let loss = Engine.shared.perform { () -> Double in
      let total = self.loss(of: batch, hasMask: hasMask, using: &generator)
      let value = Double(total.scalar)
      guard value.isFinite else { return value }
      let gradients = total.gradients()
      _ = weights.step(gradients, learningRate: rate)
      _ = gates.step(gradients, learningRate: rate)
      return value
    }
    step += 1
    guard loss.isFinite else { throw EchoTrainingError.diverged(step: step) }
    return loss
  }

  private func rate(at step: Int) -> Double {
    let peak = configuration.learningRate
    if step < configuration.warmup { return peak * Double(step + 1) / Double(configuration.warmup) }
    let length = max(1, configuration.iterations - configuration.warmup)
    let progress = Double(step - configuration.warmup) / Double(length)
    return peak * (0.01 + 0.99 * (1 + cos(.pi * min(1, progress))) / 2)
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
  public func validate() -> [Double] {
    model.setTraining(false)
    model.setRequiresGradient(false)
    return EchoEvaluation(
      model, on: validation.clips, shadows: configuration.shadows, seed: configuration.seed
    ).dice
  }

  // MARK: - Files

  private func save(seconds: Double) throws {
    var writer = SafetensorsWriter(metadata: [
      "format": "restore-echo-training-1", "step": "\(step)", "seconds": "\(seconds)",
    ])
    for entry in model.state {
      if case .derived = entry.content { continue }
      writer.add(entry.tensor, named: entry.name)
    }
    for (name, tensor) in weights.state + gates.state { writer.add(tensor, named: name) }
    try write(writer.encoded(), to: latest)
  }

  private func restore() throws {
    func fail(_ reason: String) -> EchoTrainingError {
      .cannotResume(folder: folder, reason: reason)
    }
    let stored = try? EchoTrainingConfiguration(contentsOf: folder + "/config.json")
    guard stored == configuration else {
      throw fail("its config.json differs from the given configuration")
    }
    let file = try Safetensors(contentsOf: latest)
    guard file.metadata["format"] == "restore-echo-training-1",
      let step = file.metadata["step"].flatMap(Int.init),
      let seconds = file.metadata["seconds"].flatMap(Double.init)
    else { throw fail("latest.safetensors is not the state of such a run") }
    var tensors: [String: Tensor] = [:]
    for entry in file.entries where !entry.name.hasPrefix("adam.") {
      tensors[entry.name] = file.tensor(named: entry.name)
    }
    try model.load(tensors)
    let missing =
      weights.restore(steps: step, from: file.tensor(named:))
      + gates.restore(steps: step, from: file.tensor(named:))
    guard missing.isEmpty else { throw fail("it lacks \(missing.joined(separator: ", "))") }
    self.step = step
    secondsBefore = seconds
  }

  private func append(_ progress: EchoTrainingProgress) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let old = FileManager.default.contents(atPath: logPath) ?? Data()
    try write(old + encoder.encode(progress) + Data("\n".utf8), to: logPath)
  }

  private func write(_ data: Data, to path: String) throws {
    let file = try AtomicFile(path: path, overwrite: true)
    try data.withUnsafeBytes { try file.write($0) }
    try file.commit()
  }

  /// Writes the present weights in half precision as a bundle, `FOLDER/bundle`.
  ///
  /// - Parameter metrics: Measured figures for the card.
  /// - Returns: The bundle's folder.
  /// - Throws: What writing files throws.
  public func exportBundle(metrics: [String: Double]) throws -> String {
    let bundle = folder + "/bundle"
    try FileManager.default.createDirectory(atPath: bundle, withIntermediateDirectories: true)
    var writer = SafetensorsWriter()
    for entry in model.state {
      if case .derived = entry.content { continue }
      if entry.name.hasSuffix("num_batches_tracked") { continue }
      writer.add(half: entry.tensor, named: entry.name)
    }
    try write(writer.encoded(), to: bundle + "/weights.safetensors")
    var card = ModelCard(
      name: configuration.name, version: "1.0.0", task: .segment,
      network: ModelDescription(model),
      format: ModelCard.DataFormat(modality: "US", channel: "intensity"),
      normalization: .window(low: 0, high: 255, clips: true), sizeMultiple: GDKVM.sizeStep,
      trainingData: "Simulated clips of beating hearts only, \(configuration.hearts) of them; "
        + "no real echocardiogram.",
      intendedUse: "Research on segmentation of apical echocardiography clips.",
      limitations: "Not for diagnosis or treatment. Never saw a real heart: on real clips it may "
        + "find nothing, or something else.",
      metrics: metrics,
      weightsSHA256: try SHA256.hexadecimal(ofFile: bundle + "/weights.safetensors"),
      references: ["GDKVM, ICCV 2025, arXiv 2512.10252."], license: "Apache-2.0")
    var output = ModelCard.DataFormat(modality: "US", channel: HeartLabel.background.name)
    output.format = "segmentation"
    output.numChannels = configuration.network.objects + 1
    for label in HeartLabel.structures.prefix(configuration.network.objects) {
      output.channelDef["\(label.rawValue)"] = label.name
    }
    card.outputs = ["pred": output]
    try write(card.json(), to: bundle + "/model.json")
    return bundle
  }
}
