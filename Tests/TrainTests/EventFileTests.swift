import Foundation
import Testing
import Train

@Suite("TensorBoard event files")
struct EventFileTests {
  /// CRC-32C bit by bit, straight from the definition.
  private func masked(_ bytes: [UInt8]) -> UInt32 {
    var value = ~UInt32(0)
    for byte in bytes {
      value ^= UInt32(byte)
      for _ in 0..<8 { value = value & 1 == 1 ? 0x82F6_3B78 ^ (value >> 1) : value >> 1 }
    }
    value = ~value
    return ((value >> 15) | (value << 17)) &+ 0xA282_EAD8
  }

  private func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// The payloads of a file whose frames and checksums are right.
  private func records(_ bytes: [UInt8]) throws -> [[UInt8]] {
    var records: [[UInt8]] = []
    var position = 0
    while position < bytes.count {
      try #require(position + 12 <= bytes.count)
      let length = Int(number(bytes[position..<position + 8]))
      #expect(
        number(bytes[position + 8..<position + 12])
          == UInt64(masked(Array(bytes[position..<position + 8]))))
      let payload = Array(bytes[position + 12..<position + 12 + length])
      #expect(
        number(bytes[position + 12 + length..<position + 16 + length]) == UInt64(masked(payload)))
      records.append(payload)
      position += 16 + length
    }
    return records
  }

  @Test("the checksum is the published one")
  func checksum() {
    // RFC 3720, B.4: CRC-32C of 32 zero bytes is 8a9136aa.
    let zeros: UInt32 = 0x8A91_36AA
    #expect(
      masked([UInt8](repeating: 0, count: 32)) == ((zeros >> 15) | (zeros << 17)) &+ 0xA282_EAD8)
  }

  @Test("frames are sound and messages hold version, step, tag and value")
  func messages() throws {
    let folder = NSTemporaryDirectory() + "restore-events-\(UInt64.random(in: 0..<1 << 60))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let date = Date(timeIntervalSince1970: 1_700_000_000)
    let file = try EventFile(inFolder: folder, at: date)
    try file.add(["a/loss": 0.5], step: 300, at: date)
    try file.add(png: Data([1, 2, 3]), size: (7, 9), tag: "p", step: 1, at: date)
    let second = try EventFile(inFolder: folder, at: date)
    #expect(second.path != file.path)
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: file.path)))
    let found = try records(bytes)
    let time = withUnsafeBytes(of: (1_700_000_000.0).bitPattern.littleEndian) { [UInt8]($0) }
    #expect(found.count == 3)
    #expect(found[0] == [9] + time + [0x1A, 13] + Array("brain.Event:2".utf8))
    let half = withUnsafeBytes(of: Float(0.5).bitPattern.littleEndian) { [UInt8]($0) }
    let value: [UInt8] = [0x0A, 6] + Array("a/loss".utf8) + [0x15] + half
    let summary: [UInt8] = [0x0A, UInt8(value.count)] + value
    // 300 is the variable-length number AC 02.
    #expect(
      found[1] == [9] + time + [0x10, 0xAC, 2, 0x2A, UInt8(summary.count)] + summary)
    let image: [UInt8] = [8, 7, 16, 9, 24, 1, 0x22, 3, 1, 2, 3]
    let entry: [UInt8] = [0x0A, 1] + Array("p".utf8) + [0x22, UInt8(image.count)] + image
    let pictured: [UInt8] = [0x0A, UInt8(entry.count)] + entry
    #expect(found[2] == [9] + time + [0x10, 1, 0x2A, UInt8(pictured.count)] + pictured)
  }
}
