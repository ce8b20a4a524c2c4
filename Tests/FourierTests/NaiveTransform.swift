import Foundation
import Fourier
import Randomness

/// One layout of the tables: `[batch, axes..., channels]`.
struct Layout: CustomStringConvertible, Sendable {
  var batch = 1
  var axes: [Int]
  var channels = 1

  var description: String { "[\(batch), \(axes), \(channels)]" }
  var points: Int { axes.reduce(1, *) }

  func transform<Scalar>(
    _: Scalar.Type, _ normalization: FourierNormalization = .backward
  ) -> FourierTransform<Scalar> {
    FourierTransform(batch: batch, axes: axes, channels: channels, normalization: normalization)
  }

  /// Even, odd, prime and single sizes, in one to three axes, with and without channels.
  static let table = [
    Layout(axes: [1]), Layout(axes: [2]), Layout(axes: [7]), Layout(axes: [8]),
    Layout(batch: 3, axes: [15]), Layout(batch: 2, axes: [16], channels: 5),
    Layout(axes: [4, 6]), Layout(axes: [5, 7], channels: 3), Layout(batch: 2, axes: [6, 1]),
    Layout(batch: 2, axes: [8, 9], channels: 4), Layout(axes: [3, 4, 5]),
    Layout(batch: 2, axes: [4, 3, 6], channels: 2), Layout(axes: [1, 1, 2], channels: 16),
  ]
}

extension Layout {
  /// The transform by its definition, unscaled, in double precision.
  ///
  /// `values` has shape `[batch, axes..., channels, 2]`; `sign` is -1 forward and 1 inverse.
  func naive(_ values: [Double], sign: Double) -> [Double] {
    var result = [Double](repeating: 0, count: values.count)
    let indices = (0..<points).map(index)
    for b in 0..<batch {
      for c in 0..<channels {
        for (i, k) in indices.enumerated() {
          var (real, imaginary) = (0.0, 0.0)
          for (j, n) in indices.enumerated() {
            // Whole turns are dropped before rounding can see them.
            var turns = 0.0
            for a in axes.indices { turns += Double(k[a] * n[a] % axes[a]) / Double(axes[a]) }
            let (cosine, sine) = (cos(2 * .pi * turns), sign * sin(2 * .pi * turns))
            let at = 2 * ((b * points + j) * channels + c)
            real += values[at] * cosine - values[at + 1] * sine
            imaginary += values[at] * sine + values[at + 1] * cosine
          }
          let to = 2 * ((b * points + i) * channels + c)
          result[to] = real
          result[to + 1] = imaginary
        }
      }
    }
    return result
  }

  /// The entries `0...n/2` of the last of the axes of a whole spectrum.
  func half(_ spectrum: [Double]) -> [Double] {
    let last = axes[axes.count - 1]
    let (row, kept) = (2 * last * channels, 2 * (last / 2 + 1) * channels)
    return stride(from: 0, to: spectrum.count, by: row).flatMap { start -> ArraySlice<Double> in
      spectrum[start..<start + kept]
    }
  }

  private func index(_ flat: Int) -> [Int] {
    var rest = flat
    var index: [Int] = []
    for size in axes.reversed() {
      index.append(rest % size)
      rest /= size
    }
    return index.reversed()
  }
}

/// Uniform numbers in [-1, 1), the same for the same seed.
func noise(_ count: Int, seed: UInt64) -> [Double] {
  var generator = SeededGenerator(seed: seed)
  return (0..<count).map { _ in 2 * generator.nextUniformDouble() - 1 }
}

/// The largest difference, relative to the largest expected magnitude; infinite for NaN.
func error<Scalar: BinaryFloatingPoint>(_ values: [Scalar], _ expected: [Double]) -> Double {
  guard values.count == expected.count else { return .infinity }
  let scale = expected.map(abs).max() ?? 0
  let worst = zip(values, expected).map { abs(Double($0) - $1) }
  guard worst.allSatisfy(\.isFinite) else { return .infinity }
  return (worst.max() ?? 0) / max(scale, .leastNormalMagnitude)
}
