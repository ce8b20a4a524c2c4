public import Layers
public import Randomness
public import TensorCore

/// The spatial-frequency enhancement block (SFEB) on the skips of FS-RWKV.
///
/// Low and high bands of a Haar transform are processed apart and composed again, a third branch works
/// on the image itself, and two weights computed from the composed image mix both. Height and width
/// are even.
///
/// Source: FS-RWKV, arXiv 2510.08951.
public final class FrequencyEnhancement: Module {
  /// One branch over kernels of several sizes, joined by a 1×1 convolution.
  private final class Branch: Module {
    let convolutions: [(kernel: Int, layer: SimpleConvolution)]
    let refinements: [any Module]
    let refine: @Sendable (Int, Tensor) -> Tensor
    let refinementName: String
    let join: Convolution

    init<Refinement: Module>(
      inChannels: Int, channels: Int, kernels: [Int], norms: EnhancementNorms,
      refinementName: String, using generator: inout SeededGenerator,
      makeRefinement: (inout SeededGenerator) -> Refinement,
      apply: @escaping @Sendable (Refinement, Tensor) -> Tensor
    ) {
      var convolutions: [(kernel: Int, layer: SimpleConvolution)] = []
      var refinements: [Refinement] = []
      for kernel in kernels {
        convolutions.append(
          (
            kernel,
            SimpleConvolution(
              inChannels: inChannels, outChannels: channels, kernel: kernel, norms: norms,
              using: &generator)
          ))
        refinements.append(makeRefinement(&generator))
      }
      self.convolutions = convolutions
      self.refinements = refinements
      let layers = refinements
      refine = { apply(layers[$0], $1) }
      self.refinementName = refinementName
      join = Convolution(
        inChannels: kernels.count * channels, outChannels: channels, kernel: [1, 1],
        hasBias: false, using: &generator)
    }

    var members: [Member] {
      var members: [Member] = []
      for (index, convolution) in convolutions.enumerated() {
        let size = "\(convolution.kernel)x\(convolution.kernel)"
        members += [
          .module("conv_\(size)", convolution.layer),
          .module("\(refinementName)_\(size)", refinements[index]),
        ]
      }
      return members + [.module("out_conv", join)]
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
      let parts = convolutions.indices.map { refine($0, convolutions[$0].layer(x)) }
      return join(.concatenate(parts, axis: -1))
    }
  }

  /// The two weights of the composed image and the spatial branch, from the composed image's mean.
  private final class Fusion: Module {
    let reduce: Convolution
    let norm: NestedLayerNorm
    let expand: Convolution

    init(channels: Int, norms: EnhancementNorms, using generator: inout SeededGenerator) {
      reduce = Convolution(
        inChannels: channels, outChannels: channels / 2, kernel: [1, 1], hasBias: false,
        using: &generator)
      norm = NestedLayerNorm(channels: channels / 2, eps: norms.layerNormEps)
      expand = Convolution(
        inChannels: channels / 2, outChannels: 2, kernel: [1, 1], hasBias: false,
        using: &generator)
    }

    var members: [Member] {
      [
        .module("weight_net.0", reduce), .module("weight_net.1", norm),
        .module("weight_net.3", expand),
      ]
    }

    func callAsFunction(_ composed: Tensor, _ spatial: Tensor) -> Tensor {
      let mean = composed.mean(axes: [1, 2], keepingAxes: true)
      let weights = expand(norm(reduce(mean)).relu()).sigmoid()
      return composed * weights.sliced(axis: -1, 0..<1) + spatial * weights.sliced(axis: -1, 1..<2)
    }
  }

  private let lowBranch: Branch
  private let lowBack: Convolution
  private let highBranch: Branch
  private let highBack: Convolution
  private let spatialConvolution: SimpleConvolution
  private let spatialRefinement: LargeSmallConvolution
  private let fusion: Fusion
  private let output: Convolution
  private let outputNorm: GroupNorm

