import Foundation
import Imaging
import Randomness
public import TensorCore

/// Clean slices of many scans, and the crops with simulated noise that are cut from them.
///
/// A sample depends on the seed, the step and its place in the batch alone, so that a resumed run sees
/// exactly what an uninterrupted one would have seen.
public struct SliceDataset: Sendable {
  /// A clean slice; intensities divided by the 99.5th percentile of the volume's positive voxels.
  struct Slice: Sendable {
    let height: Int
    let width: Int
    let pixels: [Float]
  }

  /// What one sample's random numbers are for; part of the stream's name, so that streams differ.
  private static let sampleStream: UInt64 = 1

  let slices: [Slice]
  /// For each scan, which slices are its own, and how likely it is to be drawn, cumulatively.
  private let scans: [(slices: Range<Int>, cumulative: Double)]
  private let section: TrainingConfiguration.DataSection
  private let seed: UInt64

  /// The number of usable slices.
  public var count: Int { slices.count }

  /// Reads all scans of some subjects.
  ///
  /// - Parameters:
  ///   - subjects: A part of the split.
  ///   - configuration: The data section and the seed are used.
  ///   - part: The part's name, for messages.
  /// - Throws: What reading an image throws, or ``TrainingError/noUsableSlices(part:)``.
  public init(
    _ subjects: [DataSplit.Subject], _ configuration: TrainingConfiguration, part: String
  ) throws {
    section = configuration.data
    seed = configuration.seed
    var slices: [Slice] = []
    var scans: [(slices: Range<Int>, weight: Double)] = []
    for file in subjects.flatMap(\.files) {
      let first = slices.count
      let volume = try ScanFile.read(file).volume
      slices += Self.slices(of: volume, section)
      // The square root keeps a volume of 500 slices from drowning a subject with one.
      let weight = Double(slices.count - first).squareRoot()
      if slices.count > first { scans.append((first..<slices.count, weight)) }
    }
    guard !slices.isEmpty else { throw TrainingError.noUsableSlices(part: part) }
    var cumulative = 0.0
    let total = scans.reduce(0) { $0 + $1.weight }
    self.slices = slices
    self.scans = scans.map { scan in
      cumulative += scan.weight / total
      return (scan.slices, cumulative)
    }
  }

  /// The usable slices of a volume: as acquired, or in all three planes if it is isotropic.
  private static func slices(
    of volume: Volume, _ section: TrainingConfiguration.DataSection
  ) -> [Slice] {
    let positive = OrderStatistics(of: volume.voxels, selection: .positive)
    guard let scale = positive.percentile(99.5), scale > 0 else { return [] }
    let spacing = volume.spacing
    let isIsotropic = spacing.max() < 1.3 * spacing.min() && volume.size.z > 1
    let planes =
      section.allPlanes && isIsotropic
      ? AnatomicalPlane.allCases : [volume.geometry.acquisitionPlane]
    return planes.flatMap { plane in
      (0..<volume.volumeCount).flatMap { time in
        volume.slices(in: plane, ofVolume: time).compactMap { slice -> Slice? in
          let pixels = slice.pixels.map { max(0, $0 / Float(scale)) }
          let foreground = pixels.count { $0 > 0.05 }
          guard Double(foreground) >= section.minimumForeground * Double(pixels.count) else {
            return nil
          }
          return Slice(height: slice.height, width: slice.width, pixels: pixels)
        }
      }
    }
  }

  /// A batch of noisy and clean crops, each `[batch, crop, crop, 1]`.
  ///
  /// - Parameters:
  ///   - step: The step's number, from 0.
  ///   - batch: Samples.
  /// - Returns: The crops.
  public func batch(step: Int, batch: Int) -> (noisy: Tensor, clean: Tensor) {
    let (crop, area) = (section.crop, section.crop * section.crop)
    var clean = [Float](repeating: 0, count: batch * area)
    let noisy = Tensor([batch, crop, crop, 1]) { noisy in
      for index in 0..<batch {
        var generator = SeededGenerator(
          seed: seed, stream: Self.sampleStream, UInt64(step), UInt64(index))
        let range = index * area..<(index + 1) * area
        clean.withUnsafeMutableBufferPointer { clean in
          sample(
            into: UnsafeMutableBufferPointer(rebasing: noisy[range]),
            clean: UnsafeMutableBufferPointer(rebasing: clean[range]), &generator)
        }
      }
    }
    return (noisy, Tensor([batch, crop, crop, 1], clean))
  }

  private func sample(
    into noisy: UnsafeMutableBufferPointer<Float>, clean: UnsafeMutableBufferPointer<Float>,
    _ generator: inout SeededGenerator
  ) {
    let draw = generator.nextUniformDouble()
    let scan = scans.first { draw < $0.cumulative } ?? scans[scans.count - 1]
    let slice = slices[scan.slices.lowerBound + generator.nextInt(below: scan.slices.count)]
    let crop = section.crop
    let top = generator.nextInt(below: max(1, slice.height - crop + 1))
    let left = generator.nextInt(below: max(1, slice.width - crop + 1))
    let turn = section.flips ? generator.nextInt(below: 8) : 0
    let gamma = exp(uniform(section.gamma.map { log($0) }, &generator))
    let sigma = uniform(section.noisePercent, &generator) / 100
    let scale = Float(uniform(section.intensityScale, &generator))
    for row in 0..<crop {
      for column in 0..<crop {
        // One of the eight symmetries of the square.
        var (y, x) = turn & 4 == 0 ? (row, column) : (column, row)
        if turn & 1 != 0 { y = crop - 1 - y }
        if turn & 2 != 0 { x = crop - 1 - x }
        let pixel =
          slice.pixels[
            Self.mirrored(top + y, slice.height) * slice.width
              + Self.mirrored(left + x, slice.width)]
        let value = gamma == 1 ? pixel : pow(pixel, Float(gamma))
        clean[row * crop + column] = value
        noisy[row * crop + column] = value
      }
    }
    RicianNoise(sigma: sigma).apply(to: noisy, using: &generator)
    for index in clean.indices {
      clean[index] *= scale
      noisy[index] *= scale
    }
  }

  private func uniform(_ range: [Double], _ generator: inout SeededGenerator) -> Double {
    range[0] + (range[1] - range[0]) * generator.nextUniformDouble()
  }

  /// A position beyond the last one reflected back inside, for slices smaller than a crop.
  static func mirrored(_ position: Int, _ count: Int) -> Int {
    let period = 2 * count
    let offset = position % period
    return offset < count ? offset : period - 1 - offset
  }
}
