public import Layers
import TensorCore

/// The hyperparameters of ``UNet``.
public struct UNetConfiguration: ModelConfiguration {
  /// Channels of the input.
  ///
  /// Key `in_channels`.
  public var inChannels = 1

  /// Channels of the output: of the image, or one for each class.
  ///
  /// Key `out_channels`.
  public var outChannels = 1

  /// Channels on each level, full resolution first.
  ///
  /// Key `channels`.
  public var channels = [64, 128, 256, 512]

  /// Side of the kernels, odd.
  ///
  /// Key `kernel_size`.
  public var kernel = 3

  /// Spatial axes: 2 for images, 3 for volumes.
  ///
  /// Key `dims`.
  public var axes = 2

  /// Whether the input is added to the output, as for restoration.
  ///
  /// Key `residual`.
  public var isResidual = true

  /// Whether the coarser levels of the decoder have outputs of their own in training.
  ///
  /// Key `deep_supervision`.
  public var hasDeepSupervision = false

  /// By what each step down divides each axis, as in `[[1, 2, 2], [2, 2, 2]]`; empty for 2 everywhere.
  ///
  /// Key `pooling`.
  public var pooling: [[Int]] = []

  /// The kind of all convolutions but the last.
  ///
  /// Key `convolution`.
  public var convolution = ConvolutionChoice()

  /// For restoration of images with one channel.
  public init() {}

  /// Four levels of 64 to 512 channels.
  public static let full = UNetConfiguration()

  /// Four levels of 16 to 128 channels.
  public static let light: UNetConfiguration = {
    var light = UNetConfiguration()
    light.channels = [16, 32, 64, 128]
    return light
  }()

  /// `full` and `light`, and both with weighted convolutions.
  public static let presets: [(name: String, configuration: UNetConfiguration)] = [
    ("full", full), ("light", light), ("weighted", full.with(ConvolutionChoice(.weighted))),
    ("light-weighted", light.with(ConvolutionChoice(.weighted))),
  ]

  /// By what a step to the next level divides each axis.
  package func factors(_ level: Int) -> [Int] {
    pooling.isEmpty ? [Int](repeating: 2, count: axes) : pooling[level]
  }

  /// The places of the convolutions in a level's block on the way down.
  func encoder(_ level: Int) -> (ConvolutionSite, ConvolutionSite) {
    DoubleConvolution.sites(
      "encoder.\(level).", from: level == 0 ? inChannels : channels[level - 1],
      to: channels[level], kernel: kernel, axes: axes, reduction: 1 << level)
  }

  /// The places of the convolutions in a level's block on the way up.
  func decoder(_ level: Int) -> (ConvolutionSite, ConvolutionSite) {
    DoubleConvolution.sites(
      "decoder.\(level).", from: channels[level] + channels[level + 1], to: channels[level],
      kernel: kernel, axes: axes, reduction: 1 << level)
  }

  /// All places of which the choice of convolutions decides.
  var sites: [ConvolutionSite] {
    let pairs = channels.indices.map(encoder) + channels.indices.dropLast().map(decoder)
    return pairs.flatMap { [$0.0, $0.1] }
  }

  /// Checks that a network can have these values.
  ///
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``; for the choice of convolutions
  ///   it names the layer and the rule.
  public func validate() throws(ModelError) {
    let check = HyperparameterCheck<CodingKeys>(architecture: UNet.architecture)
    try check(.inChannels, inChannels, (1...256).contains(inChannels), "it must be in 1...256")
    try check(.outChannels, outChannels, (1...256).contains(outChannels), "it must be in 1...256")
    try check(
      .channels, channels,
      (1...8).contains(channels.count) && channels.allSatisfy((1...2048).contains),
      "it must have 1 to 8 numbers in 1...2048")
    try check(
      .kernel, kernel, (1...15).contains(kernel) && kernel % 2 == 1,
      "it must be odd and in 1...15")
    try check(.axes, axes, (2...3).contains(axes), "it must be 2 or 3")
    try check(
      .isResidual, isResidual, !isResidual || Tensor.hasMiddle(outChannels, of: inChannels),
      "the input of \(inChannels) channels cannot be added to an output of \(outChannels)")
    try check(
      .pooling, pooling,
      pooling.isEmpty
        || (pooling.count == channels.count - 1
          && pooling.allSatisfy { $0.count == axes && $0.allSatisfy((1...4).contains) }),
      "it must have a factor in 1...4 for each axis and step down")
    try check(
      .pooling, pooling, convolution.boundSize == nil || pooling.joined().allSatisfy { $0 == 2 },
      "convolutions that are bound to a size need 2 everywhere")
    try convolution.check(sites, architecture: UNet.architecture)
    if let size = convolution.boundSize {
      let multiple = 1 << (channels.count - 1)
      try check(
        .convolution, "bound to \(size.height)x\(size.width)",
        size.height % multiple == 0 && size.width % multiple == 0,
        "the image's sides must be multiples of \(multiple)")
    }
  }
}

extension UNetConfiguration: ConvolutionalConfiguration {}

extension UNetConfiguration: Codable {
  private enum CodingKeys: String, CodingKey, CaseIterable {
    case inChannels = "in_channels"
    case outChannels = "out_channels"
    case channels
    case kernel = "kernel_size"
    case axes = "dims"
    case isResidual = "residual"
    case hasDeepSupervision = "deep_supervision"
    case pooling
    case convolution
  }

  /// Reads the values that are present; others are the defaults.
  ///
  /// - Throws: ``ModelError/unknownKey(_:architecture:nearest:)``, or a decoding error.
  public init(from decoder: any Decoder) throws {
    try decoder.refuseUnknownKeys(besides: CodingKeys.self, architecture: UNet.architecture)
    let container = try decoder.container(keyedBy: CodingKeys.self)
    try container.read(.inChannels, into: &inChannels)
    try container.read(.outChannels, into: &outChannels)
    try container.read(.channels, into: &channels)
    try container.read(.kernel, into: &kernel)
    try container.read(.axes, into: &axes)
    try container.read(.isResidual, into: &isResidual)
    try container.read(.hasDeepSupervision, into: &hasDeepSupervision)
    try container.read(.pooling, into: &pooling)
    try container.read(.convolution, into: &convolution)
  }
}
