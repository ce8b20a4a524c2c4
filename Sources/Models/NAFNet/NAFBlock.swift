package import Layers
package import Randomness
package import TensorCore

/// NAFNet's block: a gated depthwise convolution with channel attention, then a gated feed-forward part.
///
/// No nonlinear function but products of channels. State dictionary: `norm1`, `conv1` (1×1), `conv2`
/// (3×3 depthwise), `sca.1` (1×1), `conv3` (1×1), `beta` `[1, C, 1, 1]`, `norm2`, `conv4`, `conv5`
/// (1×1), `gamma` `[1, C, 1, 1]`; `beta` and `gamma` are initially 0, so that a new block is the
/// identity.
///
/// Source: Chen et al., *Simple Baselines for Image Restoration*, ECCV 2022, §3.2, fig. 3.
package final class NAFBlock: Module {
  private let norm1: LayerNorm
  private let norm2: LayerNorm
  private let conv1: Convolution
  private let conv2: any ConvolutionLayer
  private let conv3: Convolution
  private let conv4: Convolution
  private let conv5: Convolution
  private let attention: Convolution
  private let beta: Parameter
  private let gamma: Parameter

  /// A block with initial weights.
  ///
  /// - Parameters:
  ///   - channels: Channels of input and output.
  ///   - depthwiseExpansion: Channels of the depthwise convolution for each of them.
  ///   - feedForwardExpansion: Channels of the feed-forward part for each of them.
  ///   - convolution: The kind of the depthwise convolution; must suit it.
  ///   - eps: Added to the variance in norms.
  ///   - generator: Draws the weights.
  package init(
    channels: Int, depthwiseExpansion: Int, feedForwardExpansion: Int,
    convolution: ConvolutionChoice, eps: Float, using generator: inout SeededGenerator
  ) {
    func pointwise(_ inChannels: Int, _ outChannels: Int) -> Convolution {
      Convolution(
        inChannels: inChannels, outChannels: outChannels, kernel: [1, 1], using: &generator)
    }
    let inner = channels * depthwiseExpansion
    let hidden = channels * feedForwardExpansion
    norm1 = LayerNorm(channels: channels, eps: eps)
    norm2 = LayerNorm(channels: channels, eps: eps)
    conv1 = pointwise(channels, inner)
    conv2 = convolution.layer(
      at: NAFNetConfiguration.depthwise(channels: channels, expansion: depthwiseExpansion),
      using: &generator)
    conv3 = pointwise(inner / 2, channels)
    attention = pointwise(inner / 2, inner / 2)
    conv4 = pointwise(channels, hidden)
    conv5 = pointwise(hidden / 2, channels)
    beta = Parameter([1, channels, 1, 1], repeating: 0)
    gamma = Parameter([1, channels, 1, 1], repeating: 0)
  }

  /// The layers under the authors' names.
  package var members: [Member] {
    [
      .parameter("beta", beta), .parameter("gamma", gamma), .module("conv1", conv1),
      .module("conv2", conv2), .module("conv3", conv3), .module("sca.1", attention),
      .module("conv4", conv4), .module("conv5", conv5), .module("norm1", norm1),
      .module("norm2", norm2),
    ]
  }

  /// Maps `[N, H, W, C]` to the same shape.
  package func callAsFunction(_ x: Tensor) -> Tensor {
    let channels = [x.shape.channels]
    var t = gated(conv2(conv1(norm1(x))))
    t = t * attention(t.mean(axes: [1, 2], keepingAxes: true))
    let y = x + conv3(t) * beta.tensor.reshaped(to: Shape(channels))
    let u = conv5(gated(conv4(norm2(y))))
    return y + u * gamma.tensor.reshaped(to: Shape(channels))
  }

  /// The product of the first and the second half of the channels (SimpleGate).
  private func gated(_ x: Tensor) -> Tensor {
    let half = x.shape.channels / 2
    return x.sliced(axis: -1, 0..<half) * x.sliced(axis: -1, half..<2 * half)
  }
}
