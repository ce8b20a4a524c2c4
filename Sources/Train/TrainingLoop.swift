import Foundation
import Imaging
import Layers
import TensorCore

/// What a validation found.
protocol ValidationFindings: Codable, Sendable {
  /// What the log keeps of it, beside the step.
  associatedtype Record: Encodable

  /// Says which weights are best: higher is better.
  var score: Double { get }
  /// What the log keeps of it, beside the step.
  var record: Record { get }
  /// What the event file gets, by the part of the tag after `validation/`.
  var scalars: [String: Double] { get }
}

/// What a training loop needs to know of a configuration.
struct TrainingPlan {
  /// Steps in all.
  let steps: Int
  /// Samples of a step, for the speed.
  let samples: Int
  /// Steps between lines of the log.
  let logEvery: Int
  /// Steps between validations.
  let validateEvery: Int
  /// When the state is written.
  let checkpoint: TrainingConfiguration.CheckpointSection
  /// The learning rate of each step.
  let schedule: LearningRateSchedule
  /// Decay of the running mean of the weights; 0 for none.
  let ema: Double
  /// Seeds dropout.
  let seed: UInt64
}

/// The course of a training: steps, log, validations, checkpoints, and going on with a run that was cut.
///
/// All trainings of one network share it; the stages of the stroke system follow ``StrokeTrainer``. The best checkpoint is the one with the highest score; with a running mean of
/// the weights validations and checkpoints see that. What a step draws must depend on the seed and the step
/// alone: then a continued run is the same to the bit, on the same instruction set and number of threads.
final class TrainingLoop<Findings: ValidationFindings> {
  private struct StepRecord: Encodable {
    let step: Int
    let loss: Double
    let learningRate: Double
    let gradientNorm: Double
    let secondsWaitedForData: Double
    let seconds: Double
  }

  /// A line of the log: what was found, and after which step.
  private struct ValidationRecord: Encodable {
    struct Course: Encodable {
      let step: Int
      let isBest: Bool
      let seconds: Double
    }

    let course: Course
    let findings: Findings.Record

    func encode(to encoder: any Encoder) throws {
      try findings.encode(to: encoder)
      try course.encode(to: encoder)
    }
  }

  /// Sums since the last report.
  private struct Interval {
    var loss = 0.0
    var steps = 0
    var secondsWaited = 0.0
    var start = Date()
  }

  let runFolder: RunFolder
  private let network: any Module
  private let optimizer: any Optimizer
  private let average: WeightAverage?
  private let plan: TrainingPlan
  private let format: String
  private let events: EventFile
  private let backEnd = "\(Engine.shared.backEnd), \(Engine.shared.threads) threads"
  private let start = Date()
  private var secondsBefore = 0.0

  /// Steps done.
  private(set) var step = 0
  /// The best validation so far.
  private(set) var best: Findings?
  /// What is worth telling about the start, one sentence each.
  private(set) var warnings: [String] = []

  /// A run at its start, or where the run in the folder stands.
  ///
  /// - Parameters:
  ///   - network: Has its first weights; those of a continued run replace them.
  ///   - optimizer: Moves the network's parameters; at its start.
  ///   - plan: How long, how often, how fast.
  ///   - format: Marks state files of this kind of training.
  ///   - runFolder: Made for the same configuration.
  ///   - resume: Whether to continue.
  /// - Throws: ``TrainingError/cannotResume(folder:reason:)``, or what reading files throws.
  init(
    _ network: any Module, _ optimizer: any Optimizer, _ plan: TrainingPlan, format: String,
    in runFolder: RunFolder, resume: Bool
  ) throws {
    self.network = network
    self.optimizer = optimizer
    self.plan = plan
    self.format = format
    self.runFolder = runFolder
    average = plan.ema > 0 ? WeightAverage(of: network, decay: plan.ema) : nil
    let state = resume ? try runFolder.readState() : nil
    events = try EventFile(inFolder: runFolder.path)
    if let state { try restore(from: state) }
  }

