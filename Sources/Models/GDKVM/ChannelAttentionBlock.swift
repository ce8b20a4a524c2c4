import Foundation
public import Layers
public import Randomness
public import TensorCore

/// A residual block whose result is weighted channel by channel (CA-res block).
///
/// `y = conv2(relu(conv1(relu x)))`, `g = σ(conv1d(mean y))` with one small kernel over the channel
/// axis, and the result is `y·g + shortcut(x)`.
///
/// State dictionary: `conv1`, `conv2` `[C, ·, 3, 3]`, `conv.weight` `[1, 1, k]` and, if the number of
/// channels changes, `downsample` `[C, in, 1, 1]`.
///
/// Source: Wang et al., *ECA-Net*, CVPR 2020, as used by Cutie and GDKVM.
public final class ChannelAttentionBlock: Module {
  private let conv1: Convolution
  private let conv2: Convolution
  private let attention: Convolution
  private let shortcut: Convolution?
  private let matrix = FoldCache<Tensor>()

  /// The size of the kernel over `channels` channels: t or t + 1, whichever is odd, where
  /// `t = ⌊(log₂ channels + 1) / 2⌋`.
  public static func attentionKernel(channels: Int) -> Int {
    let t = Int(((log2(Double(channels)) + 1) / 2).rounded(.down))
    return t % 2 == 1 ? t : t + 1
  }

  /// A block with initial weights.
  public init(inChannels: Int, outChannels: Int, using generator: inout SeededGenerator) {
    conv1 = .square(3, inChannels, outChannels, using: &generator)
    conv2 = .square(3, outChannels, outChannels, using: &generator)
    let size = Self.attentionKernel(channels: outChannels)
    attention = Convolution(
      inChannels: 1, outChannels: 1, kernel: [size], padding: [(size - 1) / 2], hasBias: false,
      using: &generator)
    shortcut =
      inChannels == outChannels ? nil : .square(1, inChannels, outChannels, using: &generator)
  }

  /// The convolutions, the attention and the shortcut.
  public var members: [Member] {
    [.module("conv1", conv1), .module("conv2", conv2), .module("conv", attention)]
      + (shortcut.map { [.module("downsample", $0)] } ?? [])
  }

  /// Maps `[N, H, W, in]` to `[N, H, W, out]`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    let y = conv2(conv1(x.relu()).relu())
    let (items, channels) = (y.shape[0], y.shape[3])
    let gate = y.mean(axes: [1, 2]).linear(attentionMatrix(channels), activation: .sigmoid)
    return y * gate.reshaped(to: [items, 1, 1, channels]) + (shortcut?(x) ?? x)
  }

  /// The kernel over the channel axis as a matrix, `[C, C]`: one row of channels is too little work for
  /// a convolution, and as a matrix it is made once.
  private func attentionMatrix(_ channels: Int) -> Tensor {
    matrix.value(of: [attention.weight]) {
      let size = attention.weight.count
      // One more entry, 0, stands for everything beside the band.
      let taps = attention.weight.tensor.reshaped(to: [size])
        .padded(before: [0], after: [1], value: 0)
      let indices = (0..<channels * channels).map { element -> Int in
        let tap = element % channels - element / channels + size / 2
        return (0..<size).contains(tap) ? tap : size
      }
      return taps.gathered(indices, axis: 0).reshaped(to: [channels, channels]).keptAsParameter
    }
  }
}

extension Convolution {
  /// A convolution with a square kernel, a bias, and padding that keeps the size.
  static func square(
    _ size: Int, _ inChannels: Int, _ outChannels: Int, using generator: inout SeededGenerator
  ) -> Convolution {
    Convolution(
      inChannels: inChannels, outChannels: outChannels, kernel: [size, size],
      padding: [size / 2, size / 2], using: &generator)
  }
}
