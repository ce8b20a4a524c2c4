public import Layers
public import Randomness
public import TensorCore

/// A residual network of bottlenecks for classification or as a backbone, with plain or
/// frequency-dynamic convolutions in the bottlenecks.
///
/// For images `[N, H, W, in]` and width 64:
///
/// | stage | members | channels | size |
/// | --- | --- | --- | --- |
/// | 7×7, stride 2; 3×3 maximum, stride 2 | `conv1`, `bn1` | 64 | H/4, W/4 |
/// | bottlenecks | `layer1` | 256 | H/4, W/4 |
/// | bottlenecks, the first of stride 2 | `layer2` | 512 | H/8, W/8 |
/// | likewise | `layer3`, `layer4` | 1024, 2048 | H/16, H/32 |
/// | mean over positions, linear | `fc` | classes | |
///
/// State dictionary: the usual names (`layer1.0.conv1.weight`, `layer1.0.bn1.…`,
/// `layer1.0.downsample.0.weight`, …). Strides are in the 3×3 convolutions.
///
/// Source: He et al., *Deep Residual Learning for Image Recognition*, CVPR 2016; with FDConv: Chen et al.,
/// CVPR 2025, arXiv 2503.18783, table 1.
public final class ResNet: Module {
  /// The hyperparameters.
  public let configuration: ResNetConfiguration

  private let stem: Convolution
  private let stemNorm: BatchNorm
  private let stages: [[Bottleneck]]
  private let classifier: Linear

  /// A network with initial weights.
  ///
  /// - Parameters:
  ///   - configuration: Sizes and the kind of convolutions.
  ///   - generator: Draws the weights in the order of the state dictionary.
  /// - Throws: ``LayerError/invalidLayer(layer:rule:)`` if a layer cannot be frequency-dynamic.
  public init(
    _ configuration: ResNetConfiguration, using generator: inout SeededGenerator
  ) throws(LayerError) {
    self.configuration = configuration
    let width = configuration.width
    stem = Convolution(
      inChannels: configuration.inChannels, outChannels: width, kernel: [7, 7], stride: [2, 2],
      padding: [3, 3], hasBias: false, using: &generator)
    stemNorm = BatchNorm(channels: width)
    var stages: [[Bottleneck]] = []
    var channels = width
    for (index, count) in configuration.blocks.enumerated() {
      var stage: [Bottleneck] = []
      for block in 0..<count {
        let isFirst = block == 0
        stage.append(
          try Bottleneck(
            inChannels: channels, width: width << index, stride: isFirst && index > 0 ? 2 : 1,
            hasProjection: isFirst, dynamic: configuration.dynamic, using: &generator))
        channels = 4 * width << index
      }
      stages.append(stage)
    }
    self.stages = stages
    classifier = Linear(
      inChannels: channels, outChannels: configuration.classes, using: &generator)
  }

  /// Stem, stages and classifier.
  public var members: [Member] {
    var members: [Member] = [.module("conv1", stem), .module("bn1", stemNorm)]
    for (index, stage) in stages.enumerated() {
      members += Member.modules("layer\(index + 1)", stage)
    }
    return members + [.module("fc", classifier)]
  }

  /// The output of each stage for images `[N, H, W, in]`, for use as a backbone.
  public func features(_ x: Tensor) -> [Tensor] {
    Engine.shared.perform {
      var y = stemNorm(stem(x)).relu().maxPooled(kernel: [3], stride: [2], padding: [1])
      return stages.map { stage in
        for block in stage { y = block(y) }
        return y
      }
    }
  }

  /// Logits `[N, classes]` of images `[N, H, W, in]`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    guard let last = features(x).last else { preconditionFailure("ResNet: no stages") }
    return classifier(last.mean(axes: [1, 2]))
  }

  /// Takes all weights of a network of the same sizes with plain convolutions.
  ///
  /// - Parameters:
  ///   - other: The plain network.
  ///   - isNeutral: Whether to set the attentions of frequency-dynamic layers to 1, so that both
  ///     networks give the same output until this one is trained.
  /// - Throws: ``LayerError`` if the networks do not fit.
  public func load(converting other: ResNet, isNeutral: Bool = true) throws(LayerError) {
    let own = Dictionary(uniqueKeysWithValues: state.map { ($0.name, $0) })
    for (stage, plainStage) in zip(stages, other.stages) {
      for (block, plain) in zip(stage, plainStage) {
        try block.load(converting: plain, isNeutral: isNeutral)
      }
    }
    for entry in other.state {
      guard let target = own[entry.name], target.shape == entry.shape else { continue }
      switch target.content {
      case .parameter(let parameter), .buffer(let parameter): parameter.load(entry.tensor)
      case .derived: break
      }
    }
  }
}

