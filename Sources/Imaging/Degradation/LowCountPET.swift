import Foundation
public import Randomness

/// Emission tomography with few counts, and the same scan with expected counts.
///
/// The activity is blurred by the scanner's point spread, projected in parallel beams, scaled to the
/// stated counts, and a uniform background of scatter and randoms b is added. The measurement is a
/// Poisson number of each mean; the reference takes the means themselves. Both are reconstructed by
/// ordered subsets,
///
///     x ← x · A_sᵀ(y / (A_s x + b)) / A_sᵀ 1,
///
/// from a uniform start, with the background known, and smoothed as in the clinic. Attenuation is taken
/// as corrected.
///
/// Source: Hudson, Larkin, *Accelerated Image Reconstruction Using Ordered Subsets of Projection
/// Data*, IEEE Transactions on Medical Imaging 13(4), 1994.
public struct LowCountPET: Sendable, Equatable {
  /// True counts of a slice of average activity; 1e6 is plenty, 1e5 and 2e4 are low.
  public var counts = 1e5
  /// Full width at half maximum of the point spread, mm.
  public var pointSpread = 5.0
  /// Background counts as a fraction of the true ones.
  public var background = 0.25
  /// Passes over all views.
  public var iterations = 4
  /// Full width at half maximum of the Gaussian that follows the reconstruction, mm; 0 for none.
  public var postFilter = 4.0
  /// Subsets of the views.
  public var subsets = 8
  /// Views over 180 degrees for each pixel of the longer side.
  public var viewsPerPixel = 1.0

  /// The defaults: a tenth of plenty.
  public init() {}

  /// A slice that is measured already, but with expected counts.
  public struct Measured: Sendable {
    /// Line integrals of the blurred activity, shape `[views, detectors]`.
    public let sinogram: [Float]
    /// The slice reconstructed from expected counts, in units of the activity.
    public let reference: [Float]
    let beam: ParallelBeam
    let sensitivities: [[Float]]
    /// Counts per unit of line integral at ``LowCountPET/counts`` = 1.
    let countScale: Double
  }

  /// Measures a slice with expected counts.
  ///
  /// - Parameters:
  ///   - slice: Activity, ≥ 0 (negative values are taken as 0); pixels must be square.
  ///   - meanActivity: The mean over the image's slices of the sum of their pixels; what "a slice of
  ///     average activity" means. If nil, this slice is the average one.
  /// - Returns: What all noisy versions of the slice have in common.
  /// - Throws: ``ImagingError/invalidParameter(name:value:reason:)`` if pixels are not square.
  public func measured(
    _ slice: ImageSlice, meanActivity: Double? = nil
  ) throws(ImagingError) -> Measured {
    let pixel = try slice.squarePixel()
    let wanted = (viewsPerPixel * Double(max(slice.height, slice.width))).rounded(.up)
    let views = max(subsets, (Int(wanted) + subsets - 1) / subsets * subsets)
    let beam = ParallelBeam(
      height: slice.height, width: slice.width, pixel: pixel, views: views)
    let activity = slice.pixels.map { max(0, $0) }
    let blurred = GaussianBlur(fullWidth: pointSpread).applied(
      to: activity, height: slice.height, width: slice.width, spacing: pixel)
    let sinogram = beam.projected(blurred)
    let own = activity.reduce(0) { $0 + Double($1) }
    let total = sinogram.reduce(0) { $0 + Double($1) }
    // A slice's share of the counts is its share of the activity.
    let share = meanActivity.map { $0 > 0 ? own / $0 : 0 } ?? 1
    let ones = [Float](repeating: 1, count: sinogram.count)
    let sensitivities = (0..<subsets).map {
      beam.transposed(ones, views: stride(from: $0, to: views, by: subsets))
    }
    let scale = total > 0 ? share / total : 0
    let expected = expectedCounts(sinogram, scale: counts * scale)
    return Measured(
      sinogram: sinogram,
      reference: reconstructed(
        expected.counts, background: expected.background, scale: counts * scale, beam,
        sensitivities),
      beam: beam, sensitivities: sensitivities, countScale: scale)
  }

  /// Reconstructs one noisy measurement of a slice.
  ///
  /// - Parameters:
  ///   - measured: The slice.
  ///   - generator: Where the Poisson numbers come from, one a detector, view by view.
  /// - Returns: Activity, in the units of the clean slice, shape `[height, width]`.
  public func degraded(_ measured: Measured, using generator: inout SeededGenerator) -> [Float] {
    let scale = counts * measured.countScale
    var (values, background) = expectedCounts(measured.sinogram, scale: scale)
    for index in values.indices {
      values[index] = Float(generator.nextPoisson(mean: Double(values[index])))
    }
    return reconstructed(
      values, background: background, scale: scale, measured.beam, measured.sensitivities)
  }

