/// How many residual blocks an encoder has, and of which kind.
public enum ResidualEncoderKind: String, Codable, Sendable, CaseIterable {
  /// Bottlenecks, 3, 4 and 6 of them.
  case resnet50
  /// Basic blocks, 2 in each stage.
  case resnet18
}

/// Which form the recurrence of the memory has.
public enum GatedDeltaVariant: String, Codable, Sendable, CaseIterable {
  /// The corrected recurrence: the memory fades by α = exp(g) in (0, 1].
  case v2
  /// The first published one, where α is the negative g itself and heads are tiled over the channels;
  /// unstable, for comparison only.
  case v1
}

/// The hyperparameters of ``GDKVM``; keys are the authors' names where they have one.
public struct GDKVMConfiguration: ModelConfiguration {
  /// The recurrence, key `variant`.
  public var variant = GatedDeltaVariant.v2
  /// The encoder of frames, key `image_encoder`.
  public var imageEncoder = ResidualEncoderKind.resnet50
  /// Channels of its first stage, key `image_encoder_width`.
  public var imageEncoderWidth = 64
  /// The encoder of masks, key `mask_encoder`.
  public var maskEncoder = ResidualEncoderKind.resnet18
  /// Channels of its first stage, key `mask_encoder_width`.
  public var maskEncoderWidth = 64
  /// Channels of a frame, key `in_channels`.
  public var inChannels = 1
  /// Structures that are followed, key `objects`.
  public var objects = 1
  /// What the objects are, one name each, key `structures`.
  ///
  /// Empty, as the authors have it, if nothing but masks tells objects apart. With names, each object
  /// has a learned identity, so that the network finds all of them without a first mask.
  public var structures: [String] = []
  /// Rows of the memory, key `key_dim`.
  public var keyChannels = 64
  /// Columns of the memory, key `value_dim`.
  public var valueChannels = 256
  /// Channels of pixel features, key `pixel_dim`.
  public var pixelChannels = 256
  /// Channels of the sensory memory, key `sensory_dim`.
  public var sensoryChannels = 256
  /// Channels of the object transformer, key `embed_dim`.
  public var embedChannels = 256
  /// Heads of the gates and of the attention, key `heads`.
  public var heads = 8
  /// Queries (and memory tokens) of an object, key `num_queries`.
  public var queries = 16
  /// Blocks of the object transformer, key `num_blocks`.
  public var blocks = 3
  /// Hidden channels of its feed-forward layers, key `ff_dim`.
  public var feedForwardChannels = 2048
  /// Channels of the mask decoder at 1/16, 1/8 and 1/4, key `decoder_dims`.
  public var decoderChannels = [256, 128, 128]
  /// Subtracted from a frame, key `pixel_mean`.
  public var pixelMean: Float = 0.5
  /// Divides a frame after that, key `pixel_std`.
  public var pixelDeviation: Float = 0.5
  /// Added to the variance in batch norms, key `bn_eps`.
  public var batchNormEps: Float = 1e-5
  /// Added to the variance in layer norms, key `ln_eps`.
  public var layerNormEps: Float = 1e-5
  /// Whether the memory is used; without it every frame starts from an empty one.
  ///
  /// Key `uses_memory`; false for comparison only.
  public var usesMemory = true

  /// The authors' configuration.
  public init() {}

  /// The authors' configuration: 35 078 282 parameters.
  public static let full = GDKVMConfiguration()

  /// The same design in a size that two processor cores can train.
  public static let light: GDKVMConfiguration = {
    var light = GDKVMConfiguration()
    light.imageEncoder = .resnet18
    light.imageEncoderWidth = 16
    light.maskEncoderWidth = 16
    light.keyChannels = 32
    light.valueChannels = 64
    light.pixelChannels = 64
    light.sensoryChannels = 64
    light.embedChannels = 64
    light.heads = 4
    light.blocks = 2
    light.feedForwardChannels = 256
    light.decoderChannels = [64, 48, 32]
    return light
  }()

  /// `full` and `light`.
  public static let presets: [(name: String, configuration: GDKVMConfiguration)] = [
    ("full", full), ("light", light),
  ]

