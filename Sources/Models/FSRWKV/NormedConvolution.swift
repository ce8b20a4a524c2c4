import Layers
import Randomness
import TensorCore

/// A two-dimensional convolution without bias followed by a batch norm.
///
/// In evaluation the norm is folded into the convolution's weights. State dictionary: `c.weight` and
/// `bn.…`.
final class NormedConvolution: Module {
  private let pair: NormedKernel

  /// A layer of stride 1 and odd kernel that keeps the size of the map.
  ///
  /// - Parameters:
  ///   - inChannels: Channels of the input, a multiple of `groups`.
  ///   - outChannels: Channels of the output, likewise.
  ///   - kernel: Side of the kernel, odd.
  ///   - groups: The number of groups of channels that do not see each other.
  ///   - eps: Added to the norm's variance.
  ///   - momentum: The weight of a new batch in the norm's running averages.
  ///   - generator: Draws the weights.
  init(
    inChannels: Int, outChannels: Int, kernel: Int, groups: Int = 1, eps: Float = 1e-5,
    momentum: Float = 0.1, using generator: inout SeededGenerator
  ) {
    pair = NormedKernel(
      Convolution(
        inChannels: inChannels, outChannels: outChannels, kernel: [kernel, kernel],
        padding: [kernel / 2, kernel / 2], groups: groups, hasBias: false, using: &generator),
      BatchNorm(channels: outChannels, eps: eps, momentum: momentum))
  }

  /// Convolution and norm.
  var members: [Member] { pair.members("c", "bn") }

  /// Convolves and normalises `[N, H, W, in]`, then applies `max(x, 0)` if `rectifies`.
  func callAsFunction(_ x: Tensor, rectifies: Bool = false) -> Tensor {
    pair(x, activation: rectifies ? .relu : .none)
  }
}
