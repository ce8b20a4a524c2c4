/// The options of a layer in a configuration; names that the layer does not have are errors.
///
/// Names are taken in snake case and in camel case: some decoders convert them.
struct OptionReader<Key: Hashable & CaseIterable & RawRepresentable> where Key.RawValue == String {
  private let container: KeyedDecodingContainer<AnyName>
  private var names: [Key: AnyName] = [:]

  /// Looks at all names.
  ///
  /// - Parameters:
  ///   - decoder: Of an object.
  ///   - layer: What the options belong to, for messages.
  ///   - others: Names that belong to somebody else.
  /// - Throws: `DecodingError`.
  init(_ decoder: any Decoder, of layer: String, besides others: [String] = []) throws {
    container = try decoder.container(keyedBy: AnyName.self)
    for name in container.allKeys {
      if let key = Key.allCases.first(where: { name.isCalled($0.rawValue) }) {
        names[key] = name
      } else if !others.contains(where: name.isCalled) {
        let known = Key.allCases.map(\.rawValue) + others
        throw DecodingError.dataCorrupted(
          DecodingError.Context(
            codingPath: decoder.codingPath,
            debugDescription: "\(layer) has no option \"\(name.stringValue)\"; known: "
              + known.joined(separator: ", ")))
      }
    }
  }

  /// An option's value; nil if it is not there or null.
  func value<Value: Decodable>(_ key: Key, as type: Value.Type) throws -> Value? {
    try names[key].flatMap { try container.decodeIfPresent(type, forKey: $0) }
  }

  /// Reads an option that is there.
  func read<Value: Decodable>(_ key: Key, into value: inout Value) throws {
    value = try self.value(key, as: Value.self) ?? value
  }

  /// Reads an option that is there and may be null.
  func readOptional<Value: Decodable>(_ key: Key, into value: inout Value?) throws {
    if names[key] != nil { value = try self.value(key, as: Value.self) }
  }
}

/// Any name of an option.
private struct AnyName: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }

  func isCalled(_ name: String) -> Bool {
    guard stringValue != name else { return true }
    // `image_size` as `imageSize`.
    let words = name.split(separator: "_")
    let camelCase = words.dropFirst().reduce(words.first.map(String.init) ?? "") {
      $0 + $1.prefix(1).uppercased() + $1.dropFirst()
    }
    return stringValue == camelCase
  }
}
