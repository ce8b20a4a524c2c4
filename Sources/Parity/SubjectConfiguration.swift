import Layers

/// A golden file's `config`, of which every key must be asked for: one that is left over was not
/// understood, and a result without it would mean nothing.
struct SubjectConfiguration {
  private let members: [String: JSONValue]
  private var unread: Set<String>

  /// Reads a JSON object.
  init(parsing text: String) throws(ParityError) {
    do throws(JSONProblem) {
      guard let members = try JSONValue(parsing: text).object else {
        throw .wrongKind(expected: "an object", offset: 0)
      }
      self.members = members
      unread = Set(members.keys)
    } catch {
      throw .invalidMetadata(key: "config", reason: "\(error)")
    }
  }

  /// A value that must be there.
  mutating func value(_ key: String) throws(ParityError) -> JSONValue {
    guard let value = members[key] else { throw .missingKey(key) }
    unread.remove(key)
    return value
  }

  /// An integer within bounds.
  mutating func integer(
    _ key: String, in range: ClosedRange<Int> = 1...1 << 24
  ) throws(ParityError) -> Int {
    let value = try value(key)
    guard let integer = value.integer, range.contains(integer) else {
      throw .invalidValue(
        key: key, value: value.text,
        rule: "expected an integer in \(range.lowerBound)...\(range.upperBound)")
    }
    return integer
  }

  /// A list of integers.
  mutating func integers(_ key: String) throws(ParityError) -> [Int] {
    let value = try value(key)
    guard let array = value.array else {
      throw .invalidValue(key: key, value: value.text, rule: "expected a list of integers")
    }
    let integers = array.compactMap(\.integer)
    guard integers.count == array.count else {
      throw .invalidValue(key: key, value: value.text, rule: "expected a list of integers")
    }
    return integers
  }

  /// A finite number.
  mutating func number(_ key: String) throws(ParityError) -> Double {
    let value = try value(key)
    guard let number = value.double else {
      throw .invalidValue(key: key, value: value.text, rule: "expected a number")
    }
    return number
  }

  /// Makes sure that a property which is fixed in this build has the value that it has.
  mutating func require(_ key: String, _ fixed: JSONValue) throws(ParityError) {
    let value = try value(key)
    guard value == fixed else {
      throw .invalidValue(
        key: key, value: value.text, rule: "only \(fixed.text) is supported")
    }
  }

  /// An object within the configuration, whose keys must all be asked for too.
  mutating func nested(_ key: String) throws(ParityError) -> SubjectConfiguration {
    let value = try value(key)
    guard let members = value.object else {
      throw .invalidValue(key: key, value: value.text, rule: "expected an object")
    }
    return SubjectConfiguration(members)
  }

  private init(_ members: [String: JSONValue]) {
    self.members = members
    unread = Set(members.keys)
  }

  /// The rule by which parameters are generated, nil if the file stores them.
  mutating func weightFill() throws(ParityError) -> WeightFill? {
    guard members["weights"] != nil else { return nil }
    let value = try value("weights")
    guard let rule = value.object, rule.count == 2, let fill = rule["fill"]?.string,
      let salt = rule["salt"]?.string
    else {
      throw .invalidValue(
        key: "weights", value: value.text, rule: "expected \"fill\" and \"salt\"")
    }
    guard fill == WeightFill.name else {
      throw .invalidValue(
        key: "weights", value: "\"\(fill)\"", rule: "only \"\(WeightFill.name)\" is supported")
    }
    return WeightFill(salt: salt)
  }

  /// Makes sure that no key is left over.
  func finish() throws(ParityError) {
    guard unread.isEmpty else { throw .unknownKeys(unread.sorted()) }
  }
}

extension JSONValue {
  /// The value as text for a message.
  fileprivate var text: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .number(let text): text
    case .string(let text): JSONValue.quoted(text)
    case .array(let elements): "[" + elements.map(\.text).joined(separator: ", ") + "]"
    case .object: "an object"
    }
  }
}
