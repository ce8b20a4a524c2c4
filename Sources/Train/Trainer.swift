import Foundation
import Imaging
import Layers
import Models
import Randomness
import TensorCore

/// What a run reports while it goes on.
public struct TrainingProgress: Sendable {
  /// Steps done.
  public let step: Int
  /// Steps in all.
  public let steps: Int
  /// Mean loss since the last report.
  public let loss: Double
  /// Learning rate of the last step.
  public let learningRate: Double
  /// Samples a second since the last report.
  public let samplesPerSecond: Double
  /// Seconds until the end at the present speed.
  public let secondsLeft: Double
  /// The last validation's foreground PSNR in dB, if there was one.
  public let validationPSNR: Double?
}

/// How a run ended.
public enum TrainingOutcome: Sendable, Equatable {
  /// All steps are done.
  case finished
  /// It was asked to stop and can be resumed.
  case stopped
}

/// Trains a restoration network on clean scans with simulated degradation.
public final class Trainer {
  let configuration: TrainingConfiguration
  let runFolder: RunFolder
  let model: any RestorationModel
  private let optimizer: any Optimizer
  private let average: WeightAverage?
  private let schedule: LearningRateSchedule
  private let loss: RestorationLoss
  let dataset: SliceDataset
  private let validation: Validation
  private var state: TrainingState
  private let start = Date()
  private let secondsBefore: Double
  private let events: EventFile
  /// What is worth telling about the start, one sentence each.
  public private(set) var warnings: [String] = []

  private static let weightStream: UInt64 = 0

  private struct StepRecord: Encodable {
    let step: Int
    let loss: Double
    let learningRate: Double
    let gradientNorm: Double
    let secondsWaitedForData: Double
    let seconds: Double
  }

