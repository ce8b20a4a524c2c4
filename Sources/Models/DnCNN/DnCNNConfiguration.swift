public import Layers

/// The hyperparameters of ``DnCNN``.
public struct DnCNNConfiguration: ModelConfiguration {
  /// Convolutions in all: 17 for a known noise level, 20 for an unknown one.
  ///
  /// Key `depth`.
  public var depth = 17

  /// Channels between them.
  ///
  /// Key `features`.
  public var features = 64

  /// Channels of the image.
  ///
  /// Key `image_channels`.
  public var imageChannels = 1

  /// Side of the kernels, odd.
  ///
  /// Key `kernel_size`.
  public var kernel = 3

  /// Spatial axes: 1 for sequences, 2 for images, 3 for volumes.
  ///
  /// Key `dims`.
  public var axes = 2

  /// The kind of all convolutions: `plain`, `weighted` or `fdconv`.
  ///
  /// Key `convolution`.
  public var convolution = ConvolutionChoice()

  /// Added to the variance in batch norms.
  ///
  /// Key `bn_eps`.
  public var normEps: Float = 1e-4

  /// The weight of a new batch in the norms' running averages.
  ///
  /// Key `bn_momentum`.
  public var normMomentum: Float = 0.95

  /// The paper's network for a known noise level.
  public init() {}

  /// The paper's network for a known noise level: 556 096 parameters.
  public static let full = DnCNNConfiguration()

  /// A small one, for quick comparisons: 7 convolutions of 32 channels.
  public static let light: DnCNNConfiguration = {
    var light = DnCNNConfiguration()
    light.depth = 7
    light.features = 32
    return light
  }()

  /// `full` and `light`, and both with weighted convolutions.
  public static let presets: [(name: String, configuration: DnCNNConfiguration)] = [
    ("full", full), ("light", light), ("weighted", full.with(ConvolutionChoice(.weighted))),
    ("light-weighted", light.with(ConvolutionChoice(.weighted))),
  ]

  /// The places of the convolutions.
  var sites: [ConvolutionSite] {
    (0..<depth).map { index in
      let isFirst = index == 0
      let isLast = index == depth - 1
      return ConvolutionSite(
        "dncnn.\(isFirst ? 0 : 3 * index - 1)", from: isFirst ? imageChannels : features,
        to: isLast ? imageChannels : features, kernel: kernel, axes: axes, hasBias: isFirst)
    }
  }

  /// Checks that a network can have these values.
  ///
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  public func validate() throws(ModelError) {
    let check = HyperparameterCheck<CodingKeys>(architecture: DnCNN.architecture)
    try check(.depth, depth, (2...256).contains(depth), "it must be in 2...256")
    try check(.features, features, (1...1024).contains(features), "it must be in 1...1024")
    try check(
      .imageChannels, imageChannels, (1...256).contains(imageChannels), "it must be in 1...256")
    try check(
      .kernel, kernel, (1...31).contains(kernel) && kernel % 2 == 1,
      "it must be odd and in 1...31")
    try check(.axes, axes, (1...3).contains(axes), "it must be 1, 2 or 3")
    try check(
      .normEps, normEps, normEps.isFinite && normEps > 0, "it must be a finite number above 0")
    try check(
      .normMomentum, normMomentum, (0...1).contains(normMomentum), "it must be in 0...1")
    try check(
      .convolution, convolution.kind.rawValue, convolution.kind != .tvconv,
      "its layers can be plain, weighted or fdconv")
    try convolution.check(sites, architecture: DnCNN.architecture)
  }
}

extension DnCNNConfiguration: ConvolutionalConfiguration {}

extension DnCNNConfiguration: Codable {
  private enum CodingKeys: String, CodingKey, CaseIterable {
    case depth, features
    case imageChannels = "image_channels"
    case kernel = "kernel_size"
    case axes = "dims"
    case convolution
    case normEps = "bn_eps"
    case normMomentum = "bn_momentum"
  }

  /// Reads the values that are present; others are the paper's.
  ///
  /// - Throws: ``ModelError/unknownKey(_:architecture:nearest:)``, or a decoding error.
  public init(from decoder: any Decoder) throws {
    try decoder.refuseUnknownKeys(besides: CodingKeys.self, architecture: DnCNN.architecture)
    let container = try decoder.container(keyedBy: CodingKeys.self)
    try container.read(.depth, into: &depth)
    try container.read(.features, into: &features)
    try container.read(.imageChannels, into: &imageChannels)
    try container.read(.kernel, into: &kernel)
    try container.read(.axes, into: &axes)
    try container.read(.convolution, into: &convolution)
    try container.read(.normEps, into: &normEps)
    try container.read(.normMomentum, into: &normMomentum)
  }
}
