import Foundation

/// A hyperparameter's value as a configuration file has it, of any kind.
public enum HyperparameterValue: Codable, Sendable, Equatable {
  /// Nothing.
  case null
  /// `true` or `false`.
  case flag(Bool)
  /// A whole number.
  case integer(Int)
  /// Any other number.
  case number(Double)
  /// A word.
  case text(String)
  /// A list.
  case list([HyperparameterValue])
  /// Keys with values.
  case keys([String: HyperparameterValue])

  /// Reads whatever is there.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .flag(value)
    } else if let value = try? container.decode(Int.self) {
      self = .integer(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode(String.self) {
      self = .text(value)
    } else if let value = try? container.decode([HyperparameterValue].self) {
      self = .list(value)
    } else {
      self = .keys(try container.decode([String: HyperparameterValue].self))
    }
  }

  /// Writes the value as it was read.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .flag(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .text(let value): try container.encode(value)
    case .list(let value): try container.encode(value)
    case .keys(let value): try container.encode(value)
    }
  }
}

extension ModelDescription {
  /// The same network with other values of some hyperparameters.
  ///
  /// - Parameter changes: By the keys of the bundle's `hyperparameters`.
  /// - Returns: A description that was checked.
  /// - Throws: ``ModelError`` for a key that the network does not have, or a value that does not fit.
  public func with(
    _ changes: [String: HyperparameterValue]
  ) throws(ModelError) -> ModelDescription {
    guard !changes.isEmpty else { return self }
    let name = architecture.architecture
    do {
      let plain = try JSONDecoder().decode(
        [String: HyperparameterValue].self, from: JSONEncoder().encode(self))
      var description = plain
      if case .keys(let old)? = plain["hyperparameters"] {
        description["hyperparameters"] = .keys(old.merging(changes) { _, new in new })
      }
      return try JSONDecoder().decode(Self.self, from: JSONEncoder().encode(description))
    } catch let error as ModelError {
      throw error
    } catch {
      let keys = changes.keys.sorted().joined(separator: ", ")
      throw .invalidValue(
        key: "hyperparameters", value: keys, architecture: name,
        rule: "a value has the wrong type")
    }
  }
}
