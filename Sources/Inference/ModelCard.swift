public import Foundation
public import Imaging
public import Models

/// What `model.json` of a bundle says: how to build the network, what it takes and gives, and what is
/// known about it.
public struct ModelCard: Codable, Sendable {
  /// One input or output of the network, in the manner of MONAI's network data format.
  public struct DataFormat: Codable, Sendable, Equatable {
    /// `image`.
    public var type = "image"
    /// `magnitude` for intensities.
    public var format = "magnitude"
    /// As in `MR`, `CT`, `PT`.
    public var modality: String
    /// Channels.
    public var numChannels = 1
    /// Rows and columns as the network takes them, each a number or `*`.
    public var spatialShape = ["*", "*"]
    /// Always `float32`.
    public var dtype = "float32"
    /// Typical range after normalisation.
    public var valueRange = [0.0, 1.0]
    /// What each channel shows, by its number.
    public var channelDef: [String: String]

    enum CodingKeys: String, CodingKey {
      case type, format, modality, dtype
      case numChannels = "num_channels"
      case spatialShape = "spatial_shape"
      case valueRange = "value_range"
      case channelDef = "channel_def"
    }

    /// Images of one channel.
    ///
    /// - Parameters:
    ///   - modality: As in `MR`, `CT`, `PT`.
    ///   - channel: What the channel shows.
    public init(modality: String, channel: String) {
      self.modality = modality
      channelDef = ["0": channel]
    }
  }

  /// What a network does.
  public enum Task: String, Codable, Sendable {
    /// Maps intensities to intensities.
    case restore
    /// Maps intensities to labels.
    case segment
  }

  /// The only schema so far.
  public static let currentSchema = "restore-bundle-1"

  /// ``currentSchema``.
  public var schema = Self.currentSchema
  /// The bundle's name, that of its folder.
  public var name: String
  /// As in `1.0.0`.
  public var version: String
  /// What the network does.
  public var task: Task
  /// How the network is built; its keys stand at the top level, `arch` and `hyperparameters`.
  public var network: ModelDescription
  /// What goes in.
  public var inputs: [String: DataFormat]
  /// What comes out.
  public var outputs: [String: DataFormat]
  /// How intensities are brought to the network's range.
  public var normalization: IntensityNormalization
  /// The plane of the slices; nil for the plane of acquisition.
  public var plane: AnatomicalPlane?
  /// Whether the results of all three planes are averaged where ``VolumeRestorer/averagesPlanes(of:_:)`` allows.
  ///
  /// For degradations that are alike in all planes, as independent noise is.
  public var averagesPlanes: Bool?
  /// Whether the results of the eight symmetries of each slice are averaged where measured frequencies are kept
  /// (``VolumeRestorer/symmetries(_:)``), which takes eight times the time.
  ///
  /// What ``averagesPlanes`` is to noise: super-resolution has one plane.
  public var averagesSymmetries: Bool?
  /// Super-resolution: by how much k-space was truncated.
  ///
  /// The frequencies that were measured are put back into what the network makes; nil to leave it as it
  /// is.
  public var kSpaceFactor: Double?
  /// The least intensity that is measured, in the image's units: what lies below is padding, which the network
  /// sees as this intensity and which stays as it is; -1024 for CT in HU, nil where there is none.
  public var paddingBelow: Double?
  /// How a segmentation network sees images, if that followed from a dataset.
  public var plan: SegmentationPlan?
  /// Rows and columns are continued to multiples of this; that of the network, for those who read the card alone.
  public var sizeMultiple: Int
  /// What the data were, first of all whether they were real.
  public var trainingData: String
  /// For whom and what.
  public var intendedUse: String
  /// What it cannot do.
  public var limitations: String
  /// Measured figures, by name.
  public var metrics: [String: Double]
  /// SHA-256 of `weights.safetensors`.
  public var weightsSHA256: String
  /// Papers.
  public var references: [String]
  /// Of the weights.
  public var license: String
  /// The file that the weights were converted from; nil if they were trained here.
  public var convertedFrom: String?

  enum CodingKeys: String, CodingKey {
    case schema, name, version, task, inputs, outputs, normalization, plane, plan, limitations
    case metrics
    case references, license
    case sizeMultiple = "size_multiple"
    case trainingData = "training_data"
    case intendedUse = "intended_use"
    case weightsSHA256 = "weights_sha256"
    case convertedFrom = "converted_from"
    case averagesPlanes = "averages_planes"
    case averagesSymmetries = "averages_symmetries"
    case kSpaceFactor = "k_space_factor"
    case paddingBelow = "padding_below"
  }

