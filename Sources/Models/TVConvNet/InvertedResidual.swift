package import Layers
package import Randomness
package import TensorCore

/// What stands in the middle of an inverted residual block, between its two 1×1 convolutions.
package enum DepthwiseKind: Sendable {
  /// A translation-variant convolution with a map of fixed size.
  case translationVariant(TVConvolutionSizes, eps: Float, hasBias: Bool = false)
  /// The same with given kernels that have taken in the norm behind it.
  case frozen(TVConvolutionSizes)
  /// A depthwise 3×3 convolution. If `padsInput`, the block's input is padded by the dilation before the
  /// first 1×1 convolution, so that the border is not zero where the depthwise convolution meets it.
  case depthwise(stride: Int, dilation: Int, padsInput: Bool)
}

/// An inverted residual block: 1×1 to more channels, a depthwise convolution, 1×1 back, each normalised.
///
/// The input is added if the block keeps size and channels. State dictionary, with e = 1 if the block
/// has a first 1×1 convolution and else 0: `conv.0.{0,1}` (convolution and norm, only if e = 1),
/// `conv.e.{0,1}` (depthwise and norm; of a frozen one `conv.e.0` alone), `conv.{e+1}` and `conv.{e+2}`
/// (1×1 and norm).
///
/// Source: Sandler et al., *MobileNetV2*, CVPR 2018; with translation-variant convolution Chen et al.,
/// *TVConv*, CVPR 2022.
package final class InvertedResidual: Module {
  private let expansion: NormedKernel?
  private enum Depthwise {
    case normed(NormedKernel)
    case frozen(FrozenTVConvolution)
  }

  private let depthwise: Depthwise
  private let projection: NormedKernel
  private let inputPadding: Int
  private let addsInput: Bool

  /// A block with initial weights.
  ///
  /// - Parameters:
  ///   - inChannels: Channels of the input.
  ///   - outChannels: Channels of the output.
  ///   - hidden: Channels between; without the first 1×1 convolution those of the input.
  ///   - expands: Whether there is a first 1×1 convolution.
  ///   - kind: The convolution in the middle.
  ///   - normEps: Added to the variance in batch norms.
  ///   - normMomentum: The weight of a new batch in their running averages.
  ///   - generator: Draws the weights.
  package init(
    inChannels: Int, outChannels: Int, hidden: Int, expands: Bool, kind: DepthwiseKind,
    normEps: Float = 1e-5, normMomentum: Float = 0.1, using generator: inout SeededGenerator
  ) {
    func norm(_ channels: Int) -> BatchNorm {
      BatchNorm(channels: channels, eps: normEps, momentum: normMomentum)
    }
    func pointwise(_ from: Int, _ to: Int) -> NormedKernel {
      NormedKernel(
        Convolution(
          inChannels: from, outChannels: to, kernel: [1, 1], hasBias: false, using: &generator),
        norm(to))
    }
    expansion = expands ? pointwise(inChannels, hidden) : nil
    let stride: Int
    switch kind {
    case .translationVariant(let sizes, let eps, let hasBias):
      precondition(sizes.channels == hidden, "inverted residual: \(hidden) channels, \(sizes)")
      stride = sizes.stride
      inputPadding = 0
      depthwise = .normed(
        NormedKernel(
          TVConvolution(sizes, hasBias: hasBias, eps: eps, using: &generator), norm(hidden)))
    case .frozen(let sizes):
      precondition(sizes.channels == hidden, "inverted residual: \(hidden) channels, \(sizes)")
      stride = sizes.stride
      inputPadding = 0
      depthwise = .frozen(
        FrozenTVConvolution(
          weights: .zeros([hidden, sizes.kernel * sizes.kernel, sizes.height, sizes.width]),
          bias: .zeros([hidden, sizes.height, sizes.width]), stride: sizes.stride))
    case .depthwise(let steps, let dilation, let padsInput):
      stride = steps
      inputPadding = padsInput ? dilation : 0
      let padding = padsInput ? 0 : dilation
      depthwise = .normed(
        NormedKernel(
          Convolution(
            inChannels: hidden, outChannels: hidden, kernel: [3, 3], stride: [stride, stride],
            padding: [padding, padding], dilation: [dilation, dilation], groups: hidden,
            hasBias: false, using: &generator), norm(hidden)))
    }
    projection = pointwise(hidden, outChannels)
    addsInput = stride == 1 && inChannels == outChannels
  }

  /// The convolutions and norms under the authors' names.
  package var members: [Member] {
    let first = expansion == nil ? 0 : 1
    let middle: [Member]
    switch depthwise {
    case .normed(let pair): middle = pair.members("conv.\(first).0", "conv.\(first).1")
    case .frozen(let layer): middle = [.module("conv.\(first).0", layer)]
    }
    return (expansion?.members("conv.0.0", "conv.0.1") ?? []) + middle
      + projection.members("conv.\(first + 1)", "conv.\(first + 2)")
  }

  /// The translation-variant convolution and the norm behind it, if there is one.
  package var translationVariant: (convolution: TVConvolution, norm: BatchNorm)? {
    guard case .normed(let pair) = depthwise, let layer = pair.convolution as? TVConvolution else {
      return nil
    }
    return (layer, pair.norm)
  }

  /// Maps `[N, H, W, in]` to `[N, H', W', out]`.
  package func callAsFunction(_ x: Tensor) -> Tensor {
    output(of: x) { x in
      switch depthwise {
      case .normed(let pair): pair(x)
      case .frozen(let layer): layer(x)
      }
    }
  }

  /// Maps with another layer in the place of the depthwise convolution and its norm, such as a frozen
  /// one that has taken the norm in.
  package func callAsFunction(_ x: Tensor, replacingDepthwise layer: FrozenTVConvolution) -> Tensor
  {
    output(of: x) { layer($0) }
  }

  private func output(of x: Tensor, depthwise: (Tensor) -> Tensor) -> Tensor {
    let p = inputPadding
    let padded = p == 0 ? x : x.padded(before: [0, p, p, 0], after: [0, p, p, 0])
    let hidden = expansion.map { $0(padded).relu6() } ?? padded
    let y = projection(depthwise(hidden).relu6())
    return addsInput ? x + y : y
  }
}

extension Tensor {
  /// min(max(x, 0), 6).
  package func relu6() -> Tensor { .minimum(relu(), Tensor(6)) }
}
