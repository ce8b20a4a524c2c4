import Foundation
import Imaging
import Randomness
import TensorCore

/// Fixed noisy slices of the validation subjects, and how far a network restores them.
///
/// The figure is the foreground PSNR that all tables use (``ForegroundPSNR``), over evenly spaced
/// slices of the acquisition plane instead of all, so that a validation takes seconds.
struct Validation {
  private struct Case {
    let noisy: Tensor
    let clean: [Float]
    let foreground: [Bool]
  }

  private static let stream: UInt64 = 2

  private let subjects: [[Case]]
  /// The figure of the noisy slices themselves, dB.
  let noisyPSNR: Double

  init(_ subjects: [DataSplit.Subject], _ configuration: TrainingConfiguration) throws {
    var found: [[Case]] = []
    for (number, subject) in subjects.enumerated() {
      var cases: [Case] = []
      for (index, file) in subject.files.enumerated() {
        let volume = try ScanFile.read(file).volume.volume(at: 0)
        var generator = SeededGenerator(
          seed: configuration.seed, stream: Self.stream, UInt64(number), UInt64(index))
        cases += try Self.cases(of: volume, name: file, configuration.train, &generator)
      }
      if !cases.isEmpty { found.append(cases) }
    }
    guard !found.isEmpty else { throw TrainingError.noUsableSlices(part: "validation") }
    self.subjects = found
    noisyPSNR = Self.mean(found) { $0.noisy }
  }

  private static func cases(
    of volume: Volume, name: String, _ section: TrainingConfiguration.LoopSection,
    _ generator: inout SeededGenerator
  ) throws -> [Case] {
    let measure = try ForegroundPSNR(clean: volume, name: name)
    let plane = volume.geometry.acquisitionPlane
    let mask = Volume(
      voxels: measure.foreground.voxels.map { $0 ? 1 : 0 }, geometry: volume.geometry)
    let slices = zip(volume.slices(in: plane), mask.slices(in: plane)).filter { _, mask in
      let covered = mask.pixels.count { $0 > 0 }
      return Double(covered) >= ForegroundPSNR.leastCoverage * Double(mask.pixels.count)
    }
    let noise = RicianNoise(sigma: section.validationNoisePercent / 100)
    let wanted = min(section.validationSlices, slices.count)
    return (0..<wanted).map { position in
      let (slice, mask) = slices[(2 * position + 1) * slices.count / (2 * wanted)]
      let clean = slice.pixels.map { $0 / Float(measure.scale) }
      let noisy = Tensor([1, slice.height, slice.width, 1]) { buffer in
        _ = buffer.initialize(from: clean)
        noise.apply(to: buffer, using: &generator)
      }
      return Case(
        noisy: noisy, clean: clean, foreground: mask.pixels.map { $0 > 0 })
    }
  }

  /// The mean over slices, then over subjects, in dB.
  func psnr(_ restore: (Tensor) -> Tensor) -> Double {
    Self.mean(subjects) { restore($0.noisy) }
  }

  private static func mean(_ subjects: [[Case]], _ image: (Case) -> Tensor) -> Double {
    let means = subjects.map { cases in
      cases.reduce(0) { $0 + psnr(image($1), $1) } / Double(cases.count)
    }
    return means.reduce(0, +) / Double(means.count)
  }

  private static func psnr(_ image: Tensor, _ item: Case) -> Double {
    image.withValues { values in
      var (sum, count) = (0.0, 0)
      for index in values.indices where item.foreground[index] {
        let difference = Double(values[index]) - Double(item.clean[index])
        sum += difference * difference
        count += 1
      }
      return -10 * log10(sum / Double(count))
    }
  }
}
