/// The hyperparameters of ``TVConvNet``.
public struct TVConvNetConfiguration: ModelConfiguration {
  /// What stands in the three middle branches of the head.
  public enum Branch: String, Codable, Sendable, CaseIterable {
    /// Inverted residual blocks with translation-variant convolution, the authors' proposal.
    case translationVariant = "tvconv"
    /// The same blocks with a depthwise 3×3 convolution, their comparison.
    case depthwise = "dw"
    /// 3×3 convolutions with dilations 6, 12 and 18, as in DeepLabV3+.
    case dilated = "base"
  }

  /// Height and width of the images, to which the network is bound: a multiple of 16.
  ///
  /// Key `image_size`.
  public var imageSize = 256

  /// Output maps: cup and disc.
  ///
  /// Key `classes`.
  public var classes = 2

  /// The branches of the head.
  ///
  /// Key `head`.
  public var branch = Branch.translationVariant

  /// Channels of the head.
  ///
  /// Key `head_channels`.
  public var headChannels = 256

  /// Hidden channels of the head's blocks for each channel of their input.
  ///
  /// Key `expand_ratio`.
  public var expansion = 6

  /// Affinity maps of each translation-variant convolution.
  ///
  /// Key `posi_chans`.
  public var affinityChannels = 4

  /// Channels of their generators.
  ///
  /// Key `inter_chans`.
  public var interChannels = 64

  /// Their generators have one block more than this.
  ///
  /// Key `inter_layers`.
  public var interLayers = 3

  /// The part of the head's channels that is dropped in training.
  ///
  /// Key `dropout`.
  public var dropout: Float = 0.1

  /// Whether the kernels are given instead of generated, with the norms behind them taken in: for
  /// inference.
  ///
  /// Key `frozen`.
  public var isFrozen = false

  /// The authors' network.
  public init() {}

  /// The authors' network: 36 944 610 parameters in training.
  public static let full = TVConvNetConfiguration()

  /// The authors' network with depthwise blocks: 6 401 634 parameters.
  public static let depthwise: TVConvNetConfiguration = {
    var changed = full
    changed.branch = .depthwise
    return changed
  }()

  /// DeepLabV3+ with dilated convolutions: 5 220 834 parameters.
  public static let dilated: TVConvNetConfiguration = {
    var changed = full
    changed.branch = .dilated
    return changed
  }()

  /// A smaller head with smaller generators, for images of 128 pixels.
  public static let light: TVConvNetConfiguration = {
    var light = full
    light.imageSize = 128
    light.headChannels = 64
    light.expansion = 2
    light.interChannels = 16
    light.interLayers = 1
    return light
  }()

  /// `full`, `light`, `dw` and `base`.
  public static let presets: [(name: String, configuration: TVConvNetConfiguration)] = [
    ("full", full), ("light", light), ("dw", depthwise), ("base", dilated),
  ]

  /// Checks that a network can have these values.
  ///
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  public func validate() throws(ModelError) {
    let check = HyperparameterCheck<CodingKeys>(architecture: TVConvNet.architecture)
    try check(
      .imageSize, imageSize, (32...1024).contains(imageSize) && imageSize % 16 == 0,
      "it must be a multiple of 16 in 32...1024")
    try check(.classes, classes, (1...64).contains(classes), "it must be in 1...64")
    try check(
      .headChannels, headChannels, (1...1024).contains(headChannels), "it must be in 1...1024")
    try check(.expansion, expansion, (1...16).contains(expansion), "it must be in 1...16")
    try check(
      .affinityChannels, affinityChannels, (1...64).contains(affinityChannels),
      "it must be in 1...64")
    try check(
      .interChannels, interChannels, (1...1024).contains(interChannels), "it must be in 1...1024")
    try check(.interLayers, interLayers, (0...16).contains(interLayers), "it must be in 0...16")
    try check(
      .isFrozen, isFrozen, !isFrozen || branch == .translationVariant,
      "only the head `tvconv` has generated kernels")
    try check(.dropout, dropout, (0..<1).contains(dropout), "it must be in 0..<1")
  }
}

extension TVConvNetConfiguration: Codable {
  private enum CodingKeys: String, CodingKey, CaseIterable {
    case imageSize = "image_size"
    case classes
    case branch = "head"
    case headChannels = "head_channels"
    case expansion = "expand_ratio"
    case affinityChannels = "posi_chans"
    case interChannels = "inter_chans"
    case interLayers = "inter_layers"
    case dropout
    case isFrozen = "frozen"
  }

  /// Reads the values that are present; others are the authors'.
  ///
  /// - Throws: ``ModelError/unknownKey(_:architecture:nearest:)``, or a decoding error.
  public init(from decoder: any Decoder) throws {
    try decoder.refuseUnknownKeys(besides: CodingKeys.self, architecture: TVConvNet.architecture)
    let container = try decoder.container(keyedBy: CodingKeys.self)
    try container.read(.imageSize, into: &imageSize)
    try container.read(.classes, into: &classes)
    try container.read(.branch, into: &branch)
    try container.read(.headChannels, into: &headChannels)
    try container.read(.expansion, into: &expansion)
    try container.read(.affinityChannels, into: &affinityChannels)
    try container.read(.interChannels, into: &interChannels)
    try container.read(.interLayers, into: &interLayers)
    try container.read(.dropout, into: &dropout)
    try container.read(.isFrozen, into: &isFrozen)
  }
}
