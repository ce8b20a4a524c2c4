public import Layers
public import Randomness
public import TensorCore

/// The second stage of the stroke system: a small 3D network that joins the nine paths.
///
///     a = ReLU(IN(conv3(x))),  b = IN(conv3(a)),  s = IN(conv1(x)),  logits = conv3(ReLU(b + s))
///
/// IN is instance norm without weights, over the whole volume, also at inference. 35 721 parameters.
///
/// State dictionary: `conv1`, `conv2`, `conv_shortcut`, `conv3`.
///
/// Source: as for ``StrokePathNetwork``.
public final class StrokeCombiner: Module {
  let first: Convolution
  let second: Convolution
  let shortcut: Convolution
  let output: Convolution
  let eps: Float

  /// Channels of the input: mask and two normalised modalities for each path.
  public let inChannels: Int

  /// A network with initial weights.
  ///
  /// - Parameters:
  ///   - inChannels: Channels of the input, 27 for nine paths.
  ///   - hidden: Channels of the two hidden maps, 36 and 9.
  ///   - classes: Classes of the output.
  ///   - eps: Added to the variance in instance norms.
  ///   - generator: Draws the weights.
  public init(
    inChannels: Int = 27, hidden: (Int, Int) = (36, 9), classes: Int = 2, eps: Float = 1e-5,
    using generator: inout SeededGenerator
  ) {
    func convolution(_ from: Int, _ to: Int, size: Int) -> Convolution {
      let convolution = Convolution(
        inChannels: from, outChannels: to, kernel: [size, size, size],
        padding: [size / 2, size / 2, size / 2], hasBias: false, using: &generator)
      convolution.weight.drawKaimingNormal(
        fanOut: to * size * size * size, using: &generator)
      return convolution
    }
    first = convolution(inChannels, hidden.0, size: 3)
    second = convolution(hidden.0, hidden.1, size: 3)
    shortcut = convolution(inChannels, hidden.1, size: 1)
    output = convolution(hidden.1, classes, size: 3)
    self.eps = eps
    self.inChannels = inChannels
  }

  /// The four convolutions.
  public var members: [Member] {
    [
      .module("conv1", first), .module("conv2", second), .module("conv_shortcut", shortcut),
      .module("conv3", output),
    ]
  }

  /// Maps `[N, D, H, W, inChannels]` to logits `[N, D, H, W, classes]`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    func normalized(_ x: Tensor) -> Tensor {
      x.instanceNormalized(weight: nil, bias: nil, eps: eps)
    }
    let hidden = normalized(second(normalized(first(x)).relu()))
    return output((hidden + normalized(shortcut(x))).relu())
  }
}
