import TensorCore

/// The element types of a weights file.
public enum WeightsType: String, CaseIterable, Sendable {
  /// Single precision.
  case float32 = "F32"
  /// Half precision (IEEE 754 binary16).
  case float16 = "F16"
  /// The upper half of single precision.
  case bfloat16 = "BF16"
  /// Signed integers of 64 bits.
  case int64 = "I64"
  /// Signed integers of 32 bits.
  case int32 = "I32"
  /// Unsigned integers of 8 bits.
  case uint8 = "U8"
  /// Truth values, one byte each.
  case bool = "BOOL"

  /// Bytes of one element.
  public var byteCount: Int {
    switch self {
    case .float32, .int32: 4
    case .float16, .bfloat16: 2
    case .int64: 8
    case .uint8, .bool: 1
    }
  }

  /// Whether the elements are integers or truth values, which must be compared exactly.
  public var isInteger: Bool {
    switch self {
    case .float32, .float16, .bfloat16: false
    case .int64, .int32, .uint8, .bool: true
    }
  }
}

/// A broken rule and where it is broken.
struct WeightsFlaw: Error {
  let rule: WeightsRule
  let detail: String

  init(_ rule: WeightsRule, _ detail: String) {
    self.rule = rule
    self.detail = detail
  }
}

/// The checked table of contents of a weights file.
struct SafetensorsHeader {
  struct Entry {
    let name: String
    let type: WeightsType
    let shape: Shape
    /// Counted from the end of the header.
    let bytes: Range<Int>
  }

  static let longestHeader = 100_000_000
  static let mostTensors = 1_000_000

  private(set) var metadata: [String: String] = [:]
  private(set) var entries: [Entry] = []

  /// Reads and checks a header.
  ///
  /// - Parameters:
  ///   - bytes: The header's bytes, without the eight of its length.
  ///   - dataCount: The number of bytes that follow the header.
  /// - Throws: The first broken rule.
  init(_ bytes: [UInt8], dataCount: Int) throws(WeightsFlaw) {
    guard String(validating: bytes, as: UTF8.self) != nil else {
      throw WeightsFlaw(.encoding, "\(bytes.count) bytes that are not valid UTF-8")
    }
    guard bytes.first == UInt8(ascii: "{") else {
      throw WeightsFlaw(
        .openingBrace, "the first byte is \(bytes.first.map(String.init) ?? "none")")
    }
    var scanner = JSONScanner(bytes)
    try Self.json(.syntax) { () throws(JSONProblem) in try scanner.beginObject() }
    while let name = try Self.json(.syntax, { () throws(JSONProblem) in try scanner.nextKey() }) {
      if name == "__metadata__" {
        metadata = try Self.json(.metadata) { () throws(JSONProblem) in
          try Self.metadata(&scanner)
        }
      } else {
        guard entries.count < Self.mostTensors else {
          throw WeightsFlaw(.tensorCount, "the header goes on after \(Self.mostTensors)")
        }
        entries.append(try Self.entry(name, &scanner, dataCount: dataCount))
      }
    }
    try Self.json(.syntax) { () throws(JSONProblem) in try scanner.end() }
    try checkCoverage(of: dataCount)
  }

  /// Makes a broken rule out of a JSON problem; one of kind breaks the rule `kind`.
  private static func json<Result>(
    _ kind: WeightsRule, _ body: () throws(JSONProblem) -> Result
  ) throws(WeightsFlaw) -> Result {
    do {
      return try body()
    } catch {
      switch error {
      case .malformed: throw WeightsFlaw(.syntax, "\(error)")
      case .duplicateKey: throw WeightsFlaw(.duplicateKey, "\(error)")
      case .wrongKind: throw WeightsFlaw(kind, "\(error)")
      case .outOfRange: throw WeightsFlaw(.sizeOverflow, "\(error)")
      }
    }
  }

