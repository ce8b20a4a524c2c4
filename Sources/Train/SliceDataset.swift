import Foundation
import Imaging
import Randomness
public import TensorCore

/// Clean slices of many scans, and the crops with simulated degradation that are cut from them.
///
/// A sample depends on the seed, the step and its place in the batch alone, so that a resumed run sees
/// exactly what an uninterrupted one would have seen. Slices beyond the memory limit are made anew from
/// their file, with the same result, whenever they are drawn.
public struct SliceDataset: Sendable {
  /// One image file or phantom of a task.
  private struct Scan: Sendable {
    let file: String
    let input: String?
    /// Its number among the task's files.
    let number: UInt64
    /// Usable slices.
    let count: Int
    /// How likely it is to be drawn, cumulatively.
    var cumulative: Double
  }

  /// The scans of one task.
  private struct TaskScans: Sendable {
    let simulator: TaskSimulator
    let source: ScanSource
    let seed: UInt64
    var scans: [Scan] = []
    var count: Int { scans.reduce(0) { $0 + $1.count } }

    /// All usable slices of a scan.
    func slices(
      of file: String, _ input: String?, number: UInt64,
      shouldStop: @Sendable () -> Bool = { false }
    ) throws -> [TaskSimulator.Pair] {
      let volume = try source.volume(file)
      guard let input else {
        try simulator.section.requireProjectable(volume, file: file)
        return try SliceDataset.slices(
          of: volume, simulator, seed: seed, image: number, shouldStop: shouldStop)
      }
      let degraded = try source.volume(input)
      try degraded.requireGrid(of: volume, file: input, referenceFile: file)
      return SliceDataset.slices(of: volume, degraded, simulator)
    }
  }

  /// What random numbers are for; part of the streams' names, so that they differ.
  private static let sampleStream: UInt64 = 1
  private static let versionStream: UInt64 = 3

  private let tasks: [TaskScans]
  private let cache: SliceCache
  /// The tasks of successive samples, over and over; none where each sample draws its own.
  private let round: [Int]
  private let seed: UInt64

  /// What was noticed about the images, one sentence each.
  let warnings: [String]
  /// Whether some volume's slices of all three planes are used.
  let seesAllPlanes: Bool
  /// The number of usable slices.
  public var count: Int { tasks.reduce(0) { $0 + $1.count } }