  /// Checks that a network can have these values.
  ///
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  public func validate() throws(ModelError) {
    let check = HyperparameterCheck<CodingKeys>(architecture: GDKVM.architecture)
    let sizes: [(CodingKeys, Int)] = [
      (.imageEncoderWidth, imageEncoderWidth), (.maskEncoderWidth, maskEncoderWidth),
      (.inChannels, inChannels), (.objects, objects), (.keyChannels, keyChannels),
      (.valueChannels, valueChannels), (.pixelChannels, pixelChannels),
      (.sensoryChannels, sensoryChannels), (.embedChannels, embedChannels), (.heads, heads),
      (.queries, queries), (.feedForwardChannels, feedForwardChannels),
    ]
    for (key, value) in sizes {
      try check(key, value, (1...4096).contains(value), "it must be in 1...4096")
    }
    // Labels are bytes, 0 the background.
    try check(.objects, objects, objects <= 255, "it must be in 1...255")
    try check(
      .structures, structures,
      structures.isEmpty
        || (structures.count == objects && Set(structures).count == objects
          && !structures.contains("")),
      "it must be empty or have a name of its own for each of the objects (\(objects))")
    try check(.blocks, blocks, (1...64).contains(blocks), "it must be in 1...64")
    try check(.queries, queries, queries % 2 == 0, "it must be even")
    try check(
      .embedChannels, embedChannels, embedChannels % 4 == 0 && embedChannels % heads == 0,
      "it must be a multiple of 4 and of heads (\(heads))")
    try check(
      .valueChannels, valueChannels,
      valueChannels % heads == 0 && valueChannels == embedChannels,
      "it must be a multiple of heads (\(heads)) and equal embed_dim (\(embedChannels))")
    try check(
      .decoderChannels, decoderChannels,
      decoderChannels.count == 3 && decoderChannels.allSatisfy((1...4096).contains)
        && decoderChannels[0] == embedChannels,
      "it must have 3 numbers, the first equal to embed_dim (\(embedChannels))")
    try check(.pixelMean, pixelMean, pixelMean.isFinite, "it must be finite")
    for (key, value) in [
      (CodingKeys.pixelDeviation, pixelDeviation), (.batchNormEps, batchNormEps),
      (.layerNormEps, layerNormEps),
    ] {
      try check(key, value, value.isFinite && value > 0, "it must be a finite number above 0")
    }
  }
}

extension GDKVMConfiguration: Codable {
  private enum CodingKeys: String, CodingKey, CaseIterable {
    case variant
    case imageEncoder = "image_encoder"
    case imageEncoderWidth = "image_encoder_width"
    case maskEncoder = "mask_encoder"
    case maskEncoderWidth = "mask_encoder_width"
    case inChannels = "in_channels"
    case objects
    case structures
    case keyChannels = "key_dim"
    case valueChannels = "value_dim"
    case pixelChannels = "pixel_dim"
    case sensoryChannels = "sensory_dim"
    case embedChannels = "embed_dim"
    case heads
    case queries = "num_queries"
    case blocks = "num_blocks"
    case feedForwardChannels = "ff_dim"
    case decoderChannels = "decoder_dims"
    case pixelMean = "pixel_mean"
    case pixelDeviation = "pixel_std"
    case batchNormEps = "bn_eps"
    case layerNormEps = "ln_eps"
    case usesMemory = "uses_memory"
  }

  /// Reads the values that are present; others are the authors'.
  ///
  /// - Throws: ``ModelError/unknownKey(_:architecture:nearest:)``, or a decoding error.
  public init(from decoder: any Decoder) throws {
    try decoder.refuseUnknownKeys(besides: CodingKeys.self, architecture: GDKVM.architecture)
    let container = try decoder.container(keyedBy: CodingKeys.self)
    try container.read(.variant, into: &variant)
    try container.read(.imageEncoder, into: &imageEncoder)
    try container.read(.imageEncoderWidth, into: &imageEncoderWidth)
    try container.read(.maskEncoder, into: &maskEncoder)
    try container.read(.maskEncoderWidth, into: &maskEncoderWidth)
    try container.read(.inChannels, into: &inChannels)
    try container.read(.objects, into: &objects)
    try container.read(.structures, into: &structures)
    try container.read(.keyChannels, into: &keyChannels)
    try container.read(.valueChannels, into: &valueChannels)
    try container.read(.pixelChannels, into: &pixelChannels)
    try container.read(.sensoryChannels, into: &sensoryChannels)
    try container.read(.embedChannels, into: &embedChannels)
    try container.read(.heads, into: &heads)
    try container.read(.queries, into: &queries)
    try container.read(.blocks, into: &blocks)
    try container.read(.feedForwardChannels, into: &feedForwardChannels)
    try container.read(.decoderChannels, into: &decoderChannels)
    try container.read(.pixelMean, into: &pixelMean)
    try container.read(.pixelDeviation, into: &pixelDeviation)
    try container.read(.batchNormEps, into: &batchNormEps)
    try container.read(.layerNormEps, into: &layerNormEps)
    try container.read(.usesMemory, into: &usesMemory)
  }
}