  private struct ValidationRecord: Encodable {
    let step: Int
    let validationPSNR: Double
    let degradedPSNR: Double
    let tasks: [String: Double]
    let isBest: Bool
    let seconds: Double
  }

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
    self.runFolder = try RunFolder(folder, configuration: configuration, resume: resume)
    var generator = SeededGenerator(seed: configuration.seed, stream: Self.weightStream)
    model = try configuration.networkDescription().makeModel(using: &generator)
    if let weights = try configuration.model.initialWeights.read() {
      try model.load(weights.widened(toInputsOf: model))
    }
    if configuration.train.checkpointActivations, model.setCheckpointsActivations(true) == 0 {
      throw TrainingError.invalidValue(
        key: "train.checkpoint_activations",
        reason: "`\(configuration.model.arch)` has no parts that can be computed again")
    }
    optimizer = configuration.optim.makeOptimizer(for: model.parameters)
    average =
      configuration.optim.ema > 0
      ? WeightAverage(model.parameters, decay: configuration.optim.ema) : nil
    schedule = LearningRateSchedule(configuration)
    loss = RestorationLoss(configuration.loss)
    dataset = try SliceDataset(configuration, shouldStop: shouldStop, report: preparing)
    guard !shouldStop() else { throw TrainingError.stopped }
    validation = try Validation(configuration)
    guard !shouldStop() else { throw TrainingError.stopped }
    try Self.check(model, configuration, validation)
    state = TrainingState()
    if resume, let file = try self.runFolder.readState() {
      state = try Self.restore(from: file, of: self.runFolder, model, optimizer, average)
    }
    secondsBefore = state.seconds
    let backEnd = "\(Engine.shared.backEnd), \(Engine.shared.threads) threads"
    if !state.backEnd.isEmpty, state.backEnd != backEnd {
      warnings.append(
        "the run was written with \(state.backEnd), this is \(backEnd): it continues, but not to "
          + "the bit")
    }
    state.backEnd = backEnd
    for section in configuration.allTasks {
      let split = try DataSplit(contentsOf: section.split, section)
      try self.runFolder.write(split.json(), to: self.runFolder.split(of: section.name))
    }
    events = try EventFile(inFolder: folder)
  }

  private static func restore(
    from file: Safetensors, of folder: RunFolder, _ model: any RestorationModel,
    _ optimizer: any Optimizer,
    _ average: WeightAverage?
  ) throws -> TrainingState {
    guard let state = TrainingState(metadata: file.metadata) else {
      throw TrainingError.cannotResume(
        folder: folder.path, reason: "its state file is not one of this program")
    }
    try model.load(file, prefix: "model.")
    var unfit = optimizer.restore(steps: state.step) { file.tensor(named: $0) }
    unfit += average?.restore { file.tensor(named: $0) } ?? []
    guard unfit.isEmpty else {
      throw TrainingError.cannotResume(
        folder: folder.path, reason: "its state lacks \(unfit.joined(separator: ", "))")
    }
    // Steps after the last checkpoint are done again, and must not stand in the log twice.
    try folder.cutLog(after: state.step)
    return state
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
    model.setTraining(true)
    model.setRequiresGradient(true)
    let batch = configuration.train.batch
    let batches = BatchQueue(
      from: state.step, to: configuration.train.iterations, capacity: configuration.train.prefetch
    ) { [dataset] step in Result { try dataset.batch(step: step, batch: batch) } }
    var waitedBefore = 0.0
    var lossSum = 0.0
    var lossCount = 0
    var lastReport = Date()
    var lastCheckpoint = Date()
    var validationPSNR: Double?
    let steps = configuration.train.iterations
    while state.step < steps {
      let rate = schedule.rate(at: state.step)
      let (value, norm) = try step(rate, batches.next().get())
      state.step += 1
      lossSum += value
      lossCount += 1
      let isLast = state.step == steps
      if state.step.isMultiple(of: configuration.train.logEvery) || isLast {
        let elapsed = -lastReport.timeIntervalSinceNow
        let samples = Double(lossCount * configuration.train.batch)
        try runFolder.append(
          StepRecord(
            step: state.step, loss: lossSum / Double(lossCount), learningRate: rate,
            gradientNorm: norm, secondsWaitedForData: batches.secondsWaited - waitedBefore,
            seconds: seconds))
        waitedBefore = batches.secondsWaited
        try events.add(
          [
            "train/loss": lossSum / Double(lossCount), "train/learning_rate": rate,
            "train/gradient_norm": norm, "train/samples_per_second": samples / elapsed,
          ], step: state.step)
        report(
          TrainingProgress(
            step: state.step, steps: steps, loss: lossSum / Double(lossCount), learningRate: rate,
            samplesPerSecond: samples / elapsed,
            secondsLeft: elapsed / Double(lossCount) * Double(steps - state.step),
            validationPSNR: validationPSNR))
        lossSum = 0
        lossCount = 0
        lastReport = Date()
      }
      if state.step.isMultiple(of: configuration.train.validateEvery) || isLast {
        validationPSNR = try validate()
      }
      let isDue =
        state.step.isMultiple(of: configuration.checkpoint.everySteps)
        || -lastCheckpoint.timeIntervalSinceNow >= configuration.checkpoint.everyMinutes * 60
      let stops = shouldStop()
      if isDue || isLast || stops {
        try writeCheckpoint()
        lastCheckpoint = Date()
      }
      if stops && !isLast { return .stopped }
    }
    return .finished
  }

  /// The best validation so far, foreground PSNR in dB.
  var bestPSNR: Double? { state.bestPSNR }

  private var seconds: Double { secondsBefore - start.timeIntervalSinceNow }

  /// Makes sure that a network that is bound to one size of images sees no other.
  private static func check(
    _ model: any RestorationModel, _ configuration: TrainingConfiguration, _ validation: Validation
  ) throws(TrainingError) {
    if model.convolutionCounts[.fdconv] != nil && configuration.train.batch < 2 {
      throw .invalidValue(
        key: "train.batch",
        reason: "is \(configuration.train.batch), but the batch norm of fdconv layers needs 2")
    }
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

  private func step(
    _ rate: Double, _ batch: (noisy: Tensor, clean: Tensor)
  ) throws -> (loss: Double, norm: Double) {
    try Engine.shared.perform { () throws in
      var (gradients, sum) = (Gradients(), 0.0)
      let parts = configuration.train.accumulate
      let samples = batch.noisy.shape[0] / parts
      for part in 0..<parts {
        let range = part * samples..<(part + 1) * samples
        let value = loss(
          of: model, batch.noisy.sliced(axis: 0, range), batch.clean.sliced(axis: 0, range)
        ).scaled(by: 1 / Float(parts))
        guard value.scalar.isFinite else {
          throw TrainingError.notFinite(step: state.step, what: "loss")
        }
        sum += Double(value.scalar)
        value.addGradients(to: &gradients)
      }
      let norm = optimizer.step(gradients, learningRate: rate)
      guard norm.isFinite else {
        throw TrainingError.notFinite(step: state.step, what: "gradient")
      }
      average?.update(step: state.step + 1)
      return (sum, norm)
    }
  }

  private func validate() throws -> Double {
    model.setTraining(false)
    model.setRequiresGradient(false)
    average?.swap()
    defer {
      average?.swap()
      model.setTraining(true)
      model.setRequiresGradient(true)
    }
    let (psnr, tasks) = validation.psnr { self.model($0) }
    let isBest = psnr > state.bestPSNR ?? -.infinity
    if isBest {
      state.bestPSNR = psnr
      try writeWeights(to: runFolder.best)
    }
    var scalars = ["validation/psnr": psnr]
    for (name, value) in tasks { scalars["validation/psnr/" + name] = value }
    try events.add(scalars, step: state.step)
    try show(validation.pictures { self.model($0) })
    try runFolder.append(
      ValidationRecord(
        step: state.step, validationPSNR: psnr, degradedPSNR: validation.degradedPSNR,
        tasks: tasks, isBest: isBest, seconds: seconds))
    try runFolder.drawProgress()
    return psnr
  }

  /// Writes the pictures of a validation into the run folder and the event file.
  private func show(_ pictures: [ValidationPicture]) throws {
    for picture in pictures {
      let png = try picture.image.encoded()
      try runFolder.write(png, to: runFolder.picture(step: state.step, name: picture.name))
      try events.add(
        png: png, size: (picture.image.height, picture.image.width),
        tag: "validation/" + picture.name, step: state.step)
    }
  }

  private func writeWeights(to path: String) throws {
    var writer = SafetensorsWriter(metadata: ["step": "\(state.step)"])
    writer.add(stateOf: model)
    try runFolder.write(writer.encoded(), to: path)
  }

  private func writeCheckpoint() throws {
    state.seconds = seconds
    average?.swap()
    try writeWeights(to: runFolder.latest)
    average?.swap()
    var writer = SafetensorsWriter(metadata: state.metadata)
    writer.add(stateOf: model, prefix: "model.")
    for (name, tensor) in optimizer.state + (average?.state ?? []) {
      writer.add(tensor, named: name)
    }
    try runFolder.write(writer.encoded(), to: runFolder.state)
  }
}