  /// Degrades all slices of a volume.
  ///
  /// Every slice has a random stream of its own, named by the seed, the image's number and the
  /// slice's place. Counts are shared among the slices by their activity.
  ///
  /// - Parameters:
  ///   - volume: Activity, in any unit.
  ///   - seed: The seed of the experiment.
  ///   - image: The number of the image in the experiment.
  ///   - threads: Threads that share the slices; the result does not depend on it.
  /// - Returns: The noisy volume and its reference, in the units of the clean one, on its grid.
  /// - Throws: ``ImagingError/invalidParameter(name:value:reason:)`` if pixels are not square.
  public func applied(
    to volume: Volume, seed: UInt64, image: UInt64, threads: Int = 1
  ) throws(ImagingError) -> (degraded: Volume, reference: Volume) {
    let mean = Self.meanActivity(of: volume)
    return try SlicePairs.make(of: volume, threads: threads) { slice, number throws(ImagingError) in
      let measured = try measured(slice, meanActivity: mean)
      var generator = SeededGenerator(seed: seed, stream: image, number)
      return (degraded(measured, using: &generator), measured.reference)
    }
  }

  /// The mean over the slices with activity of the sum of their pixels.
  public static func meanActivity(of volume: Volume) -> Double {
    let plane = volume.geometry.acquisitionPlane
    var sums: [Double] = []
    for time in 0..<volume.volumeCount {
      for slice in volume.slices(in: plane, ofVolume: time) {
        let sum = slice.pixels.reduce(0) { $0 + Double(max(0, $1)) }
        if sum > 0 { sums.append(sum) }
      }
    }
    return sums.isEmpty ? 0 : sums.reduce(0, +) / Double(sums.count)
  }

  private func expectedCounts(
    _ sinogram: [Float], scale: Double
  ) -> (counts: [Float], background: Float) {
    let total = sinogram.reduce(0) { $0 + Double($1) } * scale
    let background = Float(background * total / Double(sinogram.count))
    // Of faint images the scale is beyond single precision, what comes out of it is not.
    return (sinogram.map { Float(Double($0) * scale) + background }, background)
  }

  private func reconstructed(
    _ measured: [Float], background: Float, scale: Double, _ beam: ParallelBeam,
    _ sensitivities: [[Float]]
  ) -> [Float] {
    let pixels = beam.height * beam.width
    guard scale > 0 else { return [Float](repeating: 0, count: pixels) }
    // Start at the mean activity that explains the counts.
    let sensitivity = sensitivities.reduce(0) { $0 + $1.reduce(0) { $0 + Double($1) } }
    let trues = measured.reduce(0) { $0 + Double($1) } - Double(background) * Double(measured.count)
    let start = Float(max(trues, 1) / scale / sensitivity)
    var image = [Float](repeating: start, count: pixels)
    var ratios = [Float](repeating: 0, count: measured.count)
    let count = beam.detectors
    for _ in 0..<iterations {
      for subset in Self.order(subsets) {
        let views = stride(from: subset, to: beam.views, by: subsets)
        let padded = PaddedSlice(image, height: beam.height, width: beam.width)
        ratios.withUnsafeMutableBufferPointer { ratios in
          guard let base = ratios.baseAddress else { return }
          for view in views {
            let line = base + view * count
            line.update(repeating: 0, count: count)
            beam.project(padded, view: view, into: line)
            for detector in 0..<count {
              let mean = Float(Double(line[detector]) * scale) + background
              line[detector] = mean > 0 ? measured[view * count + detector] / mean : 1
            }
          }
        }
        let update = beam.transposed(ratios, views: views)
        let norm = sensitivities[subset]
        for index in 0..<pixels where norm[index] > 0 {
          image[index] *= update[index] / norm[index]
        }
      }
    }
    return GaussianBlur(fullWidth: postFilter).applied(
      to: image, height: beam.height, width: beam.width, spacing: beam.pixel)
  }

  /// An order of the subsets in which neighbours are far apart in angle: bits reversed.
  static func order(_ count: Int) -> [Int] {
    var order = [0]
    while order.count < count { order = order.map { 2 * $0 } + order.map { 2 * $0 + 1 } }
    return order.filter { $0 < count }
  }
}