  /// A card.
  ///
  /// - Parameters:
  ///   - name: The bundle's name.
  ///   - version: As in `1.0.0`.
  ///   - network: How it is built.
  ///   - interface: What it takes and gives.
  ///   - sizeMultiple: Rows and columns are continued to multiples of this.
  ///   - trainingData: What the data were.
  ///   - intendedUse: For whom and what.
  ///   - limitations: What it cannot do.
  ///   - metrics: Measured figures.
  ///   - weightsSHA256: Of `weights.safetensors`.
  ///   - references: Papers.
  ///   - license: Of the weights.
  public init(
    name: String, version: String, network: ModelDescription, interface: Interface,
    sizeMultiple: Int, trainingData: String, intendedUse: String, limitations: String,
    metrics: [String: Double], weightsSHA256: String, references: [String], license: String
  ) {
    self.name = name
    self.version = version
    task = interface.task
    self.network = network
    inputs = ["image": interface.input]
    outputs = ["pred": interface.output]
    normalization = interface.normalization
    self.sizeMultiple = sizeMultiple
    self.trainingData = trainingData
    self.intendedUse = intendedUse
    self.limitations = limitations
    self.metrics = metrics
    self.weightsSHA256 = weightsSHA256
    self.references = references
    self.license = license
  }

  /// Reads a card; the network's keys stand beside the others.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    schema = try values.decode(String.self, forKey: .schema)
    name = try values.decode(String.self, forKey: .name)
    version = try values.decode(String.self, forKey: .version)
    task = try values.decode(Task.self, forKey: .task)
    network = try ModelDescription(from: decoder)
    inputs = try values.decode([String: DataFormat].self, forKey: .inputs)
    outputs = try values.decode([String: DataFormat].self, forKey: .outputs)
    normalization = try values.decode(IntensityNormalization.self, forKey: .normalization)
    plane = try values.decodeIfPresent(AnatomicalPlane.self, forKey: .plane)
    averagesPlanes = try values.decodeIfPresent(Bool.self, forKey: .averagesPlanes)
    averagesSymmetries = try values.decodeIfPresent(Bool.self, forKey: .averagesSymmetries)
    kSpaceFactor = try values.decodeIfPresent(Double.self, forKey: .kSpaceFactor)
    if let kSpaceFactor, !(1...64).contains(kSpaceFactor) {
      throw DecodingError.dataCorruptedError(
        forKey: .kSpaceFactor, in: values, debugDescription: "\(kSpaceFactor) is not in 1...64")
    }
    paddingBelow = try values.decodeIfPresent(Double.self, forKey: .paddingBelow)
    // Intensities are single precision: below infinity lies everything.
    if let paddingBelow, !Float(paddingBelow).isFinite {
      throw DecodingError.dataCorruptedError(
        forKey: .paddingBelow, in: values, debugDescription: "\(paddingBelow) is no intensity")
    }
    plan = try values.decodeIfPresent(SegmentationPlan.self, forKey: .plan)
    sizeMultiple = try values.decode(Int.self, forKey: .sizeMultiple)
    trainingData = try values.decode(String.self, forKey: .trainingData)
    intendedUse = try values.decode(String.self, forKey: .intendedUse)
    limitations = try values.decode(String.self, forKey: .limitations)
    metrics = try values.decode([String: Double].self, forKey: .metrics)
    weightsSHA256 = try values.decode(String.self, forKey: .weightsSHA256)
    references = try values.decode([String].self, forKey: .references)
    license = try values.decode(String.self, forKey: .license)
    convertedFrom = try values.decodeIfPresent(String.self, forKey: .convertedFrom)
  }

  /// Writes a card; the network's keys stand beside the others.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(schema, forKey: .schema)
    try values.encode(name, forKey: .name)
    try values.encode(version, forKey: .version)
    try values.encode(task, forKey: .task)
    try network.encode(to: encoder)
    try values.encode(inputs, forKey: .inputs)
    try values.encode(outputs, forKey: .outputs)
    try values.encode(normalization, forKey: .normalization)
    try values.encodeIfPresent(plane, forKey: .plane)
    try values.encodeIfPresent(averagesPlanes, forKey: .averagesPlanes)
    try values.encodeIfPresent(averagesSymmetries, forKey: .averagesSymmetries)
    try values.encodeIfPresent(kSpaceFactor, forKey: .kSpaceFactor)
    try values.encodeIfPresent(paddingBelow, forKey: .paddingBelow)
    try values.encodeIfPresent(plan, forKey: .plan)
    try values.encode(sizeMultiple, forKey: .sizeMultiple)
    try values.encode(trainingData, forKey: .trainingData)
    try values.encode(intendedUse, forKey: .intendedUse)
    try values.encode(limitations, forKey: .limitations)
    try values.encode(metrics, forKey: .metrics)
    try values.encode(weightsSHA256, forKey: .weightsSHA256)
    try values.encode(references, forKey: .references)
    try values.encode(license, forKey: .license)
    try values.encodeIfPresent(convertedFrom, forKey: .convertedFrom)
  }

  /// The card as JSON, keys sorted, with a trailing newline.
  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self) + Data("\n".utf8)
  }
}