  private static func metadata(
    _ scanner: inout JSONScanner
  ) throws(JSONProblem) -> [String: String] {
    var metadata: [String: String] = [:]
    try scanner.beginObject()
    while let key = try scanner.nextKey() { metadata[key] = try scanner.string() }
    return metadata
  }

  private static func entry(
    _ name: String, _ scanner: inout JSONScanner, dataCount: Int
  ) throws(WeightsFlaw) -> Entry {
    var typeName: String?
    var sizes: [Int]?
    var ends: [Int]?
    try json(.tensorEntry) { () throws(JSONProblem) in
      try scanner.beginObject()
      while let key = try scanner.nextKey() {
        switch key {
        case "dtype": typeName = try scanner.string()
        case "shape": sizes = try integers(&scanner)
        case "data_offsets": ends = try integers(&scanner)
        default:
          throw .wrongKind(
            expected: "dtype, shape or data_offsets instead of \(JSONValue.quoted(key))",
            offset: scanner.offset)
        }
      }
    }
    guard let typeName, let sizes, let ends, ends.count == 2 else {
      throw WeightsFlaw(
        .tensorEntry, "\(name) needs dtype, shape and two data_offsets, and nothing else")
    }
    guard let type = WeightsType(rawValue: typeName) else {
      let known = WeightsType.allCases.map(\.rawValue).joined(separator: ", ")
      throw WeightsFlaw(.dataType, "\(name) has \(typeName); known are \(known)")
    }
    guard sizes.allSatisfy({ $0 >= 0 }) else {
      throw WeightsFlaw(.negativeSize, "\(name) has shape \(sizes)")
    }
    guard let byteCount = product(of: sizes, times: type.byteCount) else {
      throw WeightsFlaw(.sizeOverflow, "\(name) has shape \(sizes)")
    }
    guard ends[0] >= 0, ends[0] <= ends[1], ends[1] <= dataCount else {
      throw WeightsFlaw(
        .interval, "\(name) lies at \(ends[0])..<\(ends[1]) of \(dataCount) bytes")
    }
    guard ends[1] - ends[0] == byteCount else {
      throw WeightsFlaw(
        .byteCount,
        "\(name) has \(ends[1] - ends[0]) bytes, \(typeName) of shape \(sizes) takes \(byteCount)")
    }
    return Entry(name: name, type: type, shape: Shape(sizes), bytes: ends[0]..<ends[1])
  }

  private static func integers(_ scanner: inout JSONScanner) throws(JSONProblem) -> [Int] {
    var integers: [Int] = []
    try scanner.beginArray()
    while try scanner.nextElement() { integers.append(try scanner.integer()) }
    return integers
  }

  /// The product, or nil if it overflows on the way; a zero does not excuse what overflows without it,
  /// because ``Shape`` multiplies in the same order.
  private static func product(of sizes: [Int], times unit: Int) -> Int? {
    var product = 1
    for size in sizes + [unit] {
      let (next, overflow) = product.multipliedReportingOverflow(by: size)
      if overflow { return nil }
      product = next
    }
    return product
  }

  /// Every byte belongs to exactly one tensor.
  private func checkCoverage(of dataCount: Int) throws(WeightsFlaw) {
    var covered = 0
    let sorted = entries.sorted { a, b in
      (a.bytes.lowerBound, a.bytes.upperBound) < (b.bytes.lowerBound, b.bytes.upperBound)
    }
    for entry in sorted {
      guard entry.bytes.lowerBound >= covered else {
        throw WeightsFlaw(
          .overlap, "\(entry.name) begins at \(entry.bytes.lowerBound), before byte \(covered)")
      }
      guard entry.bytes.lowerBound == covered else {
        throw WeightsFlaw(
          .hole, "\(covered)..<\(entry.bytes.lowerBound), before \(entry.name)")
      }
      covered = entry.bytes.upperBound
    }
    guard covered == dataCount else {
      throw WeightsFlaw(.hole, "\(covered)..<\(dataCount), after the last tensor")
    }
  }
}
