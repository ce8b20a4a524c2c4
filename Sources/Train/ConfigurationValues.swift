import Foundation

/// Finds the value of a configuration that cannot be, where a decoder does not say which it is.
enum ConfigurationValues {
  /// Throws for a value that JSON cannot hold, which YAML can: numbers that are none, dates, binary data.
  ///
  /// - Parameters:
  ///   - value: As a parser gives it.
  ///   - key: Where it stands.
  /// - Throws: ``TrainingError/invalidValue(key:reason:)``.
  static func requireJSON(_ value: Any, key: String = "") throws(TrainingError) {
    if let number = value as? Double {
      if !number.isFinite { throw .invalidValue(key: key, reason: "is not a finite number") }
    } else if let list = value as? [Any] {
      for (index, item) in list.enumerated() {
        try requireJSON(item, key: item is [String: Any] ? "\(key).\(index)" : key)
      }
    } else if let section = value as? [String: Any] {
      for (name, item) in section.sorted(by: { $0.key < $1.key }) {
        try requireJSON(item, key: key.isEmpty ? name : key + "." + name)
      }
    } else if value is Date {
      throw .invalidValue(key: key, reason: "is a date to YAML; quotes make it a text")
    } else if !(value is String || value is Bool || value is NSNull || value is NSNumber
      || value is any BinaryInteger)
    {
      throw .invalidValue(
        key: key, reason: "is no text, number, truth value, list or mapping of texts to such values"
      )
    }
  }

  /// The first key, in alphabetical order, whose value alone, all others at their defaults, is not read.
  ///
  /// - Parameters:
  ///   - given: What a file says.
  ///   - defaults: Tells sections, which are looked into, from values.
  ///   - isReadable: Whether a configuration with these keys alone can be decoded.
  /// - Returns: As `section.key`; nil if each value alone is readable.
  static func culprit(
    in given: [String: Any], defaults: [String: Any], isReadable: ([String: Any]) -> Bool
  ) -> String? {
    for (key, value) in given.sorted(by: { $0.key < $1.key }) where !isReadable([key: value]) {
      guard let inner = value as? [String: Any], let usual = defaults[key] as? [String: Any],
        let found = culprit(in: inner, defaults: usual, isReadable: { isReadable([key: $0]) })
      else { return key }
      return key + "." + found
    }
    return nil
  }
}
