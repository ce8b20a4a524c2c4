import Foundation

/// The structural similarity index of two images, SSIM, in 2D and 3D.
///
/// In a window that slides over both images x and y, with means μ, variances σ² and covariance σxy,
///
///     SSIM = (2 μx μy + C1)(2 σxy + C2) / ((μx² + μy² + C1)(σx² + σy² + C2)),
///     C1 = (K1 R)², C2 = (K2 R)²,
///
/// and the index is the mean of this map. R is the data range. A 3D image takes a 3D window; for the
/// mean over slices see ``meanOfSlices(of:against:shape:dataRange:name:)``. Moments are summed in
/// `Double`, `σ² = E[x²] − μ²` without clamping, as the reference implementations do.
///
/// Source: Wang et al., *Image Quality Assessment: From Error Visibility to Structural Similarity*,
/// IEEE Transactions on Image Processing 13(4), 2004.
public struct StructuralSimilarity: Sendable, Equatable {
  /// The weights of the sliding window; their sum is 1.
  public enum Window: Sendable, Equatable {
    /// A Gaussian of odd length, with its standard deviation in samples.
    case gaussian(taps: Int, sigma: Double)
    /// Equal weights over an odd length.
    case uniform(taps: Int)

    /// The length of the window along each axis.
    public var taps: Int {
      switch self {
      case .gaussian(let taps, _), .uniform(let taps): taps
      }
    }

    /// The weights along one axis; the window is their product over the axes.
    var weights: [Double] {
      switch self {
      case .uniform(let taps): return [Double](repeating: 1 / Double(taps), count: taps)
      case .gaussian(let taps, let sigma):
        let raw = (0..<taps).map { tap in
          let offset = Double(tap - taps / 2) / sigma
          return exp(-0.5 * offset * offset)
        }
        let sum = raw.reduce(0, +)
        return raw.map { $0 / sum }
      }
    }
  }

  /// Where the window may stand.
  public enum Border: Sendable, Equatable {
    /// Only where it lies inside the image.
    case interior
    /// On every sample; the image continues with zeros.
    case zeroPadded
  }

  /// The window.
  public var window: Window
  /// Where the window may stand.
  public var border: Border
  /// Whether variances are multiplied by n/(n − 1), n being the samples of the window.
  public var usesSampleCovariance: Bool
  /// The constant K1.
  public var k1: Double
  /// The constant K2.
  public var k2: Double

  /// Creates a variant.
  ///
  /// - Parameters:
  ///   - window: The window, of odd length.
  ///   - border: Where the window may stand.
  ///   - usesSampleCovariance: Whether variances are multiplied by n/(n − 1).
  ///   - k1: The constant K1.
  ///   - k2: The constant K2.
  public init(
    window: Window, border: Border = .interior, usesSampleCovariance: Bool = false,
    k1: Double = 0.01, k2: Double = 0.03
  ) {
    precondition(window.taps % 2 == 1, "StructuralSimilarity: window of \(window.taps), not odd")
    self.window = window
    self.border = border
    self.usesSampleCovariance = usesSampleCovariance
    self.k1 = k1
    self.k2 = k2
  }

  /// The default: 11-tap Gaussian of deviation 1.5, interior, as in the original paper.
  public static let gaussian = StructuralSimilarity(window: .gaussian(taps: 11, sigma: 1.5))

  /// The 7-tap mean window with sample covariance, the default of scikit-image.
  public static let uniform7 = StructuralSimilarity(
    window: .uniform(taps: 7), usesSampleCovariance: true)

  /// The variant of Restore-RWKV's evaluation: as ``gaussian``, on every sample of the image.
  public static let restoreRWKV = StructuralSimilarity(
    window: .gaussian(taps: 11, sigma: 1.5), border: .zeroPadded)

  /// The mean index of two images.
  ///
  /// - Parameters:
  ///   - prediction: The image, shape `shape`.
  ///   - reference: The reference, shape `shape`.
  ///   - counted: Whether each voxel counts, shape `shape`; all of them if nil. The mean is over the
  ///     windows that hold counted voxels alone, NaN if there is none.
  ///   - shape: `[height, width]` or `[depth, height, width]`; a 3D window is used for the latter.
  ///   - dataRange: The range R in units of the images, > 0.
  ///   - name: What errors call the image.
  /// - Returns: The mean index, at most 1.
  /// - Throws: ``ImagingError/smallerThanWindow(file:shape:window:)`` if ``border`` is
  ///   ``Border/interior`` and an axis is shorter than the window;
  ///   ``ImagingError/constantReference(file:)`` for a data range of 0, and
  ///   ``ImagingError/invalidParameter(name:value:reason:)`` for one that is not > 0.
  public func score(
    of prediction: [Float], against reference: [Float], counting counted: [Bool]? = nil,
    shape: [Int], dataRange: Double, name: String = "image"
  ) throws(ImagingError) -> Double {
    let windows = try indexSum(
      of: prediction, against: reference, counting: counted, shape: shape, dataRange: dataRange,
      name: name)
    return windows.sum / Double(windows.count)
  }

