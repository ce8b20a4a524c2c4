public import TensorCore

/// The loss of FS-RWKV: `SmoothL1 + λ_s · (1 − SSIM) + λ_e · mean |E(x) − E(t)|` with edges
/// `E = √(gx² + gy² + ε)` by Sobel's kernels.
///
/// Source: FS-RWKV, arXiv 2510.08951, and its training program.
public struct TranslationLoss: Sendable, Equatable {
  /// Where the smooth L1 norm turns from square to linear, intensity.
  public var smoothBeta: Float = 1
  /// λ_s.
  public var similarityWeight: Float = 0.4
  /// λ_e.
  public var edgeWeight: Float = 0.3
  /// ε under the root of edges.
  public var edgeEps: Float = 1e-6
  /// The similarity's constants.
  public var similarity = WindowedSimilarity()

  /// The published constants.
  public init() {}

  /// The three terms before weighting, scalars: smooth L1, SSIM, difference of edges.
  public func terms(
    _ x: Tensor, _ target: Tensor
  ) -> (smoothL1: Tensor, similarity: Tensor, edge: Tensor) {
    precondition(
      x.shape == target.shape && x.shape.rank == 4,
      "translation loss: \(x.shape), target \(target.shape), expected [N, H, W, C] twice")
    return (
      smoothL1(x - target), similarity(x, target), (edges(x) - edges(target)).absolute().mean()
    )
  }

  /// The loss of a prediction `[N, H, W, C]`, a scalar.
  public func callAsFunction(_ x: Tensor, _ target: Tensor) -> Tensor {
    let (smooth, similarity, edge) = terms(x, target)
    return smooth + (1 - similarity) * similarityWeight + edge * edgeWeight
  }

  /// The mean of d² / 2β below β and |d| − β/2 above: with m = min(|d|, β), m · (|d| − m/2) / β.
  private func smoothL1(_ difference: Tensor) -> Tensor {
    let size = difference.absolute()
    let near = Tensor.minimum(size, Tensor(smoothBeta))
    return (near * (size - near * 0.5)).mean() * (1 / smoothBeta)
  }

  private func edges(_ x: Tensor) -> Tensor {
    let channels = x.shape.channels
    func gradient(_ taps: [Float]) -> Tensor {
      x.depthwiseConvolved(
        with: Tensor([channels, 1, 3, 3], (0..<channels).flatMap { _ in taps }))
    }
    let horizontal = gradient([-1, 0, 1, -2, 0, 2, -1, 0, 1])
    let vertical = gradient([-1, -2, -1, 0, 0, 0, 1, 2, 1])
    return (horizontal.squared() + vertical.squared() + edgeEps).squareRoot()
  }
}