/// The hyperparameters of a ``ResNet``.
public struct ResNetConfiguration: Codable, Equatable, Sendable {
  /// Bottlenecks of each stage.
  public var blocks = [3, 4, 6, 3]
  /// Channels behind the stem; stage s has 4 · 2ˢ times as many.
  public var width = 64
  /// Channels of the input.
  public var inChannels = 3
  /// Classes.
  public var classes = 1000
  /// Options of frequency-dynamic convolutions in the bottlenecks; nil for plain ones.
  public var dynamic: FDConvConfiguration?

  /// ResNet-50 for three channels and a thousand classes.
  public init() {}

  /// ResNet-50 with plain convolutions.
  public static let resNet50 = ResNetConfiguration()

  /// ResNet-50 with frequency-dynamic convolutions in all bottlenecks and 64 groups of frequencies, as
  /// published.
  public static let resNet50FDConv: ResNetConfiguration = {
    var configuration = ResNetConfiguration()
    var dynamic = FDConvConfiguration()
    dynamic.kernelCount = 64
    configuration.dynamic = dynamic
    return configuration
  }()
}

/// 1×1, 3×3 and 1×1 convolutions with norms around a skip.
final class Bottleneck: Module {
  private enum Layer {
    case plain(Convolution)
    case dynamic(FDConv)

    var module: any Module {
      switch self {
      case .plain(let layer): layer
      case .dynamic(let layer): layer
      }
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
      switch self {
      case .plain(let layer): layer(x)
      case .dynamic(let layer): layer(x)
      }
    }
  }

  private let layers: [Layer]
  private let norms: [BatchNorm]
  private let projection: (convolution: Convolution, norm: BatchNorm)?

  init(
    inChannels: Int, width: Int, stride: Int, hasProjection: Bool, dynamic: FDConvConfiguration?,
    using generator: inout SeededGenerator
  ) throws(LayerError) {
    var layers: [Layer] = []
    for (inputs, outputs, kernel, stride) in [
      (inChannels, width, 1, 1), (width, width, 3, stride), (width, 4 * width, 1, 1),
    ] {
      let (sides, steps, padding) = (
        [kernel, kernel], [stride, stride], [kernel / 2, kernel / 2]
      )
      if let dynamic {
        layers.append(
          .dynamic(
            try FDConv(
              inChannels: inputs, outChannels: outputs, kernel: sides, stride: steps,
              padding: padding, hasBias: false, configuration: dynamic, using: &generator)))
      } else {
        layers.append(
          .plain(
            Convolution(
              inChannels: inputs, outChannels: outputs, kernel: sides, stride: steps,
              padding: padding, hasBias: false, using: &generator)))
      }
    }
    self.layers = layers
    norms = [width, width, 4 * width].map { BatchNorm(channels: $0) }
    projection =
      hasProjection
      ? (
        Convolution(
          inChannels: inChannels, outChannels: 4 * width, kernel: [1, 1],
          stride: [stride, stride], hasBias: false, using: &generator),
        BatchNorm(channels: 4 * width)
      ) : nil
  }

  var members: [Member] {
    var members: [Member] = []
    for index in layers.indices {
      members += [
        .module("conv\(index + 1)", layers[index].module), .module("bn\(index + 1)", norms[index]),
      ]
    }
    if let projection {
      members += [
        .module("downsample.0", projection.convolution), .module("downsample.1", projection.norm),
      ]
    }
    return members
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    var y = x
    for (index, layer) in layers.enumerated() {
      y = norms[index](layer(y))
      if index < 2 { y = y.relu() }
    }
    let skip = projection.map { $0.norm($0.convolution(x)) } ?? x
    return (y + skip).relu()
  }

  func load(converting other: Bottleneck, isNeutral: Bool) throws(LayerError) {
    for (layer, plain) in zip(layers, other.layers) {
      if case .dynamic(let layer) = layer, case .plain(let plain) = plain {
        try layer.load(converting: plain, isNeutral: isNeutral)
      }
    }
  }
}
