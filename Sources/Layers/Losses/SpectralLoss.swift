import Foundation
public import TensorCore

/// How far the spectra of two images are apart: the mean of |Re| and |Im| of the difference of their
/// unitary discrete Fourier transforms over rows and columns.
///
/// Errors of a few frequencies, which a mean over pixels hides among many small ones, weigh as much
/// here as the same energy spread over all. The transform is a product with the matrices of cosines
/// and sines, which for crops costs less than the network by orders of magnitude.
///
/// Source: Cho et al., *Rethinking Coarse-to-Fine Approach in Single Image Deblurring*, ICCV 2021,
/// eq. (9), with unitary transforms.
public struct SpectralLoss: Sendable, Equatable {
  /// The loss; it has no constants.
  public init() {}

  /// The loss of a prediction.
  ///
  /// - Parameters:
  ///   - prediction: `[N, H, W, C]`.
  ///   - target: The same shape.
  /// - Returns: A scalar, tracked if the prediction is.
  public func callAsFunction(_ prediction: Tensor, _ target: Tensor) -> Tensor {
    precondition(
      prediction.shape == target.shape && prediction.shape.rank == 4,
      "spectral loss: \(prediction.shape), target \(target.shape), expected [N, H, W, C] twice")
    let (height, width) = (prediction.shape[1], prediction.shape[2])
    let rows = (prediction - target).permuted([0, 3, 1, 2])
    let (cosine, sine) = Self.matrices(width)
    let real = rows.matmul(cosine).permuted([0, 1, 3, 2])
    let imaginary = rows.matmul(sine).permuted([0, 1, 3, 2])
    let (cosine2, sine2) = Self.matrices(height)
    let whole = real.matmul(cosine2) - imaginary.matmul(sine2)
    let turned = real.matmul(sine2) + imaginary.matmul(cosine2)
    return (whole.absolute().mean() + turned.absolute().mean()) * 0.5
  }

  /// Cosines and sines of the unitary transform of n points, symmetric `[n, n]`.
  private static func matrices(_ n: Int) -> (cosine: Tensor, sine: Tensor) {
    let scale = 1 / Double(n).squareRoot()
    // Products are taken modulo n, so that angles stay small and exact.
    let angles = (0..<n * n).map { 2 * .pi * Double(($0 / n) * ($0 % n) % n) / Double(n) }
    return (
      Tensor([n, n], angles.map { Float(scale * cos($0)) }),
      Tensor([n, n], angles.map { Float(scale * sin($0)) })
    )
  }
}
