public import Randomness
public import TensorCore

/// The sizes of a translation-variant convolution.
public struct TVConvolutionSizes: Equatable, Sendable {
  /// Channels of input and output.
  public var channels: Int
  /// Side of the kernels, odd.
  public var kernel = 3
  /// Steps along both axes.
  public var stride = 1
  /// Rows of the output, which are fixed.
  public var height: Int
  /// Columns of the output, which are fixed.
  public var width: Int
  /// Affinity maps, from which the kernels are generated.
  public var affinityChannels = 4
  /// Channels of the generator.
  public var interChannels = 64
  /// The generator has one block more than this.
  public var interLayers = 3

  /// The published sizes for a number of channels and a map.
  public init(channels: Int, height: Int, width: Int) {
    self.channels = channels
    self.height = height
    self.width = width
  }

  /// Whether an input of this size gives the fixed output.
  public func accepts(height: Int, width: Int) -> Bool {
    (height - 1) / stride + 1 == self.height && (width - 1) / stride + 1 == self.width
  }
}

/// A depthwise convolution with a learnt kernel at every position of a map of fixed size.
///
/// The kernels come from a few learnt maps by a small network, the same for all images. It runs once for
/// a batch in training; without gradients its result is kept until a parameter changes, for any stride.
///
/// State dictionary: `posi_map` `[1, A, h, w]`, `weight_layers.…` (``WeightGenerator``), with a bias
/// `bias_layers.…`; and the sizes as scalars `TVConv_k`, `TVConv_k_square`, `stride`, `channels`, `h`,
/// `w`, which must agree if they are there.
///
/// Source: Chen et al., *TVConv: Efficient Translation Variant Convolution for Layout-aware Visual
/// Processing*, CVPR 2022, §3.
public final class TVConvolution: ConvolutionLayer {
  /// The sizes.
  public let sizes: TVConvolutionSizes
  /// The affinity maps, `[1, A, h, w]`, initially 1.
  public let affinity: Parameter

  private let weightGenerator: WeightGenerator
  private let biasGenerator: WeightGenerator?
  private let parameterList: [Parameter]
  private let generated = FoldCache<(weights: Tensor, bias: Tensor?)>()

  /// A layer with initial weights.
  ///
  /// - Parameters:
  ///   - sizes: Channels, kernel and map.
  ///   - hasBias: Whether a bias for each position and channel is generated too.
  ///   - eps: Added to the variance in the generator's norms.
  ///   - generator: Draws the weights.
  public init(
    _ sizes: TVConvolutionSizes, hasBias: Bool = false, eps: Float = 1e-5,
    using generator: inout SeededGenerator
  ) {
    precondition(
      sizes.kernel % 2 == 1 && sizes.stride >= 1 && sizes.height >= 1 && sizes.width >= 1
        && sizes.channels >= 1 && sizes.affinityChannels >= 1 && sizes.interChannels >= 1
        && sizes.interLayers >= 0, "tvconv: \(sizes)")
    self.sizes = sizes
    affinity = Parameter([1, sizes.affinityChannels, sizes.height, sizes.width], repeating: 1)
    weightGenerator = WeightGenerator(
      sizes, outputs: sizes.channels * sizes.kernel * sizes.kernel, eps: eps, using: &generator)
    biasGenerator =
      hasBias
      ? WeightGenerator(sizes, outputs: sizes.channels, eps: eps, using: &generator) : nil
    parameterList =
      [affinity] + weightGenerator.parameters.map(\.parameter)
      + (biasGenerator?.parameters.map(\.parameter) ?? [])
  }

  /// Translation-variant.
  public var kind: ConvolutionKind { .tvconv }

  /// The affinity maps, the generators and the sizes.
  public var members: [Member] {
    var members: [Member] = [.parameter("posi_map", affinity)]
    let scalars = [
      ("TVConv_k", sizes.kernel), ("TVConv_k_square", sizes.kernel * sizes.kernel),
      ("stride", sizes.stride), ("channels", sizes.channels), ("h", sizes.height),
      ("w", sizes.width),
    ]
    members += scalars.map { name, value in .derived(name, .scalar) { Tensor(Float(value)) } }
    members.append(.module("weight_layers", weightGenerator))
    if let biasGenerator { members.append(.module("bias_layers", biasGenerator)) }
    return members
  }

