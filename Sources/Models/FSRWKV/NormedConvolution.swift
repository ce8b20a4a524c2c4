import Layers
import Randomness
import TensorCore

/// A two-dimensional convolution without bias followed by a batch norm.
///
/// In evaluation the norm is folded into the convolution's weights. State dictionary: `c.weight` and
/// `bn.…`.
final class NormedConvolution: Module {
  /// The convolution.
  let convolution: Convolution
  /// The norm.
  let norm: BatchNorm

  private let folded = FoldCache<(weight: Tensor, bias: Tensor)>()

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
    convolution = Convolution(
      inChannels: inChannels, outChannels: outChannels, kernel: [kernel, kernel],
      padding: [kernel / 2, kernel / 2], groups: groups, hasBias: false, using: &generator)
    norm = BatchNorm(channels: outChannels, eps: eps, momentum: momentum)
  }

  /// Convolution and norm.
  var members: [Member] { [.module("c", convolution), .module("bn", norm)] }

  /// Convolves and normalises `[N, H, W, in]`, then applies `max(x, 0)` if `rectifies`.
  func callAsFunction(_ x: Tensor, rectifies: Bool = false) -> Tensor {
    guard !norm.isTraining else {
      let y = norm(convolution(x))
      return rectifies ? y.relu() : y
    }
    let weight = convolution.weight
    let (kernel, bias) = folded.value(
      of: [weight, norm.weight, norm.bias, norm.runningMean, norm.runningVariance]
    ) {
      let (scale, shift) = norm.affine
      let kernel = weight.tensor * scale.reshaped(to: [scale.count, 1, 1, 1])
      return weight.requiresGradient
        ? (kernel, shift)
        : (kernel.asParameter(tracked: false), shift.asParameter(tracked: false))
    }
    if weight.shape[2] == 1 && convolution.groups == 1 {
      return x.linear(
        kernel.reshaped(to: [weight.shape[0], weight.shape[1]]), bias: bias,
        activation: rectifies ? .relu : .none)
    }
    let y = x.convolved(
      with: kernel, bias: bias, padding: convolution.padding, groups: convolution.groups)
    return rectifies ? y.relu() : y
  }
}
