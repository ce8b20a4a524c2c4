public import Layers
public import Randomness
public import TensorCore

/// The optic disc and cup network: DeepLabV3+ on MobileNetV2 with translation-variant convolutions in
/// its head.
///
/// For images of one size S (256), RGB in −1...1, with the disc at the same place in all of them:
///
/// | stage | members | channels | side |
/// | --- | --- | --- | --- |
/// | backbone, low level | `backbone.low_level_features` | 24 | S/4 |
/// | backbone, high level | `backbone.high_level_features` | 320 | S/16 |
/// | five branches, joined | `classifier.aspp` | 256 | S/16 |
/// | enlarged, joined with the low level | `classifier.project`, `classifier.classifier` | 2 | S/4 |
/// | enlarged | | 2 | S |
///
/// Outputs are logits of independent classes: channel 0 the cup, channel 1 the disc, of which the cup is
/// a part. The authors start from weights trained on ImageNet; this network starts from random ones
/// unless it is given weights.
///
/// Source: Chen et al., *TVConv: Efficient Translation Variant Convolution for Layout-aware Visual
/// Processing*, CVPR 2022, arXiv 2203.10489, §4.2.
public final class TVConvNet: RestorationModel {
  /// `tvconv-net`.
  public static let architecture = "tvconv-net"

  /// The hyperparameters.
  public let configuration: TVConvNetConfiguration

  private let backbone: MobileNetBackbone
  private let classifier: PyramidHead

  /// A network with initial weights.
  ///
  /// - Parameters:
  ///   - configuration: Checked first.
  ///   - generator: Draws the weights.
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  public init(
    _ configuration: TVConvNetConfiguration, using generator: inout SeededGenerator
  ) throws(ModelError) {
    try configuration.validate()
    self.configuration = configuration
    backbone = MobileNetBackbone(using: &generator)
    classifier = PyramidHead(configuration, using: &generator)
  }

  /// The backbone and the head.
  public var members: [Member] {
    [.module("backbone", backbone), .module("classifier", classifier)]
  }

  /// The translation-variant convolutions with their norms by the full name of their block.
  var translationVariantLayers: [(name: String, convolution: TVConvolution, norm: BatchNorm)] {
    classifier.translationVariant.map { ("classifier." + $0.name, $0.convolution, $0.norm) }
  }

  /// The parameters of the backbone alone.
  package var backboneCount: Int { backbone.parameterCount(.trained) }

  /// 3: red, green, blue.
  public var inChannels: Int { 3 }

  /// The number of classes.
  public var outChannels: Int { configuration.classes }

  /// 16.
  public var sizeMultiple: Int { 16 }

  /// The one size of images.
  public var boundSize: (height: Int, width: Int)? {
    (configuration.imageSize, configuration.imageSize)
  }

  /// Those of the head's dense convolutions and blocks, for one image; the backbone's are few beside
  /// them and not counted, nor is the generators' work.
  public func multiplyAdds(height: Int, width: Int) -> Int {
    let (inChannels, c) = (MobileNetBackbone.highChannels, configuration.headChannels)
    let (high, low) = (height / 16 * (width / 16), height / 4 * (width / 4))
    let hidden = inChannels * configuration.expansion
    let branch =
      configuration.branch == .dilated
      ? 9 * inChannels * c : inChannels * hidden + 9 * hidden + hidden * c
    return high * (inChannels * c + 3 * branch + 5 * c * c)
      + low * (MobileNetBackbone.lowChannels * 48 + 9 * (48 + c) * c + c * outChannels)
  }

  /// Maps `[N, S, S, 3]` to logits `[N, S, S, classes]`, S the configured size.
  public func forward(_ x: Tensor) -> Tensor {
    precondition(
      x.shape[1] == configuration.imageSize && x.shape[2] == configuration.imageSize,
      "tvconv-net: images of \(x.shape[1])x\(x.shape[2]), the network is bound to "
        + "\(configuration.imageSize)")
    let (low, high) = backbone(x)
    return classifier(low: low, high: high)
      .resized(to: [x.shape[1], x.shape[2]], mode: .linear(alignCorners: false))
  }
}
