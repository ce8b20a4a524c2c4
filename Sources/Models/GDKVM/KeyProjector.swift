public import Layers
public import Randomness
public import TensorCore

/// Maps the deepest features of a frame to keys: 1×1, then 3×3, with no activation between.
///
/// State dictionary: `layer1`, `layer2`.
public final class KeyProjector: Module {
  private let layer1: Convolution
  private let layer2: Convolution

  /// A projector with initial weights.
  public init(
    inChannels: Int, hiddenChannels: Int, outChannels: Int,
    using generator: inout SeededGenerator
  ) {
    layer1 = .square(1, inChannels, hiddenChannels, using: &generator)
    layer2 = .square(3, hiddenChannels, outChannels, using: &generator)
  }

  /// The two convolutions.
  public var members: [Member] { [.module("layer1", layer1), .module("layer2", layer2)] }

  /// Maps `[N, h, w, in]` to `[N, h, w, out]`.
  public func callAsFunction(_ x: Tensor) -> Tensor { layer2(layer1(x)) }
}

/// Maps the deepest features of a frame to pixel features by one 1×1 convolution, `layer`.
final class PixelProjector: Module {
  private let layer: Convolution

  init(inChannels: Int, outChannels: Int, using generator: inout SeededGenerator) {
    layer = .square(1, inChannels, outChannels, using: &generator)
  }

  var members: [Member] { [.module("layer", layer)] }

  func callAsFunction(_ x: Tensor) -> Tensor { layer(x) }
}

/// Key-pixel feature fusion (KPFF): refines a key by the frame's pixel features.
///
///     p = layer2(relu(layer1(pixels)));   κ = key + mean(key) over all pixels
///     γ = σ(gate_layer(κ)), one number per pixel;   result = γ·κ + (1 − γ)·p
///
/// State dictionary: `layer1`, `layer2`, `gate_layer`.
public final class KeyPixelFeatureFusion: Module {
  private let layer1: Convolution
  private let layer2: Convolution
  private let gate: Convolution

  /// A fusion with initial weights.
  public init(
    keyChannels: Int, pixelChannels: Int, hiddenChannels: Int,
    using generator: inout SeededGenerator
  ) {
    layer1 = .square(1, pixelChannels, hiddenChannels, using: &generator)
    layer2 = .square(3, hiddenChannels, keyChannels, using: &generator)
    gate = .square(1, keyChannels, 1, using: &generator)
  }

  /// The two maps of pixels and the gate.
  public var members: [Member] {
    [.module("layer1", layer1), .module("layer2", layer2), .module("gate_layer", gate)]
  }

  /// Fuses keys `[N, h, w, K]` and pixel features `[N, h, w, P]` to `[N, h, w, K]`.
  public func callAsFunction(key: Tensor, pixels: Tensor) -> Tensor {
    let p = layer2(layer1(pixels).relu())
    let both = key + key.mean(axes: [1, 2], keepingAxes: true)
    let gamma = gate(both).sigmoid()
    // γ·κ + (1 − γ)·p with one product.
    return p + (both - p) * gamma
  }
}
