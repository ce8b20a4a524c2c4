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
    let target: [Float]
    let foreground: [Bool]
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

  init(_ configuration: TrainingConfiguration) throws {
    var tasks: [Task] = []
    for section in configuration.allTasks {
      let subjects = try DataSplit(contentsOf: section.split).validation
      let source = try ScanSource(section, for: subjects)
      let simulator = TaskSimulator(section: section)
      var found: [[Case]] = []
      for (number, subject) in subjects.enumerated() {
        var cases: [Case] = []
        for (index, file) in subject.files.enumerated() {
          var generator = SeededGenerator(
            seed: configuration.seed, stream: Self.stream, UInt64(number), UInt64(index))
          cases += try Self.cases(
            of: source.volume(file).volume(at: 0), name: file, simulator,
            configuration.train.validationSlices, &generator)
        }
        if !cases.isEmpty { found.append(cases) }
      }
      guard !found.isEmpty else { throw TrainingError.noUsableSlices(part: "validation") }
      tasks.append(Task(name: section.name, subjects: found))
    }
    self.tasks = tasks
    degradedPSNR = Self.mean(Self.figures(tasks) { $0.degraded })
  }

  private static func cases(
    of volume: Volume, name: String, _ simulator: TaskSimulator, _ count: Int,
    _ generator: inout SeededGenerator
  ) throws -> [Case] {
    guard let map = simulator.map(of: volume) else { return [] }
    let normalised = Volume(
      voxels: map.normalized(volume.voxels), geometry: volume.geometry)
    let measure = try ForegroundPSNR(clean: normalised, name: name)
    let plane = volume.geometry.acquisitionPlane
    let mask = Volume(
      voxels: measure.foreground.voxels.map { $0 ? 1 : 0 }, geometry: volume.geometry)
    let slices = zip(volume.slices(in: plane), mask.slices(in: plane)).filter { _, mask in
      let covered = mask.pixels.count { $0 > 0 }
      return Double(covered) >= ForegroundPSNR.leastCoverage * Double(mask.pixels.count)
    }
    let activity =
      simulator.section.kind == .lowCount ? LowCountPET.meanActivity(of: volume) : 0
    let wanted = min(count, slices.count)
    var cases: [Case] = []
    for position in 0..<wanted {
      let (slice, mask) = slices[(2 * position + 1) * slices.count / (2 * wanted)]
      let pair = try simulator.pair(
        of: slice, map, meanActivity: activity, versions: 1, .validation, &generator)
      cases.append(
        Case(
          degraded: Tensor([1, pair.height, pair.width, 1], pair.inputs[0]), target: pair.target,
          foreground: mask.pixels.map { $0 > 0 }))
    }
    return cases
  }

  /// The mean over slices, then over subjects, then over tasks, and each task's own, in dB.
  func psnr(_ restore: (Tensor) -> Tensor) -> (mean: Double, tasks: [String: Double]) {
    let figures = Self.figures(tasks) { restore($0.degraded) }
    return (Self.mean(figures), Dictionary(figures, uniquingKeysWith: { first, _ in first }))
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
      return -10 * log10(sum / Double(count))
    }
  }
}
