import TensorCore

/// The hyperparameters of ``FSRWKV``; the keys are the authors' names.
public struct FSRWKVConfiguration: ModelConfiguration {
  /// Channels at full resolution, a multiple of 8; the deepest level has eight times as many.
  ///
  /// Key `dim`.
  public var channels = 48

  /// Blocks on the four levels; the decoder has as many as the encoder.
  ///
  /// Key `num_blocks`.
  public var blocks = [4, 6, 6, 8]

  /// Blocks after the decoder, at full resolution.
  ///
  /// Key `num_refinement_blocks`.
  public var refinementBlocks = 4

  /// Channels of the input.
  ///
  /// Key `in_channels`.
  public var inChannels = 1

  /// Channels of the output; the input is added to it.
  ///
  /// Key `out_channels`.
  public var outChannels = 1

  /// Hidden channels of the channel mix for each channel.
  ///
  /// Key `hidden_rate`.
  public var hiddenRate = 4

  /// Added to the variance in layer norms.
  ///
  /// Key `ln_eps`.
  public var layerNormEps: Float = 1e-5

  /// Added to the variance in group norms.
  ///
  /// Key `gn_eps`.
  public var groupNormEps: Float = 1e-5

  /// Added to the variance in batch norms.
  ///
  /// Key `bn_eps`.
  public var batchNormEps: Float = 1e-5

  /// The weight of a new batch in running averages.
  ///
  /// Key `bn_momentum`.
  public var batchNormMomentum: Float = 0.1

  /// The paper's configuration.
  public init() {}

  /// The paper's configuration: 45 397 609 parameters.
  public static let full = FSRWKVConfiguration()

  /// A small one, for trials and small data sets; not from the paper.
  public static let light: FSRWKVConfiguration = {
    var light = FSRWKVConfiguration()
    light.channels = 16
    light.blocks = [2, 2, 2, 2]
    light.refinementBlocks = 2
    return light
  }()

  /// `full` and `light`.
  public static let presets: [(name: String, configuration: FSRWKVConfiguration)] = [
    ("full", full), ("light", light),
  ]

  /// Checks that a network can have these values.
  ///
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  public func validate() throws(ModelError) {
    let check = HyperparameterCheck<CodingKeys>(architecture: FSRWKV.architecture)
    try check(
      .channels, channels, (8...1024).contains(channels) && channels % 8 == 0,
      "it must be a multiple of 8 in 8...1024")
    try check(.blocks, blocks, blocks.count == 4, "it must have 4 numbers")
    try check(
      .blocks, blocks, blocks.allSatisfy((0...64).contains), "each number must be in 0...64")
    try check(
      .refinementBlocks, refinementBlocks, (0...64).contains(refinementBlocks),
      "it must be in 0...64")
    try check(.inChannels, inChannels, (1...256).contains(inChannels), "it must be in 1...256")
    try check(
      .outChannels, outChannels,
      Tensor.hasMiddle(outChannels, of: inChannels),
      "the input of \(inChannels) channels is added to the output")
    try check(.hiddenRate, hiddenRate, (1...16).contains(hiddenRate), "it must be in 1...16")
    for (key, eps) in [
      (CodingKeys.layerNormEps, layerNormEps), (.groupNormEps, groupNormEps),
      (.batchNormEps, batchNormEps),
    ] {
      try check(key, eps, eps > 0 && eps <= 1, "it must be above 0 and at most 1")
    }
    try check(
      .batchNormMomentum, batchNormMomentum, batchNormMomentum > 0 && batchNormMomentum <= 1,
      "it must be above 0 and at most 1")
  }
}

extension FSRWKVConfiguration: Codable {
  private enum CodingKeys: String, CodingKey, CaseIterable {
    case channels = "dim"
    case blocks = "num_blocks"
    case refinementBlocks = "num_refinement_blocks"
    case inChannels = "in_channels"
    case outChannels = "out_channels"
    case hiddenRate = "hidden_rate"
    case layerNormEps = "ln_eps"
    case groupNormEps = "gn_eps"
    case batchNormEps = "bn_eps"
    case batchNormMomentum = "bn_momentum"
  }

  /// Reads the values that are present; others are the paper's.
  ///
  /// - Throws: ``ModelError/unknownKey(_:architecture:nearest:)``, or a decoding error.
  public init(from decoder: any Decoder) throws {
    try decoder.refuseUnknownKeys(besides: CodingKeys.self, architecture: FSRWKV.architecture)
    let container = try decoder.container(keyedBy: CodingKeys.self)
    try container.read(.channels, into: &channels)
    try container.read(.blocks, into: &blocks)
    try container.read(.refinementBlocks, into: &refinementBlocks)
    try container.read(.inChannels, into: &inChannels)
    try container.read(.outChannels, into: &outChannels)
    try container.read(.hiddenRate, into: &hiddenRate)
    try container.read(.layerNormEps, into: &layerNormEps)
    try container.read(.groupNormEps, into: &groupNormEps)
    try container.read(.batchNormEps, into: &batchNormEps)
    try container.read(.batchNormMomentum, into: &batchNormMomentum)
  }
}
