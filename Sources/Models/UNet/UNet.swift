public import Layers
public import Randomness
public import TensorCore

/// A U-Net for images or volumes, built of convolutions of a chosen kind.
///
/// With c = ``UNetConfiguration/channels`` and L levels:
///
/// | stage | members | channels | size |
/// | --- | --- | --- | --- |
/// | two convolutions, each with batch norm and ReLU | `encoder.0` | c₀ | 1 |
/// | maximum of 2×2 (or ``UNetConfiguration/pooling``), two convolutions | `encoder.i` | cᵢ | 1/2ⁱ |
/// | linear ×2, joined to the encoder's map, two convolutions | `decoder.i` | cᵢ | 1/2ⁱ |
/// | 1×1, plus the input if residual | `output` | out | 1 |
/// | 1×1 on coarser levels, if deeply supervised | `auxiliary.i` | out | 1/2ⁱ |
///
/// Source: Ronneberger et al., *U-Net*, MICCAI 2015; Lee et al., *Deeply-Supervised Nets*, AISTATS 2015.
public final class UNet: RestorationModel {
  /// `unet`.
  public static let architecture = "unet"

  /// The hyperparameters.
  public let configuration: UNetConfiguration

  private let encoder: [DoubleConvolution]
  private let decoder: [DoubleConvolution]
  private let output: Convolution
  private let auxiliary: [Int: Convolution]

  /// A network with initial weights.
  ///
  /// - Parameters:
  ///   - configuration: Checked first.
  ///   - generator: Draws the weights in the order of the state dictionary.
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  public init(
    _ configuration: UNetConfiguration, using generator: inout SeededGenerator
  ) throws(ModelError) {
    try configuration.validate()
    self.configuration = configuration
    func block(_ sites: (ConvolutionSite, ConvolutionSite)) -> DoubleConvolution {
      do throws(ConvolutionRefusal) {
        return try DoubleConvolution(sites, configuration.convolution, using: &generator)
      } catch {
        preconditionFailure("unet: \(error)")
      }
    }
    func pointwise(_ level: Int) -> Convolution {
      Convolution(
        inChannels: configuration.channels[level], outChannels: configuration.outChannels,
        kernel: [Int](repeating: 1, count: configuration.axes), using: &generator)
    }
    let levels = configuration.channels.indices
    encoder = levels.map { block(configuration.encoder($0)) }
    decoder = levels.dropLast().map { block(configuration.decoder($0)) }
    output = pointwise(0)
    var auxiliary: [Int: Convolution] = [:]
    if configuration.hasDeepSupervision {
      for level in levels.dropLast().dropFirst() { auxiliary[level] = pointwise(level) }
    }
    self.auxiliary = auxiliary
  }

  /// The blocks and the outputs.
  public var members: [Member] {
    Member.modules("encoder", encoder) + Member.modules("decoder", decoder)
      + [.module("output", output)]
      + auxiliary.sorted { $0.key < $1.key }.map { .module("auxiliary.\($0.key)", $0.value) }
  }

  /// Without the outputs that serve training alone.
  public var deployedCount: Int {
    (encoder + decoder).reduce(output.deployedCount) { $0 + $1.deployedCount }
  }

  /// Channels of the input.
  public var inChannels: Int { configuration.inChannels }

  /// Channels of the output.
  public var outChannels: Int { configuration.outChannels }

  /// 2 for each level below the first, or the largest product of factors.
  public var sizeMultiple: Int {
    let steps = 0..<configuration.channels.count - 1
    return (0..<configuration.axes).map { axis in
      steps.reduce(1) { $0 * configuration.factors($1)[axis] }
    }.max() ?? 1
  }

  /// The images' size if a convolution is bound to one.
  public var boundSize: (height: Int, width: Int)? { configuration.convolution.boundSize }

  /// Spatial axes of the images.
  public var spatialAxes: Int { configuration.axes }

  /// Those of the convolutions, for one image; those of a translation-variant one without its
  /// generator, of a frequency-dynamic one without the making of its kernel.
  public func multiplyAdds(height: Int, width: Int) -> Int {
    let area = configuration.kernel * configuration.kernel
    let body = configuration.sites.reduce(0) { sum, site in
      let pixels = height / site.reduction * (width / site.reduction)
      let isDepthwise = (try? configuration.convolution.kind(at: site)) == .tvconv
      return sum + pixels * area * site.inChannels * (isDepthwise ? 1 : site.outChannels)
    }
    return body + height * width * configuration.channels[0] * outChannels
  }

  /// Maps `[N, H, W, in]`, or with three axes `[N, D, H, W, in]`, sizes multiples of ``sizeMultiple``, to
  /// as many pixels with `out` channels.
  public func forward(_ x: Tensor) -> Tensor { outputs(x, onlyFinest: true)[0] }

  /// The output and, if deeply supervised, those of coarser levels, each half as large as the one
  /// before it.
  public func outputs(_ x: Tensor) -> [Tensor] { outputs(x, onlyFinest: false) }

  private func outputs(_ x: Tensor, onlyFinest: Bool) -> [Tensor] {
    var skips: [Tensor] = []
    var y = encoder[0](x)
    for (level, block) in encoder.dropFirst().enumerated() {
      skips.append(y)
      let factors = configuration.factors(level)
      y = block(y.maxPooled(kernel: factors, stride: factors))
    }
    var coarser: [Tensor] = []
    for (level, block) in decoder.enumerated().reversed() {
      let skip = skips.removeLast()
      let sizes = Array(skip.shape.dimensions.dropFirst().dropLast())
      let up = y.resized(to: sizes, mode: .linear(alignCorners: false))
      y = block(.concatenate([skip, up], axis: -1))
      if !onlyFinest, let layer = auxiliary[level] { coarser.append(layer(y)) }
    }
    let finest =
      configuration.isResidual
      ? output(y) + x.middleChannels(configuration.outChannels) : output(y)
    return [finest] + coarser.reversed()
  }
}

extension UNet {
  /// A plan of ``forward(_:)`` for one shape, of images or volumes.
  ///
  /// - Parameter shape: `[N, spatial…, in]`, sizes that all steps down divide.
  /// - Returns: A plan that runs this network's parameters as they are at each run.
  /// - Throws: `PlanError` if the network looks at values while it computes.
  public func patchPlan(for shape: Shape) throws(PlanError) -> InferencePlan {
    try InferencePlan(shape, parameters: plannedParameters) { self.forward($0) }
  }
}
