import Foundation
import Layers
public import Models
import Randomness
import TensorCore

/// How far a training of the stroke system is.
public struct StrokeTrainingProgress: Codable, Sendable {
  /// The path's name, or `combiner`.
  public let stage: String
  /// Steps of this stage that are done.
  public let step: Int
  /// Steps of this stage.
  public let steps: Int
  /// The mean loss since the last report.
  public let loss: Double
  /// Seconds of training so far, all stages.
  public let seconds: Double
}

/// Trains a ``StrokeSystem``: each path on slices, then the combiner on what the paths make of brains
/// that the first stage was not given.
///
/// The loss of both stages is that of ``TensorCore/Tensor/softDiceLoss(target:smooth:)``. Draws follow from seed, stage
/// and step alone, so that a run that was cut continues to the bit.
///
/// Differs from the published training: one split by subject instead of five folds; parts of slices, if
/// the configuration says so; simulated lesions, if it names scans. Source: as for `StrokePathNetwork`.
public final class StrokeTrainer {
  /// The networks.
  public let system: StrokeSystem
  /// What the run depends on.
  public let configuration: StrokeTrainingConfiguration
  /// The brains.
  public let data: StrokeDataset

  let folder: String
  /// Keeps other programs out of the folder.
  var lock: FolderLock?
  var optimizer: any Optimizer
  /// The path that is trained; the number of paths stands for the combiner, one more for the end.
  var stage = 0
  var step = 0
  var secondsBefore = 0.0

  /// The cases in memory, and which they are: all paths slice the same ones.
  private var loaded: (indices: [Int], cases: [StrokeCase])?
  private var sampler: (key: [Int], sampler: StrokeSampler)?
  private var volumes: (block: Int, cases: [CombinerCase])?

  /// A brain with what the paths found.
  private struct CombinerCase {
    let stacks: StrokeStacks
    let masks: [[UInt8]]
    let truth: [UInt8]
  }

  private static let weightStream: UInt64 = 1
  private static let sampleStream: UInt64 = 2
  private static let cacheStream: UInt64 = 3
  private static let dropoutStream: UInt64 = 4

  /// A run in a folder, new or continued.
  ///
  /// - Parameters:
  ///   - configuration: What the run depends on.
  ///   - folder: Gets `config.json`, `log.jsonl`, `latest.safetensors` and the bundle.
  ///   - resume: Whether to continue the run that is there.
  /// - Throws: ``TrainingError``, or what reading and writing files throws.
  public init(
    _ configuration: StrokeTrainingConfiguration, folder: String, resume: Bool
  ) throws {
    try configuration.validate()
    self.configuration = configuration
    self.folder = folder
    var generator = SeededGenerator(seed: configuration.seed, stream: Self.weightStream)
    system = try StrokeSystem(configuration.system, using: &generator)
    data = try StrokeDataset(configuration)
    optimizer = configuration.paths.optimizerSection.makeOptimizer(
      for: system.networks[0].parameters)
    for (part, section) in [
      (StrokeDataset.Part.paths, configuration.paths), (.combiner, configuration.combiner),
    ] where section.iterations > 0 && data.count(part) == 0 {
      throw TrainingError.invalidValue(
        key: "data", reason: "has no brain for the \(part.rawValue)")
    }
    try prepareFolder(resume: resume)
  }

  /// The name of a stage.
  private func name(of stage: Int) -> String {
    stage < system.networks.count ? configuration.system.paths[stage] : "combiner"
  }

  func section(of stage: Int) -> StrokeTrainingConfiguration.StageSection {
    stage < system.networks.count ? configuration.paths : configuration.combiner
  }

  private func module(of stage: Int) -> any Module {
    stage < system.networks.count ? system.networks[stage] : system.combiner
  }

  /// Whether both stages are done.
  public var isFinished: Bool { stage > system.networks.count }

  // MARK: - The loop

