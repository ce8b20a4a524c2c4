import Foundation
public import TensorCore

/// One minus the structural similarity of two images, at one scale (SSIM) or several (MS-SSIM).
///
/// At each scale means, variances and the covariance are taken under a Gaussian window of 11 pixels
/// (σ 1.5) that lies inside the image; the next scale halves the image by means of 2x2 pixels. Contrast
/// and structure count at all scales, luminance at the coarsest. With fewer than five scales the
/// published weights are divided by their sum.
///
/// Source: Wang et al., *Image Quality Assessment: From Error Visibility to Structural Similarity*, IEEE
/// TIP 13(4), 2004; Wang, Simoncelli, Bovik, *Multiscale Structural Similarity for Image Quality
/// Assessment*, Asilomar 2003, eq. (7) and the weights of §3.2.
public struct SimilarityLoss: Sendable, Equatable {
  /// Scales, 1 to 5.
  public let scales: Int
  /// The range of intensities, R in `C₁ = (0.01 R)²` and `C₂ = (0.03 R)²`.
  public let dataRange: Double

  private static let weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
  private static let window = 11
  private static let sigma = 1.5
  /// Below it a scale's similarity counts as this much: powers need positive numbers.
  private static let least: Float = 1e-6

  /// A loss.
  ///
  /// - Parameters:
  ///   - scales: 1 for SSIM, up to 5 for MS-SSIM.
  ///   - dataRange: The range of intensities.
  public init(scales: Int = 1, dataRange: Double = 1) {
    precondition((1...5).contains(scales), "similarity loss: \(scales) scales, 1 to 5 can be")
    self.scales = scales
    self.dataRange = dataRange
  }

  /// The smallest height and width that the scales allow.
  public var leastSize: Int { Self.window << (scales - 1) }

  /// The loss of a prediction.
  ///
  /// - Parameters:
  ///   - prediction: `[N, H, W, C]`, H and W at least ``leastSize``.
  ///   - target: The same shape.
  /// - Returns: A scalar, tracked if the prediction is: the mean over images and channels.
  public func callAsFunction(_ prediction: Tensor, _ target: Tensor) -> Tensor {
    let shape = prediction.shape
    precondition(
      shape.rank == 4 && shape == target.shape && min(shape[1], shape[2]) >= leastSize,
      "similarity loss: \(shape), target \(target.shape), at least \(leastSize) pixels wanted")
    let total = Self.weights.prefix(scales).reduce(0, +)
    var (x, t) = (prediction, target)
    var product: Tensor?
    for scale in 0..<scales {
      let (whole, contrast) = similarity(x, t)
      let isLast = scale == scales - 1
      let mean = (isLast ? whole : contrast).mean(axes: [1, 2])
      let weight = Float(Self.weights[scale] / total)
      let factor = scales == 1 ? mean : Self.power(mean, weight)
      product = product.map { $0 * factor } ?? factor
      if !isLast { (x, t) = (x.averagePooled(kernel: [2]), t.averagePooled(kernel: [2])) }
    }
    return 1 - (product ?? Tensor(0)).mean()
  }

  private static func power(_ x: Tensor, _ exponent: Float) -> Tensor {
    (Tensor.maximum(x, Tensor(least)).logarithm() * exponent).exponential()
  }

  /// The map of similarity, and that of contrast and structure alone.
  private func similarity(_ x: Tensor, _ t: Tensor) -> (whole: Tensor, contrast: Tensor) {
    let (channels, margin) = (x.shape.channels, Self.window / 2)
    let moments = Tensor.concatenate([x, t, x.squared(), t.squared(), x * t], axis: -1)
      .depthwiseConvolved(
        with: GaussianWindow.kernel(
          side: Self.window, sigma: Self.sigma, channels: 5 * channels)
      )
      .sliced(axis: 1, margin..<x.shape[1] - margin)
      .sliced(axis: 2, margin..<x.shape[2] - margin)
      .split(axis: -1, sizes: [Int](repeating: channels, count: 5))
    let (meanX, meanT) = (moments[0], moments[1])
    let (squareX, squareT, product) = (meanX.squared(), meanT.squared(), meanX * meanT)
    let (c1, c2) = (Float(pow(0.01 * dataRange, 2)), Float(pow(0.03 * dataRange, 2)))
    let covariance = moments[4] - product
    let variances = (moments[2] - squareX) + (moments[3] - squareT)
    let contrast = covariance.scaled(by: 2, adding: c2) / (variances + c2)
    let luminance = product.scaled(by: 2, adding: c1) / (squareX + squareT + c1)
    return (contrast * luminance, contrast)
  }
}
