import Foundation
import Layers
import TensorCore
import Testing

/// A file made of a header text and data bytes, with the true or a false header length.
func weightsFile(_ header: String, data: [UInt8] = [], declaring length: UInt64? = nil) -> Data {
  let length = length ?? UInt64(header.utf8.count)
  return Data((0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) })
    + Data(header.utf8) + Data(data)
}

struct MalformedFile: Sendable, CustomTestStringConvertible {
  let name: String
  let rule: WeightsRule
  let data: Data

  var testDescription: String { name }

  init(_ name: String, _ rule: WeightsRule, _ data: Data) {
    self.name = name
    self.rule = rule
    self.data = data
  }

  init(_ name: String, _ rule: WeightsRule, _ header: String, bytes: Int = 0) {
    self.init(name, rule, weightsFile(header, data: [UInt8](repeating: 0, count: bytes)))
  }
}

private func entry(_ shape: String, _ offsets: String, type: String = "\"U8\"") -> String {
  "{\"dtype\":\(type),\"shape\":\(shape),\"data_offsets\":\(offsets)}"
}

@Suite("Safetensors")
struct SafetensorsTests {
  static let malformed: [MalformedFile] = [
    .init("empty file", .fileLength, Data()),
    .init("seven bytes", .fileLength, Data(repeating: 0, count: 7)),
    .init(
      "header of 100000001 bytes", .headerLength, weightsFile("{}", declaring: 100_000_001)),
    .init("header of 2^63 bytes", .headerLength, weightsFile("{}", declaring: 1 << 63)),
    .init("header one byte too long", .headerEnd, weightsFile("{}", declaring: 3)),
    .init(
      "half a two-byte letter", .encoding,
      Data([8, 0, 0, 0, 0, 0, 0, 0]) + Data("{\"".utf8) + Data([0xC3]) + Data("\":{}}".utf8)),
    .init("empty header", .openingBrace, ""),
    .init("leading space", .openingBrace, " {}"),
    .init("an array", .openingBrace, "[]"),
    .init("unfinished object", .syntax, "{"),
    .init("text after the object", .syntax, "{}{}"),
    .init("missing comma", .syntax, "{\"a\":\(entry("[0]", "[0,0]")) \"b\":1}"),
    .init("trailing comma", .syntax, "{\"a\":\(entry("[0]", "[0,0]")),}"),
    .init("leading zero", .syntax, "{\"a\":\(entry("[00]", "[0,0]"))}"),
    .init("raw line break in a name", .syntax, "{\"a\nb\":\(entry("[0]", "[0,0]"))}"),
    .init("half a surrogate pair", .syntax, "{\"\\ud800\":\(entry("[0]", "[0,0]"))}"),
    .init(
      "tensor twice", .duplicateKey,
      "{\"a\":\(entry("[1]", "[0,1]")),\"a\":\(entry("[1]", "[1,2]"))}", bytes: 2),
    .init(
      "the same name by an escape", .duplicateKey,
      "{\"a\":\(entry("[1]", "[0,1]")),\"\\u0061\":\(entry("[1]", "[1,2]"))}", bytes: 2),
    .init(
      "key twice in an entry", .duplicateKey,
      "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", bytes: 1),
    .init(
      "metadata twice", .duplicateKey, "{\"__metadata__\":{},\"__metadata__\":{}}"),
    .init("metadata key twice", .duplicateKey, "{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}"),
    .init("number in the metadata", .metadata, "{\"__metadata__\":{\"a\":1}}"),
    .init("metadata is a list", .metadata, "{\"__metadata__\":[]}"),
    .init("entry is a number", .tensorEntry, "{\"a\":1}"),
    .init("entry is empty", .tensorEntry, "{\"a\":{}}"),
    .init("type is a number", .tensorEntry, "{\"a\":\(entry("[1]", "[0,1]", type: "8"))}"),
    .init("size is a fraction", .tensorEntry, "{\"a\":\(entry("[1.0]", "[0,1]"))}", bytes: 1),
    .init("three offsets", .tensorEntry, "{\"a\":\(entry("[1]", "[0,1,1]"))}", bytes: 1),
    .init(
      "unknown key in an entry", .tensorEntry,
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1],\"strides\":[]}}", bytes: 1),
    .init("double precision", .dataType, "{\"a\":\(entry("[1]", "[0,8]", type: "\"F64\""))}"),
    .init("negative size", .negativeSize, "{\"a\":\(entry("[-1]", "[0,1]"))}", bytes: 1),
    .init(
      "elements beyond 64 bits", .sizeOverflow,
      "{\"a\":\(entry("[4294967296,4294967296]", "[0,1]"))}", bytes: 1),
    .init(
      "bytes beyond 64 bits", .sizeOverflow,
      "{\"a\":\(entry("[4611686018427387904]", "[0,1]", type: "\"F32\""))}", bytes: 1),
    .init(
      "size beyond 64 bits", .sizeOverflow,
      "{\"a\":\(entry("[99999999999999999999]", "[0,1]"))}", bytes: 1),
    .init("end before begin", .interval, "{\"a\":\(entry("[1]", "[1,0]"))}", bytes: 1),
    .init("negative begin", .interval, "{\"a\":\(entry("[1]", "[-1,0]"))}", bytes: 1),
    .init("end past the file", .interval, "{\"a\":\(entry("[2]", "[0,2]"))}", bytes: 1),
    .init("interval too long", .byteCount, "{\"a\":\(entry("[1]", "[0,2]"))}", bytes: 2),
    .init(
      "huge shape, small interval", .byteCount,
      "{\"a\":\(entry("[1000000,1000000]", "[0,2]"))}", bytes: 2),
    .init(
      "shared byte", .overlap,
      "{\"a\":\(entry("[2]", "[0,2]")),\"b\":\(entry("[2]", "[1,3]"))}", bytes: 3),
    .init(
      "byte between", .hole,
      "{\"a\":\(entry("[1]", "[0,1]")),\"b\":\(entry("[1]", "[2,3]"))}", bytes: 3),
    .init("byte before", .hole, "{\"a\":\(entry("[1]", "[1,2]"))}", bytes: 2),
    .init("byte after", .hole, "{\"a\":\(entry("[1]", "[0,1]"))}", bytes: 2),
    .init("data without tensors", .hole, "{}", bytes: 1),
    .init(
      "a million and one tensors", .tensorCount,
      "{" + (0...1_000_000).map { "\"\($0)\":\(entry("[0]", "[0,0]"))" }.joined(separator: ",")
        + "}"),
  ]

  @Test("a file that breaks a rule is refused by the rule's name", arguments: malformed)
  func refusal(file: MalformedFile) throws {
    let error = #expect(throws: LayerError.self) { try Safetensors(file.data, path: "w") }
    guard case .invalidWeights(let path, let rule, let detail)? = error else {
      Issue.record("unexpected error \(String(describing: error))")
      return
    }
    #expect(rule == file.rule)
    #expect(path == "w")
    #expect(!detail.isEmpty)
  }

  @Test("every rule has a file that breaks it", arguments: WeightsRule.allCases)
  func coverage(rule: WeightsRule) {
    #expect(Self.malformed.contains { $0.rule == rule })
  }

  @Test("a refusal says what, where and why")
  func text() {
    let data = weightsFile("{\"a\":\(entry("[3]", "[0,2]"))}", data: [0, 0])
    let error = #expect(throws: LayerError.self) { try Safetensors(data, path: "m.safetensors") }
    #expect(
      error?.description
        == "weights file invalid: data interval does not match shape and type (m.safetensors): "
        + "a has 2 bytes, U8 of shape [3] takes 3")
  }

  @Test("a missing file and a folder are unreadable")
  func unreadable() {
    #expect(throws: LayerError.unreadableWeights(path: "/no/such", reason: "no such file")) {
      try Safetensors(contentsOf: "/no/such")
    }
    let folder = FileManager.default.temporaryDirectory.path
    #expect(
      throws: LayerError.unreadableWeights(path: folder, reason: "not a readable file")
    ) { try Safetensors(contentsOf: folder) }
  }

  @Test("each type is widened exactly")
  func types() throws {
    let header =
      "{\"f\":\(entry("[2]", "[0,8]", type: "\"F32\"")),"
      + "\"h\":\(entry("[6]", "[8,20]", type: "\"F16\"")),"
      + "\"b\":\(entry("[2]", "[20,24]", type: "\"BF16\"")),"
      + "\"l\":\(entry("[]", "[24,32]", type: "\"I64\"")),"
      + "\"i\":\(entry("[1]", "[32,36]", type: "\"I32\"")),"
      + "\"u\":\(entry("[1,2]", "[36,38]")),"
      + "\"t\":\(entry("[2]", "[38,40]", type: "\"BOOL\"")),"
      + "\"e\":\(entry("[0,3]", "[40,40]"))} "
    var bytes: [UInt8] = []
    func append(_ value: some FixedWidthInteger) {
      withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
    for value: Float in [1.5, -0.0] { append(value.bitPattern) }
    // 1, −2, the largest, the smallest normal, the smallest subnormal, −infinity
    for half: UInt16 in [0x3C00, 0xC000, 0x7BFF, 0x0400, 0x0001, 0xFC00] { append(half) }
    for upper: UInt16 in [0x3FC0, 0xC000] { append(upper) }
    append(Int64(-3) << 40)
    append(Int32(-7))
    bytes += [0, 255, 0, 1]
    let file = try Safetensors(weightsFile(header, data: bytes), path: "w")
    func values(_ name: String) throws -> [Float] { try #require(file.tensor(named: name)).values }
    #expect(try values("f").map(\.bitPattern) == [Float(1.5), -0.0].map(\.bitPattern))
    #expect(try values("h") == [1, -2, 65504, 0x1p-14, 0x1p-24, -.infinity])
    #expect(try values("b") == [1.5, -2])
    #expect(file.integers(named: "l") == [Int64(-3) << 40])
    #expect(try values("i") == [-7])
    #expect(file.integers(named: "i") == [-7])
    #expect(try values("u") == [0, 255])
    #expect(file.integers(named: "u") == [0, 255])
    #expect(file.integers(named: "t") == [0, 1])
    #expect(file.integers(named: "f") == nil)
    #expect(file.tensor(named: "e")?.shape == [0, 3])
    #expect(file.tensor(named: "l")?.shape == .scalar)
    #expect(file.tensor(named: "x") == nil)
    #expect(file.entries.map(\.name) == ["f", "h", "b", "l", "i", "u", "t", "e"])
    #expect(file.entry(named: "b")?.type == .bfloat16)
  }

  @Test("tensors may lie in another order than the header's")
  func order() throws {
    let header = "{\"a\":\(entry("[1]", "[1,2]")),\"b\":\(entry("[1]", "[0,1]"))}"
    let file = try Safetensors(weightsFile(header, data: [7, 9]), path: "w")
    #expect(file.integers(named: "a") == [9])
    #expect(file.integers(named: "b") == [7])
  }

  @Test("what is written reads back the same, and the same bytes come out again")
  func roundTrip() throws {
    var writer = SafetensorsWriter(metadata: ["z": "ü \"\\\n\u{1}", "a": "1"])
    writer.add(Tensor([2, 3], (0..<6).map(Float.init)), named: "weight \"é\"")
    writer.add([-1, 1 << 60], shape: [2], named: "steps")
    writer.add(Tensor(.nan), named: "scalar")
    let data = writer.encoded()
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("safetensors-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: path) }
    try data.write(to: path)
    let file = try Safetensors(contentsOf: path.path)
    #expect(file.metadata == ["z": "ü \"\\\n\u{1}", "a": "1"])
    #expect(file.entries.map(\.name) == ["weight \"é\"", "steps", "scalar"])
    #expect(file.tensor(named: "weight \"é\"")?.shape == [2, 3])
    #expect(file.tensor(named: "weight \"é\"")?.values == [0, 1, 2, 3, 4, 5])
    #expect(file.integers(named: "steps") == [-1, 1 << 60])
    #expect(file.tensor(named: "scalar")?.scalar.isNaN == true)
    #expect(writer.encoded() == data)
    // Data begin at a multiple of 8.
    #expect(data[0] % 8 == 0)
  }

  @Test("what half precision cannot hold is deployed in single")
  func halves() throws {
    var writer = SafetensorsWriter()
    writer.add(deployed: Tensor([2], [1.0009765625, -65504]), named: "fits")
    writer.add(deployed: Tensor([2], [1, 70000]), named: "overflows")
    let file = try Safetensors(writer.encoded(), path: "memory")
    #expect(file.tensor(named: "fits")?.values == [1.0009765625, -65504])
    #expect(file.tensor(named: "overflows")?.values == [1, 70000])
    #expect(writer.encoded().count < 300)
  }

  @Test("an empty file of tensors is a file")
  func empty() throws {
    let file = try Safetensors(SafetensorsWriter().encoded(), path: "w")
    #expect(file.entries.isEmpty)
    #expect(file.metadata.isEmpty)
  }

  @Test("the written bytes are these")
  func bytes() {
    var writer = SafetensorsWriter(metadata: ["b": "2", "a": "1"])
    writer.add(Tensor([1], [1]), named: "x")
    let header =
      "{\"__metadata__\":{\"a\":\"1\",\"b\":\"2\"},"
      + "\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"
    let padded = header + String(repeating: " ", count: -header.utf8.count & 7)
    #expect(writer.encoded() == weightsFile(padded, data: [0, 0, 0x80, 0x3F]))
  }
}