  // MARK: - Steps

  /// Runs until all steps are done or a stop is asked for; writes checkpoints on the way.
  ///
  /// - Parameters:
  ///   - batch: What a step, counted from 0, learns from.
  ///   - gradients: Adds the gradient of the loss on a batch to the sum and returns the loss; called on the
  ///     engine's thread, the network in training.
  ///   - validation: What the network achieves after so many steps; it is not in training then.
  ///   - shouldStop: Asked after each step; the state is then written.
  ///   - report: Told from time to time.
  /// - Returns: Whether the run is finished or can be resumed.
  /// - Throws: ``TrainingError/notFinite(step:what:)``, or what the closures or writing files throw.
  func run<Batch>(
    batch: (_ step: Int) throws -> Batch,
    gradients: (_ batch: Batch, _ sum: inout Gradients) -> Double,
    validation: (_ step: Int) throws -> Findings, shouldStop: () -> Bool,
    report: (TrainingProgress) -> Void
  ) throws -> TrainingOutcome {
    setTraining(true)
    var interval = Interval()
    var lastCheckpoint = Date()
    var score: Double?
    while step < plan.steps {
      let asked = Date()
      let batch = try batch(step)
      interval.secondsWaited -= asked.timeIntervalSinceNow
      let rate = plan.schedule.rate(at: step)
      let (loss, norm) = try learn(rate) { gradients(batch, &$0) }
      step += 1
      interval.loss += loss
      interval.steps += 1
      let isLast = step == plan.steps
      if step.isMultiple(of: plan.logEvery) || isLast {
        report(try log(interval, rate, norm, score))
        interval = Interval()
      }
      if step.isMultiple(of: plan.validateEvery) || isLast { score = try validate(validation) }
      let isDue =
        step.isMultiple(of: plan.checkpoint.everySteps)
        || -lastCheckpoint.timeIntervalSinceNow >= plan.checkpoint.everyMinutes * 60
      let stops = shouldStop()
      if isDue || isLast || stops {
        try writeCheckpoint()
        lastCheckpoint = Date()
      }
      if stops && !isLast { return .stopped }
    }
    return .finished
  }

  private var seconds: Double { secondsBefore - start.timeIntervalSinceNow }

  private func setTraining(_ isTraining: Bool) {
    network.setTraining(isTraining)
    network.setRequiresGradient(isTraining)
  }

  private func learn(
    _ rate: Double, _ addGradients: (inout Gradients) -> Double
  ) throws(TrainingError) -> (loss: Double, norm: Double) {
    network.restartDropout(seed: plan.seed, step: step)
    return try Engine.shared.perform { () throws(TrainingError) in
      var gradients = Gradients()
      let loss = addGradients(&gradients)
      guard loss.isFinite else { throw .notFinite(step: step, what: "loss") }
      let norm = optimizer.step(gradients, learningRate: rate)
      guard norm.isFinite else { throw .notFinite(step: step, what: "gradient") }
      average?.update(step: step + 1)
      return (loss, norm)
    }
  }

  private func log(
    _ interval: Interval, _ rate: Double, _ norm: Double, _ score: Double?
  ) throws -> TrainingProgress {
    let elapsed = -interval.start.timeIntervalSinceNow
    let loss = interval.loss / Double(interval.steps)
    let speed = Double(interval.steps * plan.samples) / elapsed
    try runFolder.append(
      StepRecord(
        step: step, loss: loss, learningRate: rate, gradientNorm: norm,
        secondsWaitedForData: interval.secondsWaited, seconds: seconds))
    try events.add(
      [
        "train/loss": loss, "train/learning_rate": rate, "train/gradient_norm": norm,
        "train/samples_per_second": speed,
      ], step: step)
    return TrainingProgress(
      step: step, steps: plan.steps, loss: loss, learningRate: rate, samplesPerSecond: speed,
      secondsLeft: elapsed / Double(interval.steps) * Double(plan.steps - step),
      validationScore: score)
  }

