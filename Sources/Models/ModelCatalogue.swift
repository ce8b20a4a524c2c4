import Foundation
import Layers
public import Randomness

/// All networks that this build knows.
///
/// A new one is one line in ``architectures``.
public enum ModelCatalogue {
  /// The kinds of networks.
  public static let architectures: [any RestorationModel.Type] = [
    RestoreRWKV.self, FSRWKV.self, GDKVM.self, StrokePathNetwork.self, StrokeSystem.self,
    DnCNN.self, NAFNet.self, UNet.self, TVConvNet.self,
  ]

  /// The kind of network with this name.
  ///
  /// - Throws: ``ModelError/unknownArchitecture(_:known:nearest:)``.
  public static func architecture(
    named name: String
  ) throws(ModelError) -> any RestorationModel.Type {
    if let match = architectures.first(where: { $0.architecture == name }) { return match }
    let known = architectures.map { $0.architecture }
    throw .unknownArchitecture(name, known: known, nearest: nearestName(to: name, among: known))
  }
}

/// A network's kind and hyperparameters, in the form in which bundles and configurations hold them:
/// `{"arch": "restore-rwkv", "hyperparameters": {…}}`.
///
/// `hyperparameters` may also be the name of a preset, as in `"hyperparameters": "light"`.
public struct ModelDescription: Codable, Sendable {
  private enum CodingKeys: String, CodingKey {
    case arch, hyperparameters
  }

  /// The kind of network.
  public let architecture: any RestorationModel.Type

  /// Its hyperparameters, of the type that belongs to the kind; valid.
  public let configuration: any ModelConfiguration

  /// The description of a network that has been built.
  public init<Model: RestorationModel>(_ model: Model) {
    architecture = Model.self
    configuration = model.configuration
  }

  init(architecture: any RestorationModel.Type, configuration: any ModelConfiguration) {
    self.architecture = architecture
    self.configuration = configuration
  }

  /// The description of a preset.
  ///
  /// - Parameters:
  ///   - name: The kind of network, as in `restore-rwkv`.
  ///   - preset: One of its named configurations, as in `light`.
  /// - Throws: ``ModelError`` if one of the names is unknown.
  public init(architecture name: String, preset: String) throws(ModelError) {
    architecture = try ModelCatalogue.architecture(named: name)
    configuration = try architecture.configuration(preset: preset)
  }

  /// Reads a description.
  ///
  /// - Throws: ``ModelError`` if a name or value is not right; a decoding error if a kind is not.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    architecture = try ModelCatalogue.architecture(
      named: try container.decode(String.self, forKey: .arch))
    if let preset = try? container.decode(String.self, forKey: .hyperparameters) {
      configuration = try architecture.configuration(preset: preset)
    } else {
      configuration = try architecture.configuration(
        from: try container.superDecoder(forKey: .hyperparameters))
    }
  }

  /// Writes the name and all hyperparameters.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(architecture.architecture, forKey: .arch)
    try configuration.encode(to: container.superEncoder(forKey: .hyperparameters))
  }

  /// How many numbers the network's parameters and buffers have, found without making them.
  ///
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  package func parameterCount() throws(ModelError) -> Int {
    try Parameter.count { () throws(ModelError) in
      var generator = SeededGenerator(seed: 0)
      _ = try architecture.make(configuration, using: &generator)
    }
  }

  /// Builds the network with initial weights.
  ///
  /// - Parameter generator: Draws the weights.
  /// - Returns: A network that requires gradients.
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``, or
  ///   ``ModelError/tooLarge(architecture:parameters:bytes:limit:)`` before any memory is taken.
  public func makeModel(using generator: inout SeededGenerator) throws(ModelError)
    -> any RestorationModel
  {
    let count = try parameterCount()
    let (bytes, limit) = (4 * UInt64(count), ProcessInfo.processInfo.physicalMemory)
    guard bytes <= limit else {
      throw .tooLarge(
        architecture: architecture.architecture, parameters: count, bytes: bytes, limit: limit)
    }
    return try architecture.make(configuration, using: &generator)
  }
}

extension RestorationModel {
  fileprivate static func configuration(
    preset name: String
  ) throws(ModelError) -> any ModelConfiguration {
    let presets = Configuration.presets
    guard let match = presets.first(where: { $0.name == name }) else {
      throw .unknownPreset(name, architecture: architecture, known: presets.map(\.name))
    }
    return match.configuration
  }

  fileprivate static func configuration(from decoder: any Decoder) throws -> any ModelConfiguration
  {
    let configuration = try Configuration(from: decoder)
    try configuration.validate()
    return configuration
  }

  fileprivate static func make(
    _ configuration: any ModelConfiguration, using generator: inout SeededGenerator
  ) throws(ModelError) -> any RestorationModel {
    guard let configuration = configuration as? Configuration else {
      preconditionFailure("\(architecture): configuration is a \(type(of: configuration))")
    }
    return try Self(configuration, using: &generator)
  }
}