  /// Trains until the last step or until told to stop.
  ///
  /// - Parameters:
  ///   - shouldStop: Asked after each step.
  ///   - report: Told about progress every 10 steps.
  /// - Returns: Whether all steps are done.
  /// - Throws: ``TrainingError/notFinite(step:what:)``, or what reading and writing files throws.
  public func run(
    shouldStop: () -> Bool, report: (StrokeTrainingProgress) -> Void
  ) throws -> Bool {
    let start = Date()
    func seconds() -> Double { secondsBefore - start.timeIntervalSinceNow }
    while !isFinished {
      let section = section(of: stage)
      var (sum, count) = (0.0, 0)
      while step < section.iterations {
        if shouldStop() {
          try save(seconds: seconds())
          return false
        }
        let loss = try learn()
        (sum, count) = (sum + loss, count + 1)
        guard step % 10 == 0 || step == section.iterations else { continue }
        let progress = StrokeTrainingProgress(
          stage: name(of: stage), step: step, steps: section.iterations,
          loss: sum / Double(count), seconds: seconds())
        (sum, count) = (0, 0)
        report(progress)
        try append(progress)
        if step % 100 == 0 { try save(seconds: seconds()) }
      }
      advance(to: stage + 1)
      try save(seconds: seconds())
    }
    return true
  }

  /// Goes on to the first step of a stage.
  func advance(to next: Int) {
    system.setTraining(false)
    system.setRequiresGradient(false)
    (stage, step) = (next, 0)
    guard !isFinished else { return }
    optimizer = section(of: stage).optimizerSection.makeOptimizer(
      for: module(of: stage).parameters)
  }

  private func learn() throws -> Double {
    let section = section(of: stage)
    let batch =
      stage < system.networks.count ? try pathStep(section) : try combinerStep(section)
    let norm = optimizer.step(batch.gradients, learningRate: section.rate(at: step))
    step += 1
    guard batch.loss.isFinite else { throw TrainingError.notFinite(step: step, what: "loss") }
    guard norm.isFinite else { throw TrainingError.notFinite(step: step, what: "gradient") }
    return batch.loss
  }

  // MARK: - The first stage

  private func pathStep(
    _ section: StrokeTrainingConfiguration.StageSection
  ) throws -> (loss: Double, gradients: Gradients) {
    let network = system.networks[stage]
    let path = configuration.system.strokePaths[stage]
    let (block, indices) = cached(.paths)
    if sampler?.key != [stage, block] {
      sampler = nil
      sampler = (
        [stage, block],
        StrokeSampler(
          try cases(indices), path: path,
          second: configuration.system.secondChannel)
      )
    }
    guard let sampler = sampler?.sampler, sampler.hasLesions else {
      throw TrainingError.noUsableSlices(part: "paths: no case shows a lesion")
    }
    var generator = SeededGenerator(
      seed: configuration.seed, stream: Self.sampleStream, UInt64(stage), UInt64(step))
    let lesionsOnly = Double(step) < section.lesionPart * Double(section.iterations)
    network.setTraining(true)
    network.setRequiresGradient(true)
    var dropout = SeededGenerator(
      seed: configuration.seed, stream: Self.dropoutStream, UInt64(stage), UInt64(step))
    network.reseedDropout(dropout.next())
    return Engine.shared.perform {
      let batch = sampler.batch(section, lesionsOnly: lesionsOnly, using: &generator)
      let loss = network.forward(batch.slices).softDiceLoss(target: batch.truth)
      return (Double(loss.scalar), loss.gradients())
    }
  }

  /// Cases of the first stage, read unless they are those in memory.
  private func cases(_ indices: [Int]) throws -> [StrokeCase] {
    if let loaded, loaded.indices == indices { return loaded.cases }
    loaded = nil
    let cases = try indices.map { try data.load(.paths, $0) }
    loaded = (indices, cases)
    return cases
  }