  /// The generated kernels, and biases if there are any.
  public var deployedCount: Int {
    let positions = sizes.height * sizes.width * sizes.channels
    return positions * (sizes.kernel * sizes.kernel + (biasGenerator == nil ? 0 : 1))
  }

  /// The kernels `[h, w, k², C]` and the biases `[h, w, C]`, generated or kept.
  public var kernels: (weights: Tensor, bias: Tensor?) {
    generated.value(of: parameterList) {
      let map = affinity.tensor.permuted([0, 2, 3, 1])
      let square = sizes.kernel * sizes.kernel
      let raw = weightGenerator(map)
        .reshaped(to: [sizes.height, sizes.width, sizes.channels, square])
      let bias = biasGenerator.map {
        $0(map).reshaped(to: [sizes.height, sizes.width, sizes.channels])
      }
      return (raw.permuted([0, 1, 3, 2]), bias)
    }
  }

  /// The layer without its generator; a batch norm behind it may be taken in.
  ///
  /// - Parameter norm: Its running statistics are used, whatever its mode.
  /// - Returns: A new layer; it does not follow later changes of this one.
  public func frozen(folding norm: BatchNorm? = nil) -> FrozenTVConvolution {
    var (weights, bias) = kernels
    if let (scale, shift) = norm?.affine {
      weights = weights * scale
      let offset = shift.broadcast(to: [sizes.height, sizes.width, sizes.channels])
      bias = bias.map { $0 * scale + shift } ?? offset
    }
    return FrozenTVConvolution(
      weights: weights.detached().permuted([3, 2, 0, 1]),
      bias: bias?.detached().permuted([2, 0, 1]), stride: sizes.stride)
  }

  /// Convolves `[N, H, W, C]` to `[N, h, w, C]`; the size must be one that gives the fixed map.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    precondition(
      x.shape.rank == 4 && sizes.accepts(height: x.shape[1], width: x.shape[2])
        && x.shape.channels == sizes.channels,
      "tvconv: input \(x.shape), but the layer is bound to \(sizes.channels) channels and an output "
        + "of \(sizes.height)x\(sizes.width) at stride \(sizes.stride)")
    let (weights, bias) = kernels
    let y = x.convolved(withKernelsAtPositions: weights, stride: sizes.stride)
    return bias.map { y + $0 } ?? y
  }
}

/// A translation-variant convolution with given kernels.
///
/// State dictionary: `weight` `[C, k², h, w]`, `bias` `[C, h, w]` if there is one.
public final class FrozenTVConvolution: ConvolutionLayer {
  /// `[C, k², h, w]`.
  public let weight: Parameter
  /// `[C, h, w]`, nil for a layer without one.
  public let bias: Parameter?
  /// Steps along both axes.
  public let stride: Int

  private let arranged = FoldCache<(weights: Tensor, bias: Tensor?)>()

  /// A layer with the values of two tensors.
  public init(weights: Tensor, bias: Tensor?, stride: Int) {
    func parameter(_ tensor: Tensor) -> Parameter {
      Parameter(tensor.shape) { values in
        tensor.withValues { _ = values.initialize(from: $0) }
      }
    }
    weight = parameter(weights)
    self.bias = bias.map(parameter)
    self.stride = stride
  }

  /// Translation-variant.
  public var kind: ConvolutionKind { .tvconv }

  /// The kernels and the biases.
  public var members: [Member] {
    [.parameter("weight", weight)] + (bias.map { [.parameter("bias", $0)] } ?? [])
  }

  /// Convolves `[N, H, W, C]` to `[N, h, w, C]`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    let (weights, offset) = arranged.value(of: [weight] + [bias].compactMap(\.self)) {
      (weight.tensor.permuted([2, 3, 1, 0]), bias?.tensor.permuted([1, 2, 0]))
    }
    let y = x.convolved(withKernelsAtPositions: weights, stride: stride)
    return offset.map { y + $0 } ?? y
  }
}
