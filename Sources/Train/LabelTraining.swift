import Foundation
import Layers
import TensorCore

/// The Dice scores of a validation.
public struct DiceScores: Sendable, Equatable, Codable {
  /// After so many steps.
  public let step: Int
  /// The Dice of each structure, in the order of the network's outputs, the background left out.
  public let dice: [Double]

  /// The mean over structures.
  public var mean: Double { dice.reduce(0, +) / Double(max(1, dice.count)) }
}

/// What trainings on labelled images share: the steps, the log, validations, checkpoints, and going on
/// with a run that was cut.
///
/// The best checkpoint is the one with the highest mean Dice of all structures. With `optim.ema`
/// validations and checkpoints see the running mean of the weights. What a step draws must depend on the
/// seed and the step alone; then a continued run is the same to the bit.
final class LabelTraining {
  private struct StepRecord: Encodable {
    let step: Int
    let loss: Double
    let learningRate: Double
    let gradientNorm: Double
    let seconds: Double
  }

  private struct ValidationRecord: Encodable {
    let step: Int
    let dice: [String: Double]
    let validationDice: Double
    let isBest: Bool
  }

  let configuration: TrainingConfiguration
  let runFolder: RunFolder
  private let network: any Module
  private let structures: [String]
  private let format: String
  private let optimizer: any Optimizer
  private let average: WeightAverage?
  private let schedule: LearningRateSchedule
  private let events: EventFile
  private let start = Date()
  private var secondsBefore = 0.0

  /// Steps done.
  private(set) var step = 0
  /// The best validation so far.
  private(set) var best: DiceScores?

  /// A run at its start, or where the run in the folder stands.
  ///
  /// - Parameters:
  ///   - network: Has its weights; those of a continued run replace them.
  ///   - structures: The names of what it finds.
  ///   - format: Marks state files of this kind of training.
  ///   - runFolder: Made for the same configuration.
  ///   - configuration: The run's.
  ///   - resume: Whether to continue.
  /// - Throws: ``TrainingError/cannotResume(folder:reason:)``, or what reading files throws.
  init(
    _ network: any Module, structures: [String], format: String, in runFolder: RunFolder,
    _ configuration: TrainingConfiguration, resume: Bool
  ) throws {
    self.network = network
    self.structures = structures
    self.format = format
    self.runFolder = runFolder
    self.configuration = configuration
    if let weights = try configuration.model.initialWeights.read() { try network.load(weights) }
    optimizer = configuration.optim.makeOptimizer(for: network.parameters)
    average =
      configuration.optim.ema > 0
      ? WeightAverage(network.parameters, decay: configuration.optim.ema) : nil
    schedule = LearningRateSchedule(configuration)
    events = try EventFile(inFolder: runFolder.path)
    if resume, let state = try runFolder.readState() { try restore(from: state) }
  }

  private func restore(from file: Safetensors) throws {
    guard file.metadata["format"] == format,
      let step = file.metadata["step"].flatMap(Int.init),
      let seconds = file.metadata["seconds"].flatMap(Double.init)
    else {
      throw TrainingError.cannotResume(
        folder: runFolder.path, reason: "its state file is not one of such a run")
    }
    try network.load(file, prefix: "model.")
    var unfit = optimizer.restore(steps: step) { file.tensor(named: $0) }
    unfit += average?.restore { file.tensor(named: $0) } ?? []
    guard unfit.isEmpty else {
      throw TrainingError.cannotResume(
        folder: runFolder.path, reason: "its state lacks \(unfit.joined(separator: ", "))")
    }
    if let text = file.metadata["best"] {
      best = try JSONDecoder().decode(DiceScores.self, from: Data(text.utf8))
    }
    (self.step, secondsBefore) = (step, seconds)
    try runFolder.cutLog(after: step)
  }

