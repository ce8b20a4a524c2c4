public import Randomness
public import TensorCore

/// A depthwise mix of identity, 1×1, 3×3 and 5×5 convolution, computed as one 5×5.
///
/// `α₀·x + α₁·K₁∗x + α₂·K₃∗x + α₃·K₅∗x`, zero-padded, without bias. A convolution is linear in its
/// kernel, so the four branches fold into one kernel, in training too: the fold is differentiable and
/// costs far less than three convolutions of the image. Without gradients the folded kernel is kept
/// until a parameter changes.
///
/// State dictionary: `alpha` `[4]`, `conv1x1.weight` `[C, 1, 1, 1]`, `conv3x3.weight`
/// `[C, 1, 3, 3]`, `conv5x5.weight` `[C, 1, 5, 5]`, and `conv5x5_reparam.weight` `[C, 1, 5, 5]`. The
/// last is the folded kernel; checkpoints hold it and may hold a stale one, so it is never read.
///
/// Source: Yang et al., *Restore-RWKV*, arXiv 2407.11087, §3 (Omni-Shift).
public final class OmniShift: Module {
  /// How many rows and columns away a result looks.
  public static let reach = 2

  /// The branches' weights, `[4]`: identity, 1×1, 3×3, 5×5.
  public let alpha: Parameter
  /// `[C, 1, 1, 1]`.
  public let conv1x1: Parameter
  /// `[C, 1, 3, 3]`.
  public let conv3x3: Parameter
  /// `[C, 1, 5, 5]`.
  public let conv5x5: Parameter

  private let folded = FoldCache<Tensor>()

  /// A layer with initial weights: `alpha` normal, kernels uniform within ±1/√area.
  ///
  /// - Parameters:
  ///   - channels: Channels of input and output.
  ///   - generator: Draws `alpha` and then the kernels, the smallest first.
  public init(channels: Int, using generator: inout SeededGenerator) {
    alpha = .normal([4], using: &generator)
    conv1x1 = .uniform([channels, 1, 1, 1], fanIn: 1, using: &generator)
    conv3x3 = .uniform([channels, 1, 3, 3], fanIn: 9, using: &generator)
    conv5x5 = .uniform([channels, 1, 5, 5], fanIn: 25, using: &generator)
  }

  /// The four parameters and the folded kernel.
  public var members: [Member] {
    [
      .parameter("alpha", alpha), .parameter("conv1x1.weight", conv1x1),
      .parameter("conv3x3.weight", conv3x3), .parameter("conv5x5.weight", conv5x5),
      .derived("conv5x5_reparam.weight", conv5x5.shape) { [self] in kernel },
    ]
  }

  /// One 5×5 kernel for each channel.
  public var deployedCount: Int { conv5x5.count }

  /// The four branches as one kernel, `[C, 1, 5, 5]`.
  public var kernel: Tensor {
    folded.value(of: [alpha, conv1x1, conv3x3, conv5x5]) {
      Tensor.omniShiftKernel(
        alpha: alpha.tensor, conv1x1: conv1x1.tensor, conv3x3: conv3x3.tensor,
        conv5x5: conv5x5.tensor
      ).keptAsParameter
    }
  }

  /// Mixes each channel of `[N, H, W, C]` with its surroundings.
  public func callAsFunction(_ x: Tensor) -> Tensor { x.depthwiseConvolved(with: kernel) }
}
