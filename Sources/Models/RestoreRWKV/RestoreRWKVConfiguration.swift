import TensorCore

/// The hyperparameters of ``RestoreRWKV``; the keys are the authors' names.
public struct RestoreRWKVConfiguration: ModelConfiguration {
  /// Channels at full resolution, an even number; the deepest level has eight times as many.
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

  /// Channels of the output; the input is added to it, of an odd number of slices the middle one.
  ///
  /// Key `out_channels`.
  public var outChannels = 1

  /// Hidden channels of the channel mix for each channel.
  ///
  /// Key `hidden_rate`.
  public var hiddenRate = 4

  /// Passes of the attention, alternately along rows and along columns; 0 for no attention.
  ///
  /// Key `recurrences`.
  public var recurrences = 2

  /// What tokens take from their neighbours before they are mixed; the paper's is `omni`.
  ///
  /// Key `shift`, which the authors' program does not have.
  public var shift = TokenShiftKind.omni

  /// Added to the variance in layer norms.
  ///
  /// Key `ln_eps`.
  public var layerNormEps: Float = 1e-5

  /// The paper's configuration.
  public init() {}

  /// The paper's configuration: 27 846 625 deployed parameters.
  public static let full = RestoreRWKVConfiguration()

  /// A small one with 1 155 649 deployed parameters.
  ///
  /// The paper reports a light variant of 1.16 M without saying how it is made; this is one that
  /// rounds to the same number.
  public static let light: RestoreRWKVConfiguration = {
    var light = RestoreRWKVConfiguration()
    light.channels = 12
    light.blocks = [4, 4, 4, 4]
    return light
  }()

  /// `full` and `light`.
  public static let presets: [(name: String, configuration: RestoreRWKVConfiguration)] = [
    ("full", full), ("light", light),
  ]

  /// Checks that a network can have these values.
  ///
  /// Sizes are bounded far above any use, so that a damaged file cannot ask for all memory.
  ///
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  public func validate() throws(ModelError) {
    let check = HyperparameterCheck<CodingKeys>(architecture: RestoreRWKV.architecture)
    try check(
      .channels, channels, (2...1024).contains(channels) && channels % 2 == 0,
      "it must be even and in 2...1024")
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
    try check(.recurrences, recurrences, (0...64).contains(recurrences), "it must be in 0...64")
    try check(
      .layerNormEps, layerNormEps, layerNormEps.isFinite && layerNormEps > 0,
      "it must be a finite number above 0")
  }
}

extension RestoreRWKVConfiguration: Codable {
  private enum CodingKeys: String, CodingKey, CaseIterable {
    case channels = "dim"
    case blocks = "num_blocks"
    case refinementBlocks = "num_refinement_blocks"
    case inChannels = "in_channels"
    case outChannels = "out_channels"
    case hiddenRate = "hidden_rate"
    case recurrences
    case shift
    case layerNormEps = "ln_eps"
  }

  /// Reads the values that are present; others are the paper's.
  ///
  /// - Throws: ``ModelError/unknownKey(_:architecture:nearest:)``, or a decoding error.
  public init(from decoder: any Decoder) throws {
    try decoder.refuseUnknownKeys(
      besides: CodingKeys.self, architecture: RestoreRWKV.architecture)
    let container = try decoder.container(keyedBy: CodingKeys.self)
    try container.read(.channels, into: &channels)
    try container.read(.blocks, into: &blocks)
    try container.read(.refinementBlocks, into: &refinementBlocks)
    try container.read(.inChannels, into: &inChannels)
    try container.read(.outChannels, into: &outChannels)
    try container.read(.hiddenRate, into: &hiddenRate)
    try container.read(.recurrences, into: &recurrences)
    try container.read(.shift, into: &shift)
    try container.read(.layerNormEps, into: &layerNormEps)
  }
}
