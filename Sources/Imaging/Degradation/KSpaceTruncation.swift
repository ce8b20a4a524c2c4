import Foundation
internal import Fourier
public import Randomness

/// A slice as a scanner of lower resolution would show it: the centre of its k-space, zero-filled.
///
/// Of n spatial frequencies along an axis, those with `|k| < n/2f` stay, one at exactly `n/2f` with
/// half its weight, and all others are 0. The result on the same grid is the sinc interpolation of the
/// small image. Complex normal noise may be added to the frequencies that stay; the magnitude is then
/// Rician.
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
    precondition(
      image.count == height * width,
      "KSpaceTruncation: \(image.count) pixels for \([height, width])")
    let transform = FourierTransform<Float>(axes: [height, width])
    var values = [Float](repeating: 0, count: 2 * image.count)
    for index in image.indices { values[2 * index] = image[index] }
    values.withUnsafeMutableBufferPointer { buffer in
      guard let values = buffer.baseAddress else { return }
      transform.fft(values, into: values)
      let (rows, columns) = (Self.weights(height, factor), Self.weights(width, factor))
      // White noise of deviation σ in a small image of m pixels has σ √m in each frequency of an
      // unscaled transform; on the large grid of n pixels all frequencies count n/m times.
      let kept = rows.reduce(0) { $0 + Double($1) } * columns.reduce(0) { $0 + Double($1) }
      let deviation = noise * Double(height * width) / max(1, kept).squareRoot()
      for y in 0..<height {
        for x in 0..<width {
          let index = y * width + x
          let weight = rows[y] * columns[x]
          values[2 * index] *= weight
          values[2 * index + 1] *= weight
          if deviation > 0, weight > 0 {
            values[2 * index] += Float(deviation * generator.nextNormalDouble())
            values[2 * index + 1] += Float(deviation * generator.nextNormalDouble())
          }
        }
      }
      transform.ifft(values, into: values)
    }
    return image.indices.map { index in
      let (real, imaginary) = (values[2 * index], values[2 * index + 1])
      return (real * real + imaginary * imaginary).squareRoot()
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
    precondition(
      measured.count == height * width && restored.count == height * width,
      "KSpaceTruncation: \(measured.count) and \(restored.count) pixels for \([height, width])")
    let transform = FourierTransform<Float>(axes: [height, width])
    var values = [Float](repeating: 0, count: 2 * measured.count)
    for index in measured.indices { values[2 * index] = measured[index] }
    var own = [Float](repeating: 0, count: 2 * measured.count)
    for index in measured.indices { own[2 * index] = restored[index] }
    values.withUnsafeMutableBufferPointer { buffer in
      own.withUnsafeMutableBufferPointer { own in
        guard let values = buffer.baseAddress, let own = own.baseAddress else { return }
        transform.fft(values, into: values)
        transform.fft(own, into: own)
        let (rows, columns) = (Self.weights(height, factor), Self.weights(width, factor))
        for y in 0..<height {
          for x in 0..<width {
            let index = 2 * (y * width + x)
            let weight = rows[y] * columns[x]
            let isMeasured: Float = weight > 0 ? 1 : 0
            values[index] = isMeasured * values[index] + (1 - weight) * own[index]
            values[index + 1] = isMeasured * values[index + 1] + (1 - weight) * own[index + 1]
          }
        }
        transform.ifft(values, into: values)
      }
    }
    return measured.indices.map { values[2 * $0] }
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

  /// The weight of each frequency of an axis, in the transform's order.
  static func weights(_ count: Int, _ factor: Double) -> [Float] {
    let limit = Double(count) / (2 * factor)
    return (0..<count).map { index in
      let frequency = Double(min(index, count - index))
      if factor == 1 { return 1 }
      return frequency < limit - 1e-9 ? 1 : frequency > limit + 1e-9 ? 0 : 0.5
    }
  }
}

/// Slices of several times their thickness, interpolated back to the original ones.
///
/// Each thick slice is the mean of consecutive thin ones (a box profile); the volume on the original
/// grid is linear between their centres and constant beyond the outer ones.
public struct ThickSlices: Sendable, Equatable {
  /// Thin slices to a thick one.
  public let count: Int

  /// Thick slices of some thin ones.
  ///
  /// - Parameter count: Thin slices to a thick one, ≥ 1.
  public init(count: Int) {
    precondition(count >= 1, "ThickSlices: \(count) slices")
    self.count = count
  }

  /// Averages and interpolates along the slices of the acquisition plane.
  ///
  /// - Parameter volume: The clean images.
  /// - Returns: The result on the same grid.
  public func applied(to volume: Volume) -> Volume {
    let plane = volume.geometry.acquisitionPlane
    var result = volume
    for time in 0..<volume.volumeCount {
      let slices = volume.slices(in: plane, ofVolume: time)
      let starts = Array(stride(from: 0, to: slices.count, by: count))
      let thick = starts.map { start -> (centre: Double, pixels: [Float]) in
        let range = start..<min(start + count, slices.count)
        var sum = [Float](repeating: 0, count: slices.layout.height * slices.layout.width)
        for index in range {
          let pixels = slices[index].pixels
          for pixel in sum.indices { sum[pixel] += pixels[pixel] / Float(range.count) }
        }
        return (Double(range.lowerBound + range.upperBound - 1) / 2, sum)
      }
      for index in 0..<slices.count {
        var slice = slices[index]
        let after = thick.firstIndex { $0.centre >= Double(index) } ?? thick.count - 1
        let before = thick[after].centre > Double(index) ? max(0, after - 1) : after
        let gap = thick[after].centre - thick[before].centre
        let t = gap > 0 ? Float((Double(index) - thick[before].centre) / gap) : 0
        for pixel in slice.pixels.indices {
          let (a, b) = (thick[before].pixels[pixel], thick[after].pixels[pixel])
          slice.pixels[pixel] = a + t * (b - a)
        }
        result.replaceSlice(at: index, in: plane, ofVolume: time, with: slice)
      }
    }
    return result
  }
}
