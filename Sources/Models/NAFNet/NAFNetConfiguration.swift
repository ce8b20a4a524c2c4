public import Layers

/// The hyperparameters of ``NAFNet``; the keys are the authors' names.
public struct NAFNetConfiguration: ModelConfiguration {
  /// Channels of the image.
  ///
  /// Key `img_channel`.
  public var imageChannels = 1

  /// Channels at full resolution; each level below has twice as many.
  ///
  /// Key `width`.
  public var width = 32

  /// Blocks on the deepest level.
  ///
  /// Key `middle_blk_num`.
  public var middleBlocks = 12

  /// Blocks on each level of the encoder.
  ///
  /// Key `enc_blk_nums`.
  public var encoderBlocks = [2, 2, 4, 8]

  /// Blocks on each level of the decoder, the deepest first.
  ///
  /// Key `dec_blk_nums`.
  public var decoderBlocks = [2, 2, 2, 2]

  /// Channels of the depthwise convolution for each channel of the block, even.
  ///
  /// Key `dw_expand`.
  public var depthwiseExpansion = 2

  /// Channels of the feed-forward part for each channel of the block, even.
  ///
  /// Key `ffn_expand`.
  public var feedForwardExpansion = 2

  /// The kind of the 3×3 convolutions, `plain` or `weighted`.
  ///
  /// Key `convolution`.
  public var convolution = ConvolutionChoice()

  /// Added to the variance in layer norms.
  ///
  /// Key `ln_eps`.
  public var layerNormEps: Float = 1e-6

  /// The configuration for real noise (SIDD, width 32), with one channel.
  public init() {}

  /// The configuration for real noise (SIDD, width 32), with one channel.
  public static let full = NAFNetConfiguration()

  /// A small one, for quick comparisons.
  public static let light: NAFNetConfiguration = {
    var light = NAFNetConfiguration()
    light.width = 16
    light.middleBlocks = 1
    light.encoderBlocks = [1, 1, 1]
    light.decoderBlocks = [1, 1, 1]
    return light
  }()

  /// `full` and `light`, and both with weighted convolutions.
  public static let presets: [(name: String, configuration: NAFNetConfiguration)] = [
    ("full", full), ("light", light), ("weighted", full.with(ConvolutionChoice(.weighted))),
    ("light-weighted", light.with(ConvolutionChoice(.weighted))),
  ]

  /// The place of the first convolution.
  var intro: ConvolutionSite { ConvolutionSite("intro", from: imageChannels, to: width) }

  /// The place of the last convolution.
  var ending: ConvolutionSite { ConvolutionSite("ending", from: width, to: imageChannels) }

  /// The place of a block's depthwise convolution.
  static func depthwise(channels: Int, expansion: Int, _ block: String = "") -> ConvolutionSite {
    ConvolutionSite(
      block + "conv2", from: channels * expansion, to: channels * expansion,
      groups: channels * expansion)
  }

  /// Checks that a network can have these values.
  ///
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  public func validate() throws(ModelError) {
    let check = HyperparameterCheck<CodingKeys>(architecture: NAFNet.architecture)
    try check(
      .imageChannels, imageChannels, (1...256).contains(imageChannels), "it must be in 1...256")
    try check(.width, width, (1...1024).contains(width), "it must be in 1...1024")
    try check(
      .middleBlocks, middleBlocks, (0...64).contains(middleBlocks), "it must be in 0...64")
    try check(
      .encoderBlocks, encoderBlocks,
      (0...6).contains(encoderBlocks.count) && encoderBlocks.allSatisfy((0...64).contains),
      "it must have at most 6 numbers in 0...64")
    try check(
      .decoderBlocks, decoderBlocks,
      decoderBlocks.count == encoderBlocks.count && decoderBlocks.allSatisfy((0...64).contains),
      "it must have as many numbers as enc_blk_nums, in 0...64")
    for (key, value) in [
      (CodingKeys.depthwiseExpansion, depthwiseExpansion),
      (.feedForwardExpansion, feedForwardExpansion),
    ] {
      try check(
        key, value, (1...16).contains(value) && value * width % 2 == 0,
        "it must be in 1...16, and its product with the width even")
    }
    try check(
      .layerNormEps, layerNormEps, layerNormEps.isFinite && layerNormEps > 0,
      "it must be a finite number above 0")
    try check(
      .convolution, convolution.kind.rawValue, [.plain, .weighted].contains(convolution.kind),
      "its depthwise layers can be plain or weighted")
    try convolution.check(
      [intro, ending, Self.depthwise(channels: width, expansion: depthwiseExpansion)],
      architecture: NAFNet.architecture)
  }
}

extension NAFNetConfiguration: ConvolutionalConfiguration {}

extension NAFNetConfiguration: Codable {
  private enum CodingKeys: String, CodingKey, CaseIterable {
    case imageChannels = "img_channel"
    case width
    case middleBlocks = "middle_blk_num"
    case encoderBlocks = "enc_blk_nums"
    case decoderBlocks = "dec_blk_nums"
    case depthwiseExpansion = "dw_expand"
    case feedForwardExpansion = "ffn_expand"
    case convolution
    case layerNormEps = "ln_eps"
  }

  /// Reads the values that are present; others are the defaults.
  ///
  /// - Throws: ``ModelError/unknownKey(_:architecture:nearest:)``, or a decoding error.
  public init(from decoder: any Decoder) throws {
    try decoder.refuseUnknownKeys(besides: CodingKeys.self, architecture: NAFNet.architecture)
    let container = try decoder.container(keyedBy: CodingKeys.self)
    try container.read(.imageChannels, into: &imageChannels)
    try container.read(.width, into: &width)
    try container.read(.middleBlocks, into: &middleBlocks)
    try container.read(.encoderBlocks, into: &encoderBlocks)
    try container.read(.decoderBlocks, into: &decoderBlocks)
    try container.read(.depthwiseExpansion, into: &depthwiseExpansion)
    try container.read(.feedForwardExpansion, into: &feedForwardExpansion)
    try container.read(.convolution, into: &convolution)
    try container.read(.layerNormEps, into: &layerNormEps)
  }
}
