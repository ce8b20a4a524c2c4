import Foundation
import Imaging
import Randomness
import TensorCore

/// Fixed degraded slices of the validation subjects, and how far a network restores them.
///
/// The figure is the foreground PSNR that all tables use (``ForegroundPSNR``) on normalised
/// intensities, over evenly spaced slices of the acquisition plane instead of all, so that a
/// validation takes seconds.
struct Validation {
  /// One slice.
  struct Case {
    let degraded: Tensor
    /// The slice that is restored, as it is given.
    let input: Tensor
    let target: [Float]
    let foreground: [Bool]
  }

  /// How near a network came to the targets, foreground PSNR in dB.
  struct Findings: ValidationFindings {
    /// The mean over slices, then over subjects, then over tasks.
    let validationPSNR: Double
    /// That of the degraded slices themselves.
    let degradedPSNR: Double
    /// Each task's own.
    let tasks: [String: Double]

    var score: Double { validationPSNR }

    var record: Self { self }

    var scalars: [String: Double] {
      tasks.reduce(into: ["psnr": validationPSNR]) { $0["psnr/" + $1.key] = $1.value }
    }
  }

  /// The slices of a task, by subject.
  private struct Task {
    let name: String
    let subjects: [[Case]]
  }

  private static let stream: UInt64 = 2

  private let tasks: [Task]
  /// The figure of the degraded slices themselves, dB.
  let degradedPSNR: Double

  /// What was noticed about the images, one sentence each.
  let warnings: [String]

  /// The shapes of all slices, `[1, H, W, C]`.
  var shapes: [Shape] { tasks.flatMap { $0.subjects.flatMap { $0.map(\.degraded.shape) } } }

  init(_ configuration: TrainingConfiguration, _ splits: [DataSplit]) throws {
    var tasks: [Task] = []
    var warnings = Set<String>()
    for (section, split) in zip(configuration.allTasks, splits) {
      let subjects = split.validation
      guard !subjects.isEmpty else {
        throw TrainingError.invalidSplit(file: section.split, reason: "nobody is in `validation`")
      }
      let source = try ScanSource(section, for: subjects)
      let simulator = TaskSimulator(section: section)
      var found: [[Case]] = []
      for (number, subject) in subjects.enumerated() {
        var cases: [Case] = []
        for (index, file) in subject.files.enumerated() {
          var generator = SeededGenerator(
            seed: configuration.seed, stream: Self.stream, UInt64(number), UInt64(index))
          let input = section.kind == .paired ? subject.inputs?[index] : nil
          let degraded = try input.map { try source.volume($0) }
          let clean = try source.volume(file)
          if clean.volumeCount > 1 {
            source.note(
              "validation sees the first of its \(clean.volumeCount) volumes", about: file)
          }
          try degraded?.requireGrid(of: clean, file: input ?? file, referenceFile: file)
          cases += try Self.cases(
            of: clean.volume(at: 0), degraded?.volume(at: 0), name: file, simulator,
            configuration.train.validationSlices, &generator)
        }
        if !cases.isEmpty { found.append(cases) }
      }
      guard !found.isEmpty else { throw TrainingError.noUsableSlices(part: "validation") }
      tasks.append(Task(name: section.name, subjects: found))
      warnings.formUnion(source.warnings)
    }
    self.tasks = tasks
    self.warnings = warnings.sorted()
    degradedPSNR = Self.mean(Self.figures(tasks) { $0.input })
  }

