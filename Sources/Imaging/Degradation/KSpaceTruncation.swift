public import Randomness

/// A slice as a scanner of lower resolution would show it: the centre of its k-space, zero-filled.
///
/// Of n spatial frequencies along an axis, those with `|k| < n/2f` stay, one at exactly `n/2f` with
/// half its weight, and all others are 0. The result on the same grid is the sinc interpolation of the
/// small image. Complex normal noise may be added to the frequencies that stay, with half the variance at
/// those of half weight; the magnitude is then Rician.
///
/// Source: Haacke et al., *Magnetic Resonance Imaging: Physical Principles and Sequence Design*,
/// Wiley 1999, chapters 12 and 13 (finite sampling, zero filling).
public struct KSpaceTruncation: Sendable, Equatable {
  /// By how much the resolution falls along rows and columns, ≥ 1.
  public let factor: Double
  /// Standard deviation of the noise of each channel in the small image, units of the image.
  public let noise: Double

  /// A truncation.
  ///
  /// - Parameters:
  ///   - factor: Loss of resolution, finite and ≥ 1.
  ///   - noise: Standard deviation of each channel, in the units of the image, ≥ 0.
  public init(factor: Double, noise: Double = 0) {
    precondition(
      factor >= 1 && factor.isFinite && noise >= 0 && noise.isFinite,
      "KSpaceTruncation: factor \(factor), noise \(noise)")
    self.factor = factor
    self.noise = noise
  }

  /// Truncates one slice.
  ///
  /// - Parameters:
  ///   - image: Shape `[height, width]`.
  ///   - height: Rows.
  ///   - width: Columns.
  ///   - generator: Where the noise comes from; untouched if there is none.
  /// - Returns: Magnitudes, shape `[height, width]`.
  public func applied(
    to image: [Float], height: Int, width: Int, using generator: inout SeededGenerator
  ) -> [Float] {
    let unit = SliceSpectrum.unit(of: image + [Float(noise)])
    var spectrum = SliceSpectrum(of: image, height: height, width: width, dividedBy: unit)
    let (rows, columns) = (weights(height), weights(width))
    spectrum.multiply(rows: rows, columns: columns)
    // White noise of deviation σ in a small image of m pixels has σ √m in each frequency of an
    // unscaled transform; on the large grid of n pixels all frequencies count n/m times.
    let kept = rows.reduce(0) { $0 + Double($1) } * columns.reduce(0) { $0 + Double($1) }
    let deviation = noise / Double(unit) * Double(height * width) / max(1, kept).squareRoot()
    if deviation > 0 {
      for index in image.indices {
        let weight = rows[index / width] * columns[index % width]
        guard weight > 0 else { continue }
        // The two frequencies at ±n/2f are one of the small image: each has half of its variance. The
        // variances then sum to m, as do the weights; on the small grid both halves fall together again.
        let share = deviation * Double(weight).squareRoot()
        spectrum.values[2 * index] += Float(share * generator.nextNormalDouble())
        spectrum.values[2 * index + 1] += Float(share * generator.nextNormalDouble())
      }
    }
    let values = spectrum.image()
    return image.indices.map { index in
      let (real, imaginary) = (values[2 * index], values[2 * index + 1])
      return unit * (real * real + imaginary * imaginary).squareRoot()
    }
  }

  /// Puts the frequencies that a truncated image has into an image that was restored from it.
  ///
  /// What was measured stays as it was measured; a frequency with half its weight gets its other half
  /// from the restored image.
  ///
  /// - Parameters:
  ///   - measured: The truncated image, `[height, width]`.
  ///   - restored: What was made of it, `[height, width]`.
  ///   - height: Rows.
  ///   - width: Columns.
  /// - Returns: `[height, width]`.
  public func keeping(
    _ measured: [Float], in restored: [Float], height: Int, width: Int
  ) -> [Float] {
    let unit = SliceSpectrum.unit(of: measured + restored)
    var spectrum = SliceSpectrum(of: measured, height: height, width: width, dividedBy: unit)
    let own = SliceSpectrum(of: restored, height: height, width: width, dividedBy: unit).values
    let (rows, columns) = (weights(height), weights(width))
    for index in spectrum.values.indices {
      let weight = rows[index / 2 / width] * columns[index / 2 % width]
      let isMeasured: Float = weight > 0 ? 1 : 0
      spectrum.values[index] = isMeasured * spectrum.values[index] + (1 - weight) * own[index]
    }
    let values = spectrum.image()
    return measured.indices.map { unit * values[2 * $0] }
  }

  /// Truncates all slices of the acquisition plane.
  ///
  /// Every slice has a random stream of its own, named by the seed, the image's number and the
  /// slice's place.
  ///
  /// - Parameters:
  ///   - volume: The clean images.
  ///   - seed: The seed of the experiment.
  ///   - image: The number of the image in the experiment.
  ///   - threads: Threads that share the slices; the result does not depend on it.
  /// - Returns: The volume of low resolution on the same grid.
  public func applied(
    to volume: Volume, seed: UInt64, image: UInt64, threads: Int = 1
  ) -> Volume {
    SlicePairs.make(of: volume, threads: threads) { slice, number in
      var generator = SeededGenerator(seed: seed, stream: image, number)
      let result = applied(
        to: slice.pixels, height: slice.height, width: slice.width, using: &generator)
      return (result, slice.pixels)
    }.degraded
  }

  private func weights(_ count: Int) -> [Float] {
    guard factor > 1 else { return [Float](repeating: 1, count: count) }
    let limit = Double(count) / (2 * factor)
    return SliceSpectrum.weights(count) { frequency in
      frequency < limit - 1e-9 ? 1 : frequency > limit + 1e-9 ? 0 : 0.5
    }
  }
}
