import Foundation
public import TensorCore

/// Structural similarity as a differentiable function, averaged over a window around every pixel.
///
/// Local means, variances and covariance under a Gaussian window; variances are not below 0. The image
/// is continued by reflection by half a window, and ``crop`` pixels of what that gives are left out, so
/// that the usual numbers take each pixel of the image once.
///
/// Source: Wang et al., *Image Quality Assessment*, IEEE TIP 13(4), 2004, eq. (13); borders and clamping
/// as in the training program of FS-RWKV.
public struct WindowedSimilarity: Sendable, Equatable {
  /// Side of the window, odd, pixels.
  public var window = 11
  /// Standard deviation of the window, pixels.
  public var sigma = 1.5
  /// The range of intensities.
  public var dataRange = 1.0
  /// The constants of the formula.
  public var k1 = 0.01
  /// See ``k1``.
  public var k2 = 0.03
  /// Pixels that are left out at each side of the continued image, at least half a window.
  public var crop = 5

  /// The usual constants.
  public init() {}

  /// The mean similarity of `x` and `target`, both `[N, H, W, C]` with H and W above half a window; a
  /// scalar.
  public func callAsFunction(_ x: Tensor, _ target: Tensor) -> Tensor {
    let shape = x.shape
    let edge = window / 2
    let inset = crop - edge
    precondition(
      shape.rank == 4 && shape == target.shape && inset >= 0
        && min(shape[1], shape[2]) > max(edge, 2 * inset),
      "similarity: \(shape), target \(target.shape), window \(window), crop \(crop)")
    let channels = shape.channels
    // All moments in one depthwise convolution.
    var moments = Tensor.concatenate(
      [x, target, x.squared(), target.squared(), x * target], axis: -1)
    for axis in 1...2 {
      let size = shape[axis]
      let indices = (-edge..<size + edge).map { index in
        index < 0 ? -index : index < size ? index : 2 * (size - 1) - index
      }
      moments = moments.gathered(indices, axis: axis)
    }
    let kernel = GaussianWindow.kernel(side: window, sigma: sigma, channels: 5 * channels)
    moments = moments.depthwiseConvolved(with: kernel)
      .sliced(axis: 1, crop..<shape[1] + 2 * edge - crop)
      .sliced(axis: 2, crop..<shape[2] + 2 * edge - crop)
    let parts = moments.split(axis: -1, sizes: [Int](repeating: channels, count: 5))
    let (meanX, meanT) = (parts[0], parts[1])
    let product = meanX * meanT
    let (squareX, squareT) = (meanX.squared(), meanT.squared())
    let varianceX = (parts[2] - squareX).relu()
    let varianceT = (parts[3] - squareT).relu()
    let covariance = parts[4] - product
    let c1 = Float(pow(k1 * dataRange, 2))
    let c2 = Float(pow(k2 * dataRange, 2))
    let numerator = (product.scaled(by: 2, adding: c1)) * (covariance.scaled(by: 2, adding: c2))
    let denominator = (squareX + squareT + c1) * (varianceX + varianceT + c2)
    return (numerator / denominator).mean()
  }
}