  /// Reads all scans of the subjects who train, for all tasks.
  ///
  /// - Parameters:
  ///   - configuration: Its tasks, mixing and seed are used.
  ///   - splits: Those of its tasks; read if they are not given.
  ///   - shouldStop: Asked before each slice that is simulated.
  ///   - report: Told after each scan how many of how many are read.
  /// - Throws: What reading splits and images throws, ``TrainingError/noUsableSlices(part:)``, or
  ///   ``TrainingError/stopped``.
  public init(
    _ configuration: TrainingConfiguration, splits: [DataSplit]? = nil,
    shouldStop: @Sendable () -> Bool = { false },
    report: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws {
    seed = configuration.seed
    let sections = configuration.allTasks
    round = configuration.train.mixing == "pooled" ? [] : Self.round(of: sections.map(\.turns))
    cache = SliceCache(
      limit: sections.reduce(0) { max($0, $1.cacheMegabytes) } << 20)
    var tasks: [TaskScans] = []
    let people = try (splits ?? configuration.splits()).map(\.train)
    let total = people.reduce(0) { $0 + $1.reduce(0) { $0 + $1.files.count } }
    var done = 0
    var seesAll = false
    for (number, (section, subjects)) in zip(sections, people).enumerated() {
      var task = TaskScans(
        simulator: TaskSimulator(section: section),
        source: try ScanSource(section, for: subjects),
        seed: configuration.seed &+ UInt64(number) << 32)
      let files = subjects.flatMap { subject in
        subject.files.indices.map { (subject.files[$0], subject.inputs?[$0]) }
      }
      for (index, (file, input)) in files.enumerated() {
        let isPaired = section.kind == .paired
        let slices = try task.slices(
          of: file, isPaired ? input : nil, number: UInt64(index), shouldStop: shouldStop)
        done += 1
        report(done, total)
        seesAll = seesAll || Set(slices.compactMap(\.plane)).count == AnatomicalPlane.allCases.count
        guard !slices.isEmpty else {
          task.source.note("no slice has enough foreground to train on", about: file)
          continue
        }
        cache.offer(slices, SliceCache.Key(task: number, scan: task.scans.count))
        task.scans.append(
          Scan(
            file: file, input: isPaired ? input : nil, number: UInt64(index), count: slices.count,
            cumulative: 0))
      }
      guard !task.scans.isEmpty else { throw TrainingError.noUsableSlices(part: "train") }
      // The square root keeps a volume of 500 slices from drowning a subject with one.
      let total = task.scans.reduce(0) { $0 + Double($1.count).squareRoot() }
      var cumulative = 0.0
      for scan in task.scans.indices {
        cumulative += Double(task.scans[scan].count).squareRoot() / total
        task.scans[scan].cumulative = cumulative
      }
      tasks.append(task)
    }
    self.tasks = tasks
    seesAllPlanes = seesAll
    warnings = Set(tasks.flatMap(\.source.warnings)).sorted()
  }

  /// The usable pairs of slices of two volumes on one grid, in the plane of acquisition.
  private static func slices(
    of volume: Volume, _ degraded: Volume, _ simulator: TaskSimulator
  ) -> [TaskSimulator.Pair] {
    // A bundle normalises by what it is given, which is the degraded image.
    guard let map = simulator.map(of: degraded) else { return [] }
    let plane = volume.geometry.acquisitionPlane
    let section = simulator.section
    return (0..<volume.volumeCount).flatMap { time in
      let inputs = degraded.slices(in: plane, ofVolume: time)
      return volume.slices(in: plane, ofVolume: time).enumerated()
        .compactMap { place, target -> TaskSimulator.Pair? in
          let pair = simulator.pair(
            of: target, .init(inputs, around: place, reach: simulator.section.neighbours), map)
          let foreground = pair.target.count { $0 > 0.05 }
          let least = section.minimumForeground * Double(pair.target.count)
          return Double(foreground) >= least ? pair : nil
        }
    }
  }

  /// The usable slices of a volume: as acquired, or in all three planes if it is isotropic.
  private static func slices(
    of volume: Volume, _ simulator: TaskSimulator, seed: UInt64, image: UInt64,
    shouldStop: @Sendable () -> Bool
  ) throws -> [TaskSimulator.Pair] {
    guard let map = simulator.map(of: volume) else { return [] }
    let section = simulator.section
    let takesAll = section.allPlanes && volume.geometry.isIsotropic && !simulator.isPrepared
    let planes = takesAll ? AnatomicalPlane.allCases : [volume.geometry.acquisitionPlane]
    let activity = section.kind == .lowCount ? LowCountPET.meanActivity(of: volume) : 0
    var result: [TaskSimulator.Pair] = []
    for plane in planes {
      for time in 0..<volume.volumeCount {
        let all = volume.slices(in: plane, ofVolume: time)
        let slices = all.indices.filter { place in
          let pixels = all[place].pixels
          let foreground = map.normalized(pixels).count { $0 > 0.05 }
          return Double(foreground) >= section.minimumForeground * Double(pixels.count)
        }
        let limit = section.slicesPerVolume
        let wanted = limit > 0 ? min(limit, slices.count) : slices.count
        let chosen = (0..<wanted).map { slices[(2 * $0 + 1) * slices.count / (2 * wanted)] }
        let first = result.count
        result += try Array(chosen.enumerated()).concurrentMap(threads: Engine.shared.threads) {
          position, place in
          guard !shouldStop() else { throw TrainingError.stopped }
          var generator = SeededGenerator(
            seed: seed, stream: versionStream, image, UInt64(first + position))
          var pair = try simulator.pair(
            of: .init(all, around: place, reach: section.neighbours), map, meanActivity: activity,
            versions: simulator.isPrepared ? section.realisations : 0, .drawn, &generator)
          pair.plane = plane
          return pair
        }
      }
    }
    return result
  }

  /// A batch of degraded crops `[batch, crop, crop, slices of a stack]` and clean ones
  /// `[batch, crop, crop, 1]`.
  ///
  /// - Parameters:
  ///   - step: The step's number, from 0.
  ///   - batch: Samples.
  /// - Returns: The crops.
  /// - Throws: What reading an image again throws.
  public func batch(step: Int, batch: Int) throws -> (noisy: Tensor, clean: Tensor) {
    let crop = tasks[0].simulator.section.crop
    let area = crop * crop
    let channels = 2 * tasks[0].simulator.section.neighbours + 1
    var clean = [Float](repeating: 0, count: batch * area)
    let noisy = try Tensor([batch, crop, crop, channels]) { noisy in
      for index in 0..<batch {
        var (task, generator) = draw(step * batch + index, step: step, index: index)
        let range = index * area..<(index + 1) * area
        try clean.withUnsafeMutableBufferPointer { clean in
          try sample(
            of: task, crop,
            into: UnsafeMutableBufferPointer(
              rebasing: noisy[range.lowerBound * channels..<range.upperBound * channels]),
            clean: UnsafeMutableBufferPointer(rebasing: clean[range]), &generator)
        }
      }
    }
    return (noisy, Tensor([batch, crop, crop, 1], clean))
  }

  /// Which tasks the samples of ``batch(step:batch:)`` are of.
  package func tasks(step: Int, batch: Int) -> [Int] {
    (0..<batch).map { draw(step * batch + $0, step: step, index: $0).task }
  }

  /// The task of a sample, and what the rest of it is drawn from.
  private func draw(
    _ sample: Int, step: Int, index: Int
  ) -> (task: Int, generator: SeededGenerator) {
    var generator = SeededGenerator(
      seed: seed, stream: Self.sampleStream, UInt64(step), UInt64(index))
    return (task(forSample: sample, &generator), generator)
  }

  /// A round in which each task has its number of turns, spread evenly: the next turn is that of the task
  /// furthest behind its part.
  package static func round(of turns: [Int]) -> [Int] {
    let total = turns.reduce(0, +)
    var credit = [Int](repeating: 0, count: turns.count)
    return (0..<total).map { _ in
      for task in turns.indices { credit[task] += turns[task] }
      let next = credit.indices.reduce(0) { credit[$1] > credit[$0] ? $1 : $0 }
      credit[next] -= total
      return next
    }
  }

  /// Tasks in turn, or by their parts of all slices, which is how the authors' program pools them.
  private func task(forSample index: Int, _ generator: inout SeededGenerator) -> Int {
    guard tasks.count > 1 else { return 0 }
    guard round.isEmpty else { return round[index % round.count] }
    var draw = generator.nextInt(below: count)
    for (number, task) in tasks.enumerated() {
      if draw < task.count { return number }
      draw -= task.count
    }
    return tasks.count - 1
  }

  private func sample(
    of number: Int, _ crop: Int, into noisy: UnsafeMutableBufferPointer<Float>,
    clean: UnsafeMutableBufferPointer<Float>, _ generator: inout SeededGenerator
  ) throws {
    let task = tasks[number]
    let chance = generator.nextUniformDouble()
    let place = task.scans.firstIndex { chance < $0.cumulative } ?? task.scans.count - 1
    let scan = task.scans[place]
    let slices = try cache.slices(SliceCache.Key(task: number, scan: place)) {
      try task.slices(of: scan.file, scan.input, number: scan.number)
    }
    let draw = SampleDraw(
      of: slices[generator.nextInt(below: scan.count)], task.simulator, crop: crop,
      using: &generator)
    draw.write(to: noisy, clean: clean, using: &generator)
  }
}
