/// What is wrong with a JSON text.
package enum JSONProblem: Error, Equatable, Sendable {
  /// The text is not JSON; `offset` counts bytes.
  case malformed(String, offset: Int)
  /// The text may be JSON, but another kind of value was asked for.
  case wrongKind(expected: String, offset: Int)
  /// An integer does not fit into 64 bits.
  case outOfRange(offset: Int)
  /// An object has the same key twice.
  case duplicateKey(String)
}

extension JSONProblem: CustomStringConvertible {
  package var description: String {
    switch self {
    case .malformed(let what, let offset): "\(what) at byte \(offset)"
    case .wrongKind(let expected, let offset): "\(expected) expected at byte \(offset)"
    case .outOfRange(let offset): "integer beyond 64 bits at byte \(offset)"
    case .duplicateKey(let key): "key \(JSONValue.quoted(key)) occurs twice"
    }
  }
}

/// Reads a JSON text token by token, strictly.
///
/// Foundation's reader keeps the last of two equal keys and says nothing, and it builds a tree many
/// times larger than the text. Here a reader asks for what it expects, and pays for nothing else.
package struct JSONScanner {
  private struct Container {
    var isEmpty = true
    var keys: Set<String> = []
  }

  private let bytes: [UInt8]
  private var containers: [Container] = []

  /// The next byte to read.
  package private(set) var offset = 0

  /// A scanner at the start of a text in UTF-8.
  package init(_ bytes: [UInt8]) { self.bytes = bytes }

  // MARK: - Containers

  /// Reads `{`.
  package mutating func beginObject() throws(JSONProblem) {
    try begin(UInt8(ascii: "{"), "an object")
  }

  /// Reads `[`.
  package mutating func beginArray() throws(JSONProblem) {
    try begin(UInt8(ascii: "["), "an array")
  }

  /// Reads up to the value of an object's next key, or past the object's end and returns nil.
  ///
  /// Two keys are the same if Swift says that the strings are equal, which also joins different
  /// spellings of one accented letter: a dictionary could not hold both.
  package mutating func nextKey() throws(JSONProblem) -> String? {
    guard try advance(closing: UInt8(ascii: "}")) else { return nil }
    let key = try string()
    guard containers[containers.count - 1].keys.insert(key).inserted else {
      throw .duplicateKey(key)
    }
    skipSpace()
    guard peek == UInt8(ascii: ":") else { throw .malformed("no colon", offset: offset) }
    offset += 1
    return key
  }

  /// Reads up to an array's next element, or past the array's end and returns false.
  package mutating func nextElement() throws(JSONProblem) -> Bool {
    try advance(closing: UInt8(ascii: "]"))
  }

  /// Makes sure that only white space is left.
  package mutating func end() throws(JSONProblem) {
    skipSpace()
    guard offset == bytes.count else { throw .malformed("text after the value", offset: offset) }
  }

  private mutating func begin(_ bracket: UInt8, _ name: String) throws(JSONProblem) {
    try expect(bracket, name)
    containers.append(Container())
  }

  private mutating func advance(closing bracket: UInt8) throws(JSONProblem) -> Bool {
    let last = containers.count - 1
    precondition(last >= 0, "JSON scanner: no container is open")
    skipSpace()
    if peek == bracket {
      offset += 1
      containers.removeLast()
      return false
    }
    if !containers[last].isEmpty {
      guard peek == UInt8(ascii: ",") else {
        throw .malformed("no comma or closing bracket", offset: offset)
      }
      offset += 1
    }
    containers[last].isEmpty = false
    return true
  }

  // MARK: - Values

  /// The kind of value that comes next, by its first byte; nil at the end of the text.
  package mutating func nextByte() -> UInt8? {
    skipSpace()
    return peek
  }

  /// Reads a string.
  package mutating func string() throws(JSONProblem) -> String {
    try expect(UInt8(ascii: "\""), "a string")
    var text: [UInt8] = []
    while let byte = peek {
      switch byte {
      case UInt8(ascii: "\""):
        offset += 1
        guard let string = String(validating: text, as: UTF8.self) else {
          throw .malformed("text that is not UTF-8", offset: offset)
        }
        return string
      case UInt8(ascii: "\\"):
        text.append(contentsOf: Array(String(try escaped()).utf8))
      case 0..<0x20:
        throw .malformed("control character in a string", offset: offset)
      default:
        text.append(byte)
        offset += 1
      }
    }
    throw .malformed("string without an end", offset: offset)
  }

  /// Reads an integer; one with a fraction or an exponent is of the wrong kind.
  package mutating func integer() throws(JSONProblem) -> Int {
    let start = (skipSpace(), offset).1
    let text = try number()
    guard text.utf8.allSatisfy({ $0 == UInt8(ascii: "-") || isDigit($0) }) else {
      throw .wrongKind(expected: "an integer", offset: start)
    }
    guard let value = Int(text) else { throw .outOfRange(offset: start) }
    return value
  }

  /// Reads a number and returns its text.
  package mutating func number() throws(JSONProblem) -> String {
    skipSpace()
    let start = offset
    guard let first = peek, first == UInt8(ascii: "-") || isDigit(first) else {
      throw notThis("a number")
    }
    if first == UInt8(ascii: "-") { offset += 1 }
    if peek == UInt8(ascii: "0") { offset += 1 } else { try digits() }
    if peek == UInt8(ascii: ".") {
      offset += 1
      try digits()
    }
    if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
      offset += 1
      if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { offset += 1 }
      try digits()
    }
    return String(decoding: bytes[start..<offset], as: UTF8.self)
  }

  /// Reads one of the words `true`, `false` and `null`.
  package mutating func word() throws(JSONProblem) -> String {
    skipSpace()
    for word in ["true", "false", "null"] where bytes[offset...].starts(with: word.utf8) {
      offset += word.utf8.count
      return word
    }
    throw notThis("true, false or null")
  }

  // MARK: - Bytes

  private var peek: UInt8? { offset < bytes.count ? bytes[offset] : nil }

  private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")) ~= byte }

  private mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D {
      offset += 1
    }
  }

  private mutating func expect(_ byte: UInt8, _ name: String) throws(JSONProblem) {
    skipSpace()
    guard peek == byte else { throw notThis(name) }
    offset += 1
  }

  /// The problem when something else than `name` comes next.
  private func notThis(_ name: String) -> JSONProblem {
    guard let byte = peek else { return .malformed("unexpected end", offset: offset) }
    return "{[\"-0123456789tfn".utf8.contains(byte)
      ? .wrongKind(expected: name, offset: offset)
      : .malformed("no value", offset: offset)
  }

  private mutating func digits() throws(JSONProblem) {
    guard let first = peek, isDigit(first) else {
      throw .malformed("digit missing", offset: offset)
    }
    while let byte = peek, isDigit(byte) { offset += 1 }
  }

  private mutating func escaped() throws(JSONProblem) -> Unicode.Scalar {
    let simple: [UInt8: Unicode.Scalar] = [
      UInt8(ascii: "\""): "\"", UInt8(ascii: "\\"): "\\", UInt8(ascii: "/"): "/",
      UInt8(ascii: "b"): "\u{8}", UInt8(ascii: "f"): "\u{C}", UInt8(ascii: "n"): "\n",
      UInt8(ascii: "r"): "\r", UInt8(ascii: "t"): "\t",
    ]
    let start = offset
    offset += 1
    guard let kind = peek else { throw .malformed("unexpected end", offset: offset) }
    offset += 1
    if let scalar = simple[kind] { return scalar }
    guard kind == UInt8(ascii: "u") else { throw .malformed("unknown escape", offset: start) }
    let unit = try hexadecimalUnit()
    if let scalar = Unicode.Scalar(unit) { return scalar }
    // Half of a surrogate pair: the other half must follow.
    guard unit < 0xDC00, bytes[offset...].starts(with: "\\u".utf8) else {
      throw .malformed("half of a surrogate pair", offset: start)
    }
    offset += 2
    let low = try hexadecimalUnit()
    guard (0xDC00...0xDFFF) ~= low,
      let scalar = Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00))
    else { throw .malformed("half of a surrogate pair", offset: start) }
    return scalar
  }

  private mutating func hexadecimalUnit() throws(JSONProblem) -> UInt32 {
    var unit: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = peek.flatMap({ Character(Unicode.Scalar($0)).hexDigitValue }) else {
        throw .malformed("hexadecimal digit missing", offset: offset)
      }
      unit = unit << 4 | UInt32(digit)
      offset += 1
    }
    return unit
  }
}
