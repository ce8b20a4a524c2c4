/// The hyperparameters of ``StrokePathNetwork``.
public struct StrokeConfiguration: ModelConfiguration {
  /// Channels of every feature map.
  ///
  /// Key `channels`.
  public var channels = 32

  /// Classes of the output.
  ///
  /// Key `classes`.
  public var classes = 2

  /// The part of the feature maps that the decoder drops in training.
  ///
  /// Key `dropout`.
  public var dropout: Float = 0.2

  /// Whether each level has a fusion block of its own; the published network shares the first one.
  ///
  /// Key `separate_fusion`.
  public var separateFusion = false

  /// Added to the variance in batch norms.
  ///
  /// Key `bn_eps`.
  public var batchNormEps: Float = 1e-5

  /// The weight of a new batch in the running statistics.
  ///
  /// Key `bn_momentum`.
  public var batchNormMomentum: Float = 0.1

  /// The published configuration.
  public init() {}

  /// The published configuration: 324 672 parameters.
  public static let full = StrokeConfiguration()

  /// The same design with half the channels.
  public static let small: StrokeConfiguration = {
    var small = StrokeConfiguration()
    small.channels = 16
    return small
  }()

  /// `full` and `small`.
  public static let presets: [(name: String, configuration: StrokeConfiguration)] = [
    ("full", full), ("small", small),
  ]

  /// Checks that a network can have these values.
  ///
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  public func validate() throws(ModelError) {
    let check = HyperparameterCheck<CodingKeys>(architecture: StrokePathNetwork.architecture)
    try check(.channels, channels, (1...1024).contains(channels), "it must be in 1...1024")
    try check(.classes, classes, (2...256).contains(classes), "it must be in 2...256")
    try check(.dropout, dropout, (0..<1).contains(dropout), "it must be from 0 to below 1")
    try check(.batchNormEps, batchNormEps, batchNormEps > 0, "it must be above 0")
    try check(
      .batchNormMomentum, batchNormMomentum, (0...1).contains(batchNormMomentum),
      "it must be in 0...1")
  }
}

extension StrokeConfiguration {
  private enum CodingKeys: String, CodingKey, CaseIterable {
    case channels, classes, dropout
    case separateFusion = "separate_fusion"
    case batchNormEps = "bn_eps"
    case batchNormMomentum = "bn_momentum"
  }

  /// Reads the values; absent keys have the published ones, unknown keys are errors.
  public init(from decoder: any Decoder) throws {
    try decoder.refuseUnknownKeys(
      besides: CodingKeys.self, architecture: StrokePathNetwork.architecture)
    let values = try decoder.container(keyedBy: CodingKeys.self)
    try values.read(.channels, into: &channels)
    try values.read(.classes, into: &classes)
    try values.read(.dropout, into: &dropout)
    try values.read(.separateFusion, into: &separateFusion)
    try values.read(.batchNormEps, into: &batchNormEps)
    try values.read(.batchNormMomentum, into: &batchNormMomentum)
  }

  /// Writes all values.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(channels, forKey: .channels)
    try values.encode(classes, forKey: .classes)
    try values.encode(dropout, forKey: .dropout)
    try values.encode(separateFusion, forKey: .separateFusion)
    try values.encode(batchNormEps, forKey: .batchNormEps)
    try values.encode(batchNormMomentum, forKey: .batchNormMomentum)
  }
}
