/// Every hyperparameter of a network, as written into bundles and checkpoints.
///
/// Decoding is strict: an unknown key is an error. A key that is absent has the value of the paper's
/// own configuration; encoding writes all of them.
public protocol ModelConfiguration: Codable, Equatable, Sendable {
  /// Named configurations, the paper's own first.
  static var presets: [(name: String, configuration: Self)] { get }

  /// Checks that a network can have these values.
  ///
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)`` for the first that it cannot.
  func validate() throws(ModelError)
}

/// Tells which hyperparameter of a network breaks which rule.
struct HyperparameterCheck<Key: CodingKey> {
  let architecture: String

  /// Throws unless a rule holds; "it must be …" as the user reads it.
  func callAsFunction(
    _ key: Key, _ value: some Any, _ holds: Bool, _ rule: String
  ) throws(ModelError) {
    guard !holds else { return }
    throw .invalidValue(
      key: key.stringValue, value: "\(value)", architecture: architecture, rule: rule)
  }
}

extension KeyedDecodingContainer {
  /// Replaces a default by what a key says, if it is there.
  func read<Value: Decodable>(_ key: Key, into value: inout Value) throws {
    value = try decodeIfPresent(Value.self, forKey: key) ?? value
  }
}

/// A key that may have any name.
struct AnyCodingKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

extension Decoder {
  /// Refuses keys that `keys` does not list.
  func refuseUnknownKeys<Key: CodingKey & CaseIterable>(
    besides keys: Key.Type, architecture: String
  ) throws {
    let known = keys.allCases.map(\.stringValue)
    let found = try container(keyedBy: AnyCodingKey.self).allKeys.map(\.stringValue)
    for key in found.sorted() where !known.contains(key) {
      throw ModelError.unknownKey(
        key, architecture: architecture, nearest: nearestName(to: key, among: known))
    }
  }
}
