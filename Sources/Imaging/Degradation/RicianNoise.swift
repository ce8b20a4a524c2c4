public import Randomness

/// Rician noise, that of magnitude images in magnetic resonance imaging.
///
/// A magnitude is taken of a complex signal with independent normal noise in both channels:
///
///     y = √((x + σ n₁)² + (σ n₂)²),  n₁, n₂ ~ N(0, 1),
///
/// with σ = p·s for noise of the fraction p, s being the scale of the clean image as
/// ``ForegroundPSNR`` defines it.
///
/// Source: Gudbjartsson, Patz, *The Rician Distribution of Noisy MRI Data*, Magnetic Resonance in
/// Medicine 34(6), 1995.
public struct RicianNoise: Sendable, Equatable {
  /// The standard deviation σ of each channel, in units of the image.
  public let sigma: Double

  /// Creates noise of a standard deviation.
  ///
  /// - Parameter sigma: The deviation of each channel, in units of the image, finite and ≥ 0.
  public init(sigma: Double) {
    precondition(sigma >= 0 && sigma.isFinite, "RicianNoise: sigma \(sigma)")
    self.sigma = sigma
  }

  /// Creates noise of a fraction of an image's scale.
  ///
  /// - Parameters:
  ///   - fraction: The fraction p, for instance 0.1 for "10 % noise", finite and ≥ 0.
  ///   - scale: The scale s of the clean image, in its units, finite and ≥ 0.
  public init(fraction: Double, ofScale scale: Double) {
    precondition(
      fraction >= 0 && fraction.isFinite && scale >= 0 && scale.isFinite,
      "RicianNoise: fraction \(fraction) of scale \(scale)")
    self.init(sigma: fraction * scale)
  }

  /// Adds noise to some samples.
  ///
  /// Each sample takes the next two normal numbers, in order, whatever σ is.
  ///
  /// - Parameters:
  ///   - samples: The clean samples, which become the noisy ones.
  ///   - generator: Where the normal numbers come from.
  public func apply(
    to samples: UnsafeMutableBufferPointer<Float>, using generator: inout SeededGenerator
  ) {
    for index in samples.indices {
      let real = Double(samples[index]) + sigma * generator.nextNormalDouble()
      let imaginary = sigma * generator.nextNormalDouble()
      samples[index] = Float((real * real + imaginary * imaginary).squareRoot())
    }
  }

  /// Adds noise to an image.
  ///
  /// Every slice along z has a stream of its own, named by the seed, the image's number and the
  /// slice's place in the work array. A slice therefore gets the same noise whichever other slices
  /// or images are made, in whatever order.
  ///
  /// - Parameters:
  ///   - volume: The clean image, or series of images.
  ///   - seed: The seed of the experiment.
  ///   - image: The number of the image in the experiment, for instance its place in a list.
  /// - Returns: The noisy image on the same grid.
  public func applied(to volume: Volume, seed: UInt64, image: UInt64) -> Volume {
    var noisy = volume
    noisy.voxels = volume.voxels.withUnsafeBufferPointer { clean in
      [Float](unsafeUninitializedCapacity: clean.count) { buffer, count in
        _ = buffer.initialize(from: clean)
        let area = volume.size.x * volume.size.y
        for slice in 0..<clean.count / area {
          var generator = SeededGenerator(seed: seed, stream: image, UInt64(slice))
          let range = slice * area..<(slice + 1) * area
          apply(to: UnsafeMutableBufferPointer(rebasing: buffer[range]), using: &generator)
        }
        count = clean.count
      }
    }
    return noisy
  }
}
