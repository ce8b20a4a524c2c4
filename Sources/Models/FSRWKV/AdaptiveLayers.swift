public import Layers
public import Randomness
public import TensorCore

/// The constants of the norms in ``FrequencyEnhancement`` and its parts.
public struct EnhancementNorms: Sendable {
  /// Added to the variance in layer norms.
  public var layerNormEps: Float = 1e-5
  /// Added to the variance in group norms.
  public var groupNormEps: Float = 1e-5
  /// Added to the variance in batch norms.
  public var batchNormEps: Float = 1e-5
  /// The weight of a new batch in running averages.
  public var batchNormMomentum: Float = 0.1

  /// The published constants.
  public init() {}
}

/// Perception with a large kernel: makes a small kernel for each position and group of channels.
///
/// 1×1 and norm to C/2, a depthwise large kernel and norm, 1×1 and norm, 1×1 with bias to k² numbers for
/// each group, group norm. State dictionary: `cv1`, `cv2`, `cv3` (`c.weight`, `bn.…`), `cv4.weight`,
/// `cv4.bias`, `norm.…`.
///
/// Source: Wang et al., *LSNet: See Large, Focus Small*, CVPR 2025, §3.2.
public final class LargeKernelPerception: Module {
  private let reduce: NormedConvolution
  private let look: NormedConvolution
  private let mix: NormedConvolution
  private let expand: Convolution
  private let norm: GroupNorm

  /// A layer with initial weights.
  ///
  /// - Parameters:
  ///   - channels: Channels of the input, a multiple of 2 and of `group`.
  ///   - largeKernel: Side of the depthwise kernel, odd.
  ///   - smallKernel: Side of the kernels that are made, odd.
  ///   - group: Channels that share a kernel.
  ///   - norms: The constants of the norms.
  ///   - generator: Draws the weights.
  public init(
    channels: Int, largeKernel: Int, smallKernel: Int, group: Int, norms: EnhancementNorms,
    using generator: inout SeededGenerator
  ) {
    let half = channels / 2
    let results = channels / group * smallKernel * smallKernel
    func layer(_ inputs: Int, _ kernel: Int, groups: Int = 1) -> NormedConvolution {
      NormedConvolution(
        inChannels: inputs, outChannels: half, kernel: kernel, groups: groups,
        eps: norms.batchNormEps, momentum: norms.batchNormMomentum, using: &generator)
    }
    reduce = layer(channels, 1)
    look = layer(half, largeKernel, groups: half)
    mix = layer(half, 1)
    expand = Convolution(
      inChannels: half, outChannels: results, kernel: [1, 1], using: &generator)
    norm = GroupNorm(channels: results, groups: channels / group, eps: norms.groupNormEps)
  }

  /// The four convolutions and the norm.
  public var members: [Member] {
    [
      .module("cv1", reduce), .module("cv2", look), .module("cv3", mix), .module("cv4", expand),
      .module("norm", norm),
    ]
  }

  /// Maps `[N, H, W, C]` to kernels `[N, H, W, C / group · k²]`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    // No ReLU behind the large kernel.
    norm(expand(mix(look(reduce(x, rectifies: true)), rectifies: true)))
  }
}

/// Sees with a large kernel and gathers with a small one: `x + BN(SKA(x, LKP(x)))`.
///
/// Source: Wang et al., *LSNet: See Large, Focus Small*, CVPR 2025.
public final class LargeSmallConvolution: Module {
  private let perception: LargeKernelPerception
  private let norm: BatchNorm
  private let kernel: Int
  private let group: Int

  /// A layer with initial weights; arguments as for ``LargeKernelPerception``.
  public init(
    channels: Int, largeKernel: Int = 7, smallKernel: Int = 3, group: Int = 8,
    norms: EnhancementNorms = EnhancementNorms(), using generator: inout SeededGenerator
  ) {
    perception = LargeKernelPerception(
      channels: channels, largeKernel: largeKernel, smallKernel: smallKernel, group: group,
      norms: norms, using: &generator)
    norm = BatchNorm(
      channels: channels, eps: norms.batchNormEps, momentum: norms.batchNormMomentum)
    kernel = smallKernel
    self.group = group
  }

  /// The perception and the norm.
  public var members: [Member] { [.module("lkp", perception), .module("bn", norm)] }

  /// Maps `[N, H, W, C]` to the same shape.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    norm(x.adaptivelyConvolved(with: perception(x), kernel: kernel, group: group)) + x
  }
}

/// Convolution without bias, group norm with at most 8 groups, ReLU.
public final class SimpleConvolution: Module {
  private let convolution: Convolution
  private let norm: GroupNorm

  /// A layer with initial weights that keeps the size of the map; `kernel` is odd.
  public init(
    inChannels: Int, outChannels: Int, kernel: Int, norms: EnhancementNorms,
    using generator: inout SeededGenerator
  ) {
    convolution = Convolution(
      inChannels: inChannels, outChannels: outChannels, kernel: [kernel, kernel],
      padding: [kernel / 2, kernel / 2], hasBias: false, using: &generator)
    norm = GroupNorm(
      channels: outChannels, groups: min(8, outChannels), eps: norms.groupNormEps)
  }

  /// Convolution and norm.
  public var members: [Member] { [.module("conv", convolution), .module("norm", norm)] }

  /// Maps `[N, H, W, in]` to `[N, H, W, out]`.
  public func callAsFunction(_ x: Tensor) -> Tensor { norm(convolution(x)).relu() }
}

/// A layer norm one name further down, as the authors' weight files have it.
final class NestedLayerNorm: Module {
  private let norm: LayerNorm

  init(channels: Int, eps: Float) { norm = LayerNorm(channels: channels, eps: eps) }

  var members: [Member] { [.module("ln", norm)] }

  func callAsFunction(_ x: Tensor) -> Tensor { norm(x) }
}

/// Depthwise 3×3, 1×1, layer norm over the channels, ReLU.
public final class SeparableConvolution: Module {
  private let depthwise: Convolution
  private let pointwise: Convolution
  private let norm: NestedLayerNorm

  /// A layer with initial weights.
  public init(channels: Int, norms: EnhancementNorms, using generator: inout SeededGenerator) {
    depthwise = Convolution(
      inChannels: channels, outChannels: channels, kernel: [3, 3], padding: [1, 1],
      groups: channels, hasBias: false, using: &generator)
    pointwise = Convolution(
      inChannels: channels, outChannels: channels, kernel: [1, 1], hasBias: false,
      using: &generator)
    norm = NestedLayerNorm(channels: channels, eps: norms.layerNormEps)
  }

  /// Both convolutions and the norm.
  public var members: [Member] {
    [.module("depthwise", depthwise), .module("pointwise", pointwise), .module("norm", norm)]
  }

  /// Maps `[N, H, W, C]` to the same shape.
  public func callAsFunction(_ x: Tensor) -> Tensor { norm(pointwise(depthwise(x))).relu() }
}
