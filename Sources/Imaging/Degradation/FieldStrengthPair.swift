import Foundation

/// A pair of images like those of 3 and 7 tesla: other contrast, lower resolution, more noise.
///
/// The target is the image with the exponent 0.8 on its normalised intensity, shaded by a smooth
/// field; the source is the image with another exponent, truncated in k-space to 1/1.5 of its
/// resolution, with Rician noise of 3 %. A stand-in for paired acquisitions, not a model of either
/// scanner.
public struct FieldStrengthPair: Sendable, Equatable {
  /// Exponent on intensities of the target.
  public var targetGamma = 0.8
  /// Strength of the target's shading; see ``BiasField``.
  public var bias = 0.2
  /// Exponent on intensities of the source.
  public var sourceGamma = 1.1
  /// Loss of resolution of the source.
  public var factor = 1.5
  /// Noise of the source as a fraction of the 99.5th percentile of the positive voxels.
  public var noise = 0.03

  /// The defaults.
  public init() {}

  /// Makes the pair of an image.
  ///
  /// - Parameters:
  ///   - volume: The image; at least one voxel must be > 0.
  ///   - seed: The seed of the experiment.
  ///   - image: The number of the image in the experiment.
  ///   - threads: Threads that share the slices; the result does not depend on it.
  /// - Returns: Source and target on the grid of the image, in its units.
  /// - Throws: ``ImagingError/noForeground(file:)`` if no voxel is > 0.
  public func applied(
    to volume: Volume, seed: UInt64, image: UInt64, threads: Int = 1
  ) throws(ImagingError) -> (source: Volume, target: Volume) {
    let positive = OrderStatistics(of: volume.voxels, selection: .positive)
    guard let scale = positive.percentile(ForegroundPSNR.scalePercentile) else {
      throw .noForeground(file: "image")
    }
    func powered(_ gamma: Double) -> Volume {
      var result = volume
      result.voxels = volume.voxels.map {
        Float(scale * pow(Double(max(0, $0)) / scale, gamma))
      }
      return result
    }
    let target = BiasField(strength: bias).applied(
      to: powered(targetGamma), seed: seed, image: image)
    let truncation = KSpaceTruncation(factor: factor, noise: noise * scale)
    let source = truncation.applied(
      to: powered(sourceGamma), seed: seed &+ 1, image: image, threads: threads)
    return (source, target)
  }
}
