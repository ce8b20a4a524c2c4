/// A small JSON text as a tree, for configurations; duplicate keys are an error.
package enum JSONValue: Equatable, Sendable {
  case null
  case bool(Bool)
  /// A number, as it was written.
  case number(String)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  private static let deepest = 32

  /// Reads a text that holds one value.
  ///
  /// - Parameter text: JSON; a value inside more than 32 containers is refused.
  /// - Throws: ``JSONProblem`` at the first thing that is wrong.
  package init(parsing text: String) throws(JSONProblem) {
    var scanner = JSONScanner(Array(text.utf8))
    self = try Self.value(&scanner, depth: 0)
    try scanner.end()
  }

  /// The value as an integer, nil if it is none.
  package var integer: Int? {
    guard case .number(let text) = self else { return nil }
    return Int(text)
  }

  /// The value as a finite number, nil if it is none.
  package var double: Double? {
    guard case .number(let text) = self, let value = Double(text), value.isFinite else {
      return nil
    }
    return value
  }

  /// The value as text, nil if it is none.
  package var string: String? {
    guard case .string(let text) = self else { return nil }
    return text
  }

  /// The elements of an array, nil if the value is none.
  package var array: [JSONValue]? {
    guard case .array(let elements) = self else { return nil }
    return elements
  }

  /// The members of an object, nil if the value is none.
  package var object: [String: JSONValue]? {
    guard case .object(let members) = self else { return nil }
    return members
  }

  /// A text in quotes, with escapes where JSON needs them.
  package static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\u{0}"..<"\u{20}":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  private static func value(
    _ scanner: inout JSONScanner, depth: Int
  ) throws(JSONProblem) -> JSONValue {
    guard depth <= deepest else {
      throw .malformed("more than \(deepest) levels", offset: scanner.offset)
    }
    switch scanner.nextByte() {
    case UInt8(ascii: "{"):
      var members: [String: JSONValue] = [:]
      try scanner.beginObject()
      while let key = try scanner.nextKey() {
        members[key] = try value(&scanner, depth: depth + 1)
      }
      return .object(members)
    case UInt8(ascii: "["):
      var elements: [JSONValue] = []
      try scanner.beginArray()
      while try scanner.nextElement() {
        elements.append(try value(&scanner, depth: depth + 1))
      }
      return .array(elements)
    case UInt8(ascii: "\""):
      return .string(try scanner.string())
    case UInt8(ascii: "t"), UInt8(ascii: "f"), UInt8(ascii: "n"):
      let word = try scanner.word()
      return word == "null" ? .null : .bool(word == "true")
    default:
      return .number(try scanner.number())
    }
  }
}