  /// A block with initial weights.
  ///
  /// - Parameters:
  ///   - channels: Channels of input and output, a multiple of `group` and even.
  ///   - kernels: Sides of the kernels of both branches, odd.
  ///   - largeKernel: Side of the kernels that see, odd.
  ///   - smallKernel: Side of the kernels that gather, odd.
  ///   - group: Channels that share a gathering kernel.
  ///   - norms: The constants of the norms.
  ///   - generator: Draws the weights.
  public init(
    channels: Int, kernels: [Int] = [3, 5, 7], largeKernel: Int = 7, smallKernel: Int = 3,
    group: Int = 8, norms: EnhancementNorms = EnhancementNorms(),
    using generator: inout SeededGenerator
  ) {
    func largeSmall(_ generator: inout SeededGenerator) -> LargeSmallConvolution {
      LargeSmallConvolution(
        channels: channels, largeKernel: largeKernel, smallKernel: smallKernel, group: group,
        norms: norms, using: &generator)
    }
    func pointwise(_ inputs: Int, _ outputs: Int) -> Convolution {
      Convolution(
        inChannels: inputs, outChannels: outputs, kernel: [1, 1], hasBias: false,
        using: &generator)
    }
    lowBranch = Branch(
      inChannels: channels, channels: channels, kernels: kernels, norms: norms,
      refinementName: "lsconv", using: &generator, makeRefinement: largeSmall
    ) { $0($1) }
    lowBack = pointwise(channels, channels)
    highBranch = Branch(
      inChannels: 3 * channels, channels: channels, kernels: kernels, norms: norms,
      refinementName: "dsconv", using: &generator,
      makeRefinement: { SeparableConvolution(channels: channels, norms: norms, using: &$0) }
    ) { $0($1) }
    highBack = pointwise(channels, 3 * channels)
    spatialConvolution = SimpleConvolution(
      inChannels: channels, outChannels: channels, kernel: 3, norms: norms, using: &generator)
    spatialRefinement = largeSmall(&generator)
    fusion = Fusion(channels: channels, norms: norms, using: &generator)
    output = Convolution(
      inChannels: channels, outChannels: channels, kernel: [3, 3], padding: [1, 1],
      hasBias: false, using: &generator)
    outputNorm = GroupNorm(channels: channels, groups: 1, eps: norms.groupNormEps)
  }

  /// The branches, the fusion, the output and the fixed filters that weight files hold.
  public var members: [Member] {
    let filters: [(String, Shape, Float)] = [
      ("dwt.h0_col", [1, 1, 2, 1], 1), ("dwt.h1_col", [1, 1, 2, 1], -1),
      ("dwt.h0_row", [1, 1, 1, 2], 1), ("dwt.h1_row", [1, 1, 1, 2], -1),
      ("idwt.g0_col", [1, 1, 2, 1], 1), ("idwt.g1_col", [1, 1, 2, 1], -1),
      ("idwt.g0_row", [1, 1, 1, 2], 1), ("idwt.g1_row", [1, 1, 1, 2], -1),
    ]
    let s = Float(0.5).squareRoot()
    return filters.map { name, shape, sign in
      .derived(name, shape) { Tensor(shape, [s, sign * s]) }
    }
      + [
        .module("low_freq_processor", lowBranch), .module("low_back_conv", lowBack),
        .module("high_freq_processor", highBranch), .module("high_back_conv", highBack),
        .module("spatial_conv", spatialConvolution), .module("spatial_lsconv", spatialRefinement),
        .module("final_fusion", fusion), .module("output_conv.0", output),
        .module("output_conv.1", outputNorm),
      ]
  }

  /// Maps `[N, H, W, C]`, H and W even, to the same shape with values in −1...1.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    let (items, channels) = (x.shape[0], x.shape[3])
    let bands = x.waveletDecomposed(by: .haar, boundary: .symmetric, axes: [1, 2])
    let (height, width) = (bands.shape[2], bands.shape[3])
    let low = lowBack(
      lowBranch(
        bands.sliced(axis: 0, 0..<1).reshaped(to: [items, height, width, channels])))
    // Channel c · 3 + band.
    let high = bands.sliced(axis: 0, 1..<4).permuted([1, 2, 3, 4, 0])
      .reshaped(to: [items, height, width, 3 * channels])
    let highBands = highBack(highBranch(high))
      .reshaped(to: [items, height, width, channels, 3]).permuted([4, 0, 1, 2, 3])
    let composed = Tensor.concatenate(
      [low.reshaped(to: [1, items, height, width, channels]), highBands], axis: 0
    ).waveletComposed(by: .haar, boundary: .symmetric, axes: [1, 2])
    let spatial = spatialRefinement(spatialConvolution(x))
    return outputNorm(output(fusion(composed, spatial))).hyperbolicTangent()
  }

  /// Multiply-adds of all convolutions for one map of `pixels` positions.
  package static func multiplyAdds(channels c: Int, pixels: Int) -> Int {
    let quarter = pixels / 4
    // 1×1 to half, 7×7 depthwise, 1×1, 1×1 to 9/8 of the channels.
    let perception = c * c / 2 + 49 * c / 2 + c * c / 4 + c / 2 * (9 * c / 8)
    let squares = 9 + 25 + 49
    let low = squares * c * c + 3 * perception + 3 * c * c + c * c
    let high = squares * 3 * c * c + 3 * (9 * c + c * c) + 3 * c * c + 3 * c * c
    return quarter * (low + high) + pixels * (9 * c * c + perception + 9 * c * c)
  }
}
