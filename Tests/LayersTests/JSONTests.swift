import Layers
import Testing

@Suite("JSON")
struct JSONTests {
  @Test("values of every kind are read")
  func values() throws {
    let text = "{\"a\": [1, -2.5e3, true, null], \"b\\u00e9\\ud83d\\ude00\": {\"c\": \"\\n/\"}}"
    #expect(
      try JSONValue(parsing: text)
        == .object([
          "a": .array([.number("1"), .number("-2.5e3"), .bool(true), .null]),
          "bé😀": .object(["c": .string("\n/")]),
        ]))
  }

  @Test(
    "text that is not JSON is refused",
    arguments: [
      "", "{", "[1", "[1 2]", "[1,]", "{\"a\"}", "{\"a\":}", "{a:1}", "01", "1.", "1e", "-", "+1",
      "tru", "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"",
      "1 2", "NaN", "'a'", "\"\u{1}\"",
    ])
  func malformed(text: String) {
    #expect(throws: JSONProblem.self) { try JSONValue(parsing: text) }
  }

  @Test("a key may not occur twice in one object, but again in another")
  func duplicates() throws {
    #expect(throws: JSONProblem.duplicateKey("a")) {
      try JSONValue(parsing: "{\"a\":{\"a\":1},\"a\":2}")
    }
    #expect(
      try JSONValue(parsing: "[{\"a\":1},{\"a\":{\"a\":2}}]")
        == .array([
          .object(["a": .number("1")]), .object(["a": .object(["a": .number("2")])]),
        ]))
  }

  @Test("containers may be 32 deep and no deeper")
  func depth() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    _ = try JSONValue(parsing: nested(33))
    #expect(throws: JSONProblem.self) { try JSONValue(parsing: nested(34)) }
    #expect(throws: JSONProblem.self) { try JSONValue(parsing: nested(100_000)) }
  }

  @Test("numbers convert where they fit")
  func numbers() throws {
    #expect(try JSONValue(parsing: "12").integer == 12)
    #expect(try JSONValue(parsing: "12.0").integer == nil)
    #expect(try JSONValue(parsing: "1e-05").double == 1e-5)
    #expect(try JSONValue(parsing: "1e999").double == nil)
    #expect(try JSONValue(parsing: "\"1\"").double == nil)
  }

  @Test("a quoted text reads back the same", arguments: ["", "a\"\\", "\u{0}\t\u{1F}", "é😀"])
  func quoting(text: String) throws {
    #expect(try JSONValue(parsing: JSONValue.quoted(text)).string == text)
  }
}