  private static func cases(
    of volume: Volume, _ degraded: Volume?, name: String, _ simulator: TaskSimulator, _ count: Int,
    _ generator: inout SeededGenerator
  ) throws -> [Case] {
    try simulator.section.requireProjectable(volume, file: name)
    guard let map = simulator.map(of: degraded ?? volume) else { return [] }
    let normalised = Volume(
      voxels: map.normalized(volume.voxels), geometry: volume.geometry)
    let measure = try ForegroundPSNR(clean: normalised, name: name)
    let plane = volume.geometry.acquisitionPlane
    let mask = Volume(
      voxels: measure.foreground.voxels.map { $0 ? 1 : 0 }, geometry: volume.geometry)
    let masks = mask.slices(in: plane)
    let slices = masks.indices.filter { index in
      let pixels = masks[index].pixels
      return Double(pixels.count { $0 > 0 }) >= ForegroundPSNR.leastCoverage * Double(pixels.count)
    }
    let activity =
      simulator.section.kind == .lowCount ? LowCountPET.meanActivity(of: volume) : 0
    let wanted = min(count, slices.count)
    var cases: [Case] = []
    for position in 0..<wanted {
      let index = slices[(2 * position + 1) * slices.count / (2 * wanted)]
      let (slices, mask) = (volume.slices(in: plane), masks[index])
      let reach = simulator.section.neighbours
      let pair =
        try degraded.map {
          simulator.pair(
            of: slices[index], .init($0.slices(in: plane), around: index, reach: reach), map)
        }
        ?? simulator.pair(
          of: .init(slices, around: index, reach: reach), map, meanActivity: activity,
          versions: 1, .validation, &generator)
      let stack = pair.order.map { pair.inputs[0][$0] }
      let pixels = pair.height * pair.width
      cases.append(
        Case(
          degraded: Tensor(
            [1, pair.height, pair.width, stack.count],
            (0..<pixels).flatMap { pixel in stack.map { $0[pixel] } }),
          input: Tensor([1, pair.height, pair.width, 1], stack[pair.middle]),
          target: pair.target, foreground: mask.pixels.map { $0 > 0 }))
    }
    return cases
  }

  /// How near a network comes to the targets.
  func findings(_ restore: (Tensor) -> Tensor) -> Findings {
    let figures = Self.figures(tasks) { restore($0.degraded) }
    return Findings(
      validationPSNR: Self.mean(figures), degradedPSNR: degradedPSNR,
      tasks: Dictionary(figures, uniquingKeysWith: { first, _ in first }))
  }

  /// One picture a task: the middle slice of its first subject, degraded, restored, target and four
  /// times the absolute error, all from 0 (black) to 1 in normalised intensity.
  func pictures(_ restore: (Tensor) -> Tensor) -> [ValidationPicture] {
    tasks.compactMap { task in
      guard let cases = task.subjects.first, !cases.isEmpty else { return nil }
      let item = cases[cases.count / 2]
      let restored = restore(item.degraded).values
      let errors = zip(restored, item.target).map { 4 * abs($0 - $1) }
      return ValidationPicture(
        name: task.name, panels: [item.input.values, restored, item.target, errors],
        height: item.degraded.shape[1], width: item.degraded.shape[2])
    }
  }

  private static func figures(
    _ tasks: [Task], _ image: (Case) -> Tensor
  ) -> [(String, Double)] {
    tasks.map { task in
      let means = task.subjects.map { cases in
        cases.reduce(0) { $0 + psnr(image($1), $1) } / Double(cases.count)
      }
      return (task.name, means.reduce(0, +) / Double(means.count))
    }
  }

  private static func mean(_ figures: [(String, Double)]) -> Double {
    figures.reduce(0) { $0 + $1.1 } / Double(figures.count)
  }

  private static func psnr(_ image: Tensor, _ item: Case) -> Double {
    image.withValues { values in
      var (sum, count) = (0.0, 0)
      for index in values.indices where item.foreground[index] {
        let difference = Double(values[index]) - Double(item.target[index])
        sum += difference * difference
        count += 1
      }
      // An image without error is as good as one with an error of 1e-6: figures stay finite.
      return -10 * log10(max(sum / Double(count), 1e-12))
    }
  }
}

/// Some slices of one size side by side.
struct ValidationPicture {
  let name: String
  let image: PNGImage

  /// - Parameters:
  ///   - name: The task.
  ///   - panels: Normalised intensities, each `[height, width]`.
  ///   - height: Rows.
  ///   - width: Columns of each.
  init(name: String, panels: [[Float]], height: Int, width: Int) {
    self.name = name
    var values: [Float] = []
    for row in 0..<height {
      for panel in panels { values += panel[row * width..<(row + 1) * width].map { 255 * $0 } }
    }
    image =
      PNGImage.rounding(
        values, height: height, width: width * panels.count, colour: .grey, bitDepth: 8
      ).image
  }
}