  /// The cases in memory at this step, all of them or a random choice that changes now and then.
  private func cached(_ part: StrokeDataset.Part) -> (block: Int, indices: [Int]) {
    let count = data.count(part)
    guard count > configuration.data.cachedCases else { return (0, Array(0..<count)) }
    let block = step / configuration.data.refreshEvery
    var generator = SeededGenerator(
      seed: configuration.seed, stream: Self.cacheStream, UInt64(stage), UInt64(block))
    return (block, Array(generator.permutation(count).prefix(configuration.data.cachedCases)))
  }

  // MARK: - The second stage

  private func combinerStep(
    _ section: StrokeTrainingConfiguration.StageSection
  ) throws -> (loss: Double, gradients: Gradients) {
    (sampler, loaded) = (nil, nil)
    let (block, indices) = cached(.combiner)
    if volumes?.block != block {
      volumes = nil
      volumes = (
        block,
        try indices.map { index in
          let item = try data.load(.combiner, index)
          let stacks = StrokeStacks(of: item.volume, for: system)
          let masks = system.networks.indices.map { path in
            system.mask(ofPath: path, stacks) { _ in }
          }
          return CombinerCase(stacks: stacks, masks: masks, truth: item.truth)
        }
      )
    }
    guard let cases = volumes?.cases else { preconditionFailure("stroke training: no volumes") }
    var generator = SeededGenerator(
      seed: configuration.seed, stream: Self.sampleStream, UInt64(stage), UInt64(step))
    system.combiner.setTraining(true)
    system.combiner.setRequiresGradient(true)
    return Engine.shared.perform {
      var gradients: Gradients?
      var sum = 0.0
      for _ in 0..<section.batch {
        let item = cases[generator.nextInt(below: cases.count)]
        let (x, truth) = sample(item, section, using: &generator)
        let loss =
          system.combiner(x).softDiceLoss(target: truth) * (1 / Float(section.batch))
        sum += Double(loss.scalar)
        if var found = gradients.take() {
          loss.addGradients(to: &found)
          gradients = found
        } else {
          gradients = loss.gradients()
        }
      }
      guard let gradients else { preconditionFailure("stroke training: an empty batch") }
      return (sum, gradients)
    }
  }

  /// A volume, or a cube of it around a voxel of a lesion, `[1, D, H, W, C]`, and its one-hot truth.
  private func sample(
    _ item: CombinerCase, _ section: StrokeTrainingConfiguration.StageSection,
    using generator: inout SeededGenerator
  ) -> (Tensor, Tensor) {
    let size = item.stacks.size
    var ranges = size.map { 0..<$0 }
    if section.patch > 0 {
      let lesion = item.truth.indices.filter { item.truth[$0] == 1 }
      let centre =
        lesion.isEmpty
        ? generator.nextInt(below: item.truth.count)
        : lesion[generator.nextInt(below: lesion.count)]
      let places = [centre / (size[1] * size[2]), centre / size[2] % size[1], centre % size[2]]
      for axis in 0..<3 where section.patch < size[axis] {
        let lowest = max(0, places[axis] - section.patch + 1)
        let highest = min(size[axis] - section.patch, places[axis])
        let first = lowest + generator.nextInt(below: highest - lowest + 1)
        ranges[axis] = first..<first + section.patch
      }
    }
    let planes = system.combinerInput(ranges[0], item.stacks, item.masks)
    let x = planes.sliced(axis: 2, ranges[1]).sliced(axis: 3, ranges[2])
    let truth = Tensor(Shape([1] + ranges.map(\.count) + [2])) { target in
      var at = 0
      for d0 in ranges[0] {
        for d1 in ranges[1] {
          for d2 in ranges[2] {
            let label = item.truth[(d0 * size[1] + d1) * size[2] + d2]
            target[at] = label == 1 ? 0 : 1
            target[at + 1] = label == 1 ? 1 : 0
            at += 2
          }
        }
      }
    }
    return (x, truth)
  }
}