  /// The sum of the index over the windows that count, and their number; else as
  /// ``score(of:against:counting:shape:dataRange:name:)``.
  func indexSum(
    of prediction: [Float], against reference: [Float], counting counted: [Bool]?, shape: [Int],
    dataRange: Double, name: String
  ) throws(ImagingError) -> (sum: Double, count: Int) {
    precondition(
      (shape.count == 2 || shape.count == 3) && prediction.count == shape.reduce(1, *)
        && reference.count == prediction.count,
      "StructuralSimilarity: \(prediction.count) and \(reference.count) samples for shape \(shape)")
    // What is usually the reference's own span.
    guard dataRange != 0 else { throw .constantReference(file: name) }
    guard dataRange > 0, dataRange.isFinite else {
      throw .invalidParameter(
        name: "data range", value: "\(dataRange)", reason: "SSIM needs a finite range > 0")
    }
    if border == .interior, shape.contains(where: { $0 < window.taps }) {
      throw .smallerThanWindow(file: name, shape: shape, window: window.taps)
    }
    return uncheckedIndexSum(
      prediction, reference, counting: counted, shape: shape, dataRange: dataRange)
  }

  /// The mean over the slices of a 3D image of the mean 2D index of each.
  ///
  /// - Parameters:
  ///   - prediction: The image, shape `shape`.
  ///   - reference: The reference, shape `shape`.
  ///   - shape: `[depth, height, width]`; the slices lie along the first axis.
  ///   - dataRange: The range R in units of the images, > 0, the same for all slices.
  ///   - name: What errors call the image.
  /// - Returns: The mean index, at most 1.
  /// - Throws: As ``score(of:against:counting:shape:dataRange:name:)``.
  public func meanOfSlices(
    of prediction: [Float], against reference: [Float], shape: [Int], dataRange: Double,
    name: String = "image"
  ) throws(ImagingError) -> Double {
    precondition(
      shape.count == 3 && shape[0] > 0 && prediction.count == shape.reduce(1, *)
        && reference.count == prediction.count,
      "StructuralSimilarity: \(prediction.count) and \(reference.count) samples for shape \(shape)")
    let area = shape[1] * shape[2]
    var sum = 0.0
    for slice in 0..<shape[0] {
      let range = slice * area..<(slice + 1) * area
      sum += try score(
        of: Array(prediction[range]), against: Array(reference[range]),
        shape: [shape[1], shape[2]],
        dataRange: dataRange, name: name)
    }
    return sum / Double(shape[0])
  }

  /// The mean index of images whose shape was checked.
  func meanIndex(
    _ prediction: [Float], _ reference: [Float], shape: [Int], dataRange: Double
  ) -> Double {
    let windows = uncheckedIndexSum(
      prediction, reference, counting: nil, shape: shape, dataRange: dataRange)
    return windows.sum / Double(windows.count)
  }

  /// The sum of the index over the windows that count, and their number.
  private func uncheckedIndexSum(
    _ prediction: [Float], _ reference: [Float], counting counted: [Bool]?, shape: [Int],
    dataRange: Double
  ) -> (sum: Double, count: Int) {
    let weights = window.weights
    let samples = shape.reduce(1.0) { product, _ in product * Double(window.taps) }
    let factor = usesSampleCovariance ? samples / (samples - 1) : 1
    let c1 = k1 * dataRange * (k1 * dataRange)
    let c2 = k2 * dataRange * (k2 * dataRange)
    var sum = 0.0
    var count = 0
    var depth = 0
    let valid = counted.map {
      CountedWindows(
        counting: $0, shape: shape, radius: window.taps / 2, isInterior: border == .interior)
    }
    let moments = SlidingMoments(
      weights: weights, shape: shape, padding: border == .zeroPadded ? window.taps / 2 : 0)
    moments.forEachPlane(of: prediction, and: reference) { plane in
      for index in 0..<plane.count {
        if let valid, !valid.contains(index, ofPlane: depth) { continue }
        count += 1
        let (mx, my) = (plane.x[index], plane.y[index])
        let varianceX = factor * (plane.xx[index] - mx * mx)
        let varianceY = factor * (plane.yy[index] - my * my)
        let covariance = factor * (plane.xy[index] - mx * my)
        let numerator = (2 * mx * my + c1) * (2 * covariance + c2)
        let denominator = (mx * mx + my * my + c1) * (varianceX + varianceY + c2)
        sum += numerator / denominator
      }
      depth += 1
    }
    return (sum, count)
  }
}
