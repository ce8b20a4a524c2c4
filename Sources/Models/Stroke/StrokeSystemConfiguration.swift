/// The hyperparameters of ``StrokeSystem``.
public struct StrokeSystemConfiguration: ModelConfiguration {
  /// The network of each path; its classes are background and lesion.
  ///
  /// Key `path`.
  public var path = StrokeConfiguration()

  /// The paths by name, in the order of the second stage's channels.
  ///
  /// Key `paths`.
  public var paths = StrokePath.all.map(\.name)

  /// What stands beside T1: `modality` for FLAIR, `mirror` for T1 alone.
  ///
  /// Key `second_channel`.
  public var secondChannel = StrokeSecondChannel.modality

  /// Channels of the two hidden maps of the second stage.
  ///
  /// Key `combiner_channels`.
  public var combinerChannels = [36, 9]

  /// Added to the variance in the second stage's instance norms.
  ///
  /// Key `in_eps`.
  public var instanceNormEps: Float = 1e-5

  /// Side of the voxels that the networks see, mm.
  ///
  /// Key `spacing`.
  public var spacing = 1.0

  /// Whether the field of view is cut to the voxels above 0, so that the norms do not depend on how much
  /// background a file has; the published system takes the whole grid.
  ///
  /// Key `crops_to_brain`.
  public var cropsToBrain = false

  /// The published configuration.
  public init() {}

  /// The published configuration.
  public static let full = StrokeSystemConfiguration()

  /// The same design with narrow networks, on the brain's box.
  public static let small: StrokeSystemConfiguration = {
    var small = StrokeSystemConfiguration()
    small.path.channels = 16
    small.path.dropout = 0.1
    small.combinerChannels = [12, 6]
    small.cropsToBrain = true
    return small
  }()

  /// `full` and `small`.
  public static let presets: [(name: String, configuration: StrokeSystemConfiguration)] = [
    ("full", full), ("small", small),
  ]

  /// The paths; those of valid names.
  public var strokePaths: [StrokePath] {
    paths.compactMap { name in StrokePath.all.first { $0.name == name } }
  }

  /// Checks that a system can have these values.
  ///
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  public func validate() throws(ModelError) {
    let check = HyperparameterCheck<CodingKeys>(architecture: StrokeSystem.architecture)
    try path.validate()
    try check(.path, path.classes, path.classes == 2, "its classes must be 2")
    let known = StrokePath.all.map(\.name)
    try check(
      .paths, paths, !paths.isEmpty && paths.allSatisfy(known.contains),
      "names among \(known.joined(separator: ", "))")
    try check(.paths, paths, Set(paths).count == paths.count, "each path once")
    try check(
      .combinerChannels, combinerChannels,
      combinerChannels.count == 2 && combinerChannels.allSatisfy((1...1024).contains),
      "it must be two numbers in 1...1024")
    try check(.instanceNormEps, instanceNormEps, instanceNormEps > 0, "it must be above 0")
    try check(.spacing, spacing, (0.1...20).contains(spacing), "it must be in 0.1...20")
  }
}

extension StrokeSystemConfiguration {
  private enum CodingKeys: String, CodingKey, CaseIterable {
    case path, paths, spacing
    case secondChannel = "second_channel"
    case combinerChannels = "combiner_channels"
    case instanceNormEps = "in_eps"
    case cropsToBrain = "crops_to_brain"
  }

  /// Reads the values; absent keys have the published ones, unknown keys are errors.
  public init(from decoder: any Decoder) throws {
    try decoder.refuseUnknownKeys(
      besides: CodingKeys.self, architecture: StrokeSystem.architecture)
    let values = try decoder.container(keyedBy: CodingKeys.self)
    try values.read(.path, into: &path)
    try values.read(.paths, into: &paths)
    try values.read(.secondChannel, into: &secondChannel)
    try values.read(.combinerChannels, into: &combinerChannels)
    try values.read(.instanceNormEps, into: &instanceNormEps)
    try values.read(.spacing, into: &spacing)
    try values.read(.cropsToBrain, into: &cropsToBrain)
  }

  /// Writes all values.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(path, forKey: .path)
    try values.encode(paths, forKey: .paths)
    try values.encode(secondChannel, forKey: .secondChannel)
    try values.encode(combinerChannels, forKey: .combinerChannels)
    try values.encode(instanceNormEps, forKey: .instanceNormEps)
    try values.encode(spacing, forKey: .spacing)
    try values.encode(cropsToBrain, forKey: .cropsToBrain)
  }
}