  // MARK: - Validation

  private func validate(_ validation: (Int) throws -> Findings) throws -> Double {
    setTraining(false)
    average?.swap()
    defer {
      average?.swap()
      setTraining(true)
    }
    let findings = try validation(step)
    guard findings.score.isFinite else {
      throw TrainingError.notFinite(step: step, what: "validation")
    }
    let isBest = findings.score > best?.score ?? -.infinity
    if isBest {
      best = findings
      try writeWeights(to: runFolder.best)
    }
    let course = ValidationRecord.Course(step: step, isBest: isBest, seconds: seconds)
    try runFolder.append(ValidationRecord(course: course, findings: findings.record))
    let scalars = findings.scalars.map { ("validation/" + $0, $1) }
    try events.add(Dictionary(uniqueKeysWithValues: scalars), step: step)
    try runFolder.drawProgress()
    return findings.score
  }

  /// Writes the pictures of a validation into the run folder and the event file.
  func show(_ pictures: [ValidationPicture]) throws {
    for picture in pictures {
      let png = try picture.image.encoded()
      try runFolder.write(png, to: runFolder.picture(step: step, name: picture.name))
      try events.add(
        png: png, size: (picture.image.height, picture.image.width),
        tag: "validation/" + picture.name, step: step)
    }
  }

  // MARK: - Checkpoints

  private func writeWeights(to path: String) throws {
    var writer = SafetensorsWriter(metadata: ["step": "\(step)"])
    writer.add(stateOf: network)
    try runFolder.write(writer.encoded(), to: path)
  }

  private func writeCheckpoint() throws {
    var metadata = [
      "format": format, "step": "\(step)", "seconds": "\(seconds)", "back_end": backEnd,
    ]
    if let best {
      metadata["best"] = String(decoding: try JSONEncoder().encode(best), as: UTF8.self)
    }
    var writer = SafetensorsWriter(metadata: metadata)
    writer.add(stateOf: network, prefix: "model.")
    for (name, tensor) in optimizer.state + (average?.state ?? []) {
      writer.add(tensor, named: name)
    }
    // Before the weights: a run whose disk is full here can still be continued.
    try runFolder.write(writer.encoded(), to: runFolder.state)
    average?.swap()
    try writeWeights(to: runFolder.latest)
    if plan.checkpoint.keep > 0 { try writeWeights(to: runFolder.weights(step: step)) }
    average?.swap()
    if plan.checkpoint.keep > 0 { runFolder.removeWeights(but: plan.checkpoint.keep) }
  }

  private func restore(from file: Safetensors) throws {
    func fail(_ reason: String) -> TrainingError {
      .cannotResume(folder: runFolder.path, reason: reason)
    }
    let metadata = file.metadata
    guard metadata["format"] == format, let step = metadata["step"].flatMap(Int.init),
      (0...plan.steps).contains(step), let seconds = metadata["seconds"].flatMap(Double.init),
      seconds >= 0, seconds.isFinite
    else { throw fail("its state file is not one of such a run, or of another version") }
    if let text = metadata["best"] {
      guard let found = try? JSONDecoder().decode(Findings.self, from: Data(text.utf8)) else {
        throw fail("its state file does not say which weights are best")
      }
      best = found
    }
    try network.load(file, prefix: "model.")
    var unfit = optimizer.restore(steps: step) { file.tensor(named: $0) }
    unfit += average?.restore { file.tensor(named: $0) } ?? []
    guard unfit.isEmpty else { throw fail("its state lacks \(unfit.joined(separator: ", "))") }
    if let before = metadata["back_end"], before != backEnd {
      warnings.append(
        "the run was written with \(before), this is \(backEnd): it continues, but not to the bit")
    }
    (self.step, secondsBefore) = (step, seconds)
    // Steps after the last checkpoint are done again, and must not stand in the log twice.
    try runFolder.cutLog(after: step)
  }
}