  /// Runs until all steps are done or a stop is asked for.
  ///
  /// - Parameters:
  ///   - loss: The loss of a step's batch; called on the engine's thread.
  ///   - validation: The Dice of each structure on what is held back; the network is not in training.
  ///   - shouldStop: Asked after each step; the state is then written.
  ///   - report: Told the step and the mean loss since the last report.
  /// - Returns: Whether all steps are done.
  /// - Throws: ``TrainingError/notFinite(step:what:)``, or what writing files throws.
  func run(
    loss: (_ step: Int) -> Tensor, validation: () throws -> [Double], shouldStop: () -> Bool,
    report: (_ step: Int, _ loss: Double) -> Void
  ) throws -> Bool {
    setTraining(true)
    var (sum, count) = (0.0, 0)
    var lastCheckpoint = Date()
    let steps = configuration.train.iterations
    while step < steps {
      let rate = schedule.rate(at: step)
      let (value, norm) = try learn(rate, loss)
      step += 1
      (sum, count) = (sum + value, count + 1)
      let isLast = step == steps
      if step.isMultiple(of: configuration.train.logEvery) || isLast {
        try log(loss: sum / Double(count), rate, norm)
        report(step, sum / Double(count))
        (sum, count) = (0, 0)
      }
      if step.isMultiple(of: configuration.train.validateEvery) || isLast {
        try validate(validation)
      }
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

  private func setTraining(_ isTraining: Bool) {
    network.setTraining(isTraining)
    network.setRequiresGradient(isTraining)
  }

  private func learn(
    _ rate: Double, _ loss: (Int) -> Tensor
  ) throws -> (loss: Double, norm: Double) {
    network.restartDropout(seed: configuration.seed, step: step)
    return try Engine.shared.perform { () throws in
      let value = loss(step)
      guard value.scalar.isFinite else { throw TrainingError.notFinite(step: step, what: "loss") }
      let norm = optimizer.step(value.gradients(), learningRate: rate)
      guard norm.isFinite else { throw TrainingError.notFinite(step: step, what: "gradient") }
      average?.update(step: step + 1)
      return (Double(value.scalar), norm)
    }
  }

  private func log(loss: Double, _ rate: Double, _ norm: Double) throws {
    try runFolder.append(
      StepRecord(
        step: step, loss: loss, learningRate: rate, gradientNorm: norm, seconds: seconds))
    try events.add(
      ["train/loss": loss, "train/learning_rate": rate, "train/gradient_norm": norm], step: step)
  }

  private func validate(_ validation: () throws -> [Double]) throws {
    setTraining(false)
    average?.swap()
    defer {
      average?.swap()
      setTraining(true)
    }
    let scores = DiceScores(step: step, dice: try validation())
    let isBest = best.map { scores.mean > $0.mean } ?? true
    if isBest {
      best = scores
      try writeWeights(to: runFolder.best)
    }
    let byName = Dictionary(uniqueKeysWithValues: zip(structures, scores.dice))
    try runFolder.append(
      ValidationRecord(step: step, dice: byName, validationDice: scores.mean, isBest: isBest))
    var scalars = ["validation/dice": scores.mean]
    for (name, dice) in byName { scalars["validation/dice/" + name] = dice }
    try events.add(scalars, step: step)
    try runFolder.drawProgress()
  }

  private func writeWeights(to path: String) throws {
    var writer = SafetensorsWriter(metadata: ["step": "\(step)"])
    writer.add(stateOf: network)
    try runFolder.write(writer.encoded(), to: path)
  }

  private func writeState() throws {
    average?.swap()
    try writeWeights(to: runFolder.latest)
    average?.swap()
    var metadata = ["format": format, "step": "\(step)", "seconds": "\(seconds)"]
    if let best {
      metadata["best"] = String(decoding: try JSONEncoder().encode(best), as: UTF8.self)
    }
    var writer = SafetensorsWriter(metadata: metadata)
    writer.add(stateOf: network, prefix: "model.")
    for (name, tensor) in optimizer.state + (average?.state ?? []) {
      writer.add(tensor, named: name)
    }
    try runFolder.write(writer.encoded(), to: runFolder.state)
  }

  /// The checkpoint that a bundle is made of: the best one, or the latest before the first validation.
  var exported: String {
    FileManager.default.fileExists(atPath: runFolder.best) ? runFolder.best : runFolder.latest
  }
}
