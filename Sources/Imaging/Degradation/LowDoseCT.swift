import Foundation
public import Randomness

/// Computed tomography at a stated dose, and the same scan without noise.
///
/// Hounsfield units become attenuation `μ = μ_w (1 + HU / 1000)` (negative μ is 0), attenuation line
/// integrals p in parallel beams, and each detector counts
///
///     N ~ Poisson(N₀ e^(−p)) + Normal(0, σ_e²),   p' = ln(N₀ / max(N, 1)).
///
/// Filtered back-projection of p' gives the degraded slice, of p the reference: what differs between
/// them is noise alone, not the sharpness of the filter.
///
/// Source: Zeng et al., *A Simple Low-Dose X-Ray CT Simulation From High-Dose Scan*, IEEE
/// Transactions on Nuclear Science 62(5), 2015.
public struct LowDoseCT: Sendable, Equatable {
  /// Photons a detector counts without an object; 1e6 is a full dose, 2.5e5 a quarter.
  public var photons = 2.5e5
  /// Standard deviation of the electronic noise, in counts.
  public var electronicNoise = 5.0
  /// Attenuation of water, 1/mm.
  public var waterAttenuation = 0.02
  /// Views over 180 degrees for each pixel of the longer side.
  public var viewsPerPixel = 1.5
  /// The roll-off of the ramp filter.
  public var window = FilteredBackProjection.Window.ramLak

  /// The noise that a clean image has because a scanner measured it, too.
  ///
  /// References of patients come from a full dose, not from none; those of phantoms and of other pictures get
  /// such noise to be like them. Reference and degraded slice share it: it is part of what is to be restored.
  public struct ScannerNoise: Sendable, Equatable {
    /// Photons a detector counted.
    public var photons: Double
    /// Full width at half maximum of the scanner's smoothing, in detectors.
    public var smoothing: Double

    /// Noise of a scan.
    ///
    /// - Parameters:
    ///   - photons: Photons a detector counted, above 0.
    ///   - smoothing: Full width at half maximum, in detectors, ≥ 0.
    public init(photons: Double, smoothing: Double) {
      (self.photons, self.smoothing) = (photons, smoothing)
    }
  }

  /// What scanners store: outside it, HU are set to its ends.
  public static let range: ClosedRange<Float> = -1024...3071

  /// The defaults: a quarter dose.
  public init() {}

  /// A slice that is measured already, but without noise.
  public struct Measured: Sendable {
    /// Line integrals without noise, shape `[views, detectors]`.
    public let sinogram: [Float]
    /// The slice reconstructed from them, HU, shape `[height, width]`.
    public let reference: [Float]
    let reconstruction: FilteredBackProjection
  }

  /// Measures a slice without noise.
  ///
  /// - Parameter slice: HU; pixels must be square.
  /// - Returns: What all noisy versions of the slice have in common.
  /// - Throws: ``ImagingError/invalidParameter(name:value:reason:)`` if pixels are not square.
  public func measured(_ slice: ImageSlice) throws(ImagingError) -> Measured {
    let beam = try beam(of: slice)
    return measured(projected(slice, beam), beam)
  }

  /// Measures a slice without noise but for that of the scanner that it is to come from.
  ///
  /// The noise of a line integral p is normal of variance `e^p / N`, smoothed along the detectors.
  ///
  /// - Parameters:
  ///   - slice: HU; pixels must be square.
  ///   - noise: That of the scanner.
  ///   - generator: Where the random numbers come from, view by view.
  /// - Returns: What all noisy versions of the slice have in common.
  /// - Throws: ``ImagingError/invalidParameter(name:value:reason:)`` if pixels are not square.
  public func measured(
    _ slice: ImageSlice, with noise: ScannerNoise, using generator: inout SeededGenerator
  ) throws(ImagingError) -> Measured {
    let beam = try beam(of: slice)
    var sinogram = projected(slice, beam)
    let white = sinogram.map {
      Float((exp(Double($0)) / noise.photons).squareRoot() * generator.nextNormalDouble())
    }
    let smooth = GaussianBlur(fullWidth: noise.smoothing)
      .applied(toRows: white, length: beam.detectors, spacing: 1)
    for index in sinogram.indices { sinogram[index] += smooth[index] }
    return measured(sinogram, beam)
  }

  private func beam(of slice: ImageSlice) throws(ImagingError) -> ParallelBeam {
    let pixel = try slice.squarePixel()
    let views = Int((viewsPerPixel * Double(max(slice.height, slice.width))).rounded(.up))
    return ParallelBeam(
      height: slice.height, width: slice.width, pixel: pixel, views: max(2, views))
  }

  private func projected(_ slice: ImageSlice, _ beam: ParallelBeam) -> [Float] {
    let water = Float(waterAttenuation)
    return beam.projected(slice.pixels.map { max(0, water * (1 + $0 / 1000)) })
  }

  private func measured(_ sinogram: [Float], _ beam: ParallelBeam) -> Measured {
    let reconstruction = FilteredBackProjection(beam, window: window)
    return Measured(
      sinogram: sinogram, reference: hounsfield(reconstruction.reconstructed(sinogram)),
      reconstruction: reconstruction)
  }

  /// Reconstructs one noisy measurement of a slice.
  ///
  /// Each detector takes its Poisson number and its normal one from the generator, view by view.
  ///
  /// - Parameters:
  ///   - measured: The slice.
  ///   - generator: Where the random numbers come from.
  /// - Returns: HU, shape `[height, width]`.
  public func degraded(_ measured: Measured, using generator: inout SeededGenerator) -> [Float] {
    var noisy = measured.sinogram
    for index in noisy.indices {
      let mean = photons * exp(-Double(noisy[index]))
      let counts =
        generator.nextPoisson(mean: mean) + electronicNoise * generator.nextNormalDouble()
      noisy[index] = Float(log(photons / max(counts, 1)))
    }
    return hounsfield(measured.reconstruction.reconstructed(noisy))
  }

  /// Degrades all axial slices of a volume.
  ///
  /// Every slice has a random stream of its own, named by the seed, the image's number and the
  /// slice's place.
  ///
  /// - Parameters:
  ///   - volume: HU.
  ///   - seed: The seed of the experiment.
  ///   - image: The number of the image in the experiment.
  ///   - threads: Threads that share the slices; the result does not depend on it.
  /// - Returns: The noisy volume and its reference, both in HU on the same grid.
  /// - Throws: ``ImagingError/invalidParameter(name:value:reason:)`` if pixels are not square.
  public func applied(
    to volume: Volume, seed: UInt64, image: UInt64, threads: Int = 1
  ) throws(ImagingError) -> (degraded: Volume, reference: Volume) {
    try SlicePairs.make(of: volume, threads: threads) { slice, number throws(ImagingError) in
      let measured = try measured(slice)
      var generator = SeededGenerator(seed: seed, stream: image, number)
      return (degraded(measured, using: &generator), measured.reference)
    }
  }

  private func hounsfield(_ attenuation: [Float]) -> [Float] {
    let scale = Float(1000 / waterAttenuation)
    return attenuation.map {
      min(max($0 * scale - 1000, Self.range.lowerBound), Self.range.upperBound)
    }
  }
}
