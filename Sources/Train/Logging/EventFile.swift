public import Foundation
import Imaging

/// A TensorBoard event file: scalars and pictures by step, readable while a run goes on.
///
/// Records are framed as TFRecord (length, masked CRC-32C of the length, bytes, masked CRC-32C of the
/// bytes) and hold the protocol-buffer message `Event` with the few fields that are needed.
///
/// Source: the message definitions `event.proto` and `summary.proto` of TensorFlow, and its
/// description of the TFRecord format.
public final class EventFile {
  /// The path.
  public let path: String

  /// Starts a file in a folder; TensorBoard reads all files of a folder in the order of their names.
  ///
  /// - Parameters:
  ///   - folder: Must exist.
  ///   - date: Its whole seconds make the name.
  /// - Throws: `ImagingError.writeFailed`.
  public init(inFolder folder: String, at date: Date = Date()) throws {
    let seconds = Int(date.timeIntervalSince1970)
    var number = 0
    func name() -> String { "\(folder)/events.out.tfevents.\(seconds).\(number).restore" }
    while FileManager.default.fileExists(atPath: name()) { number += 1 }
    path = name()
    try GrowingFile.append(Self.record(Self.version(at: date)), to: path)
  }

  /// Adds scalars of a step.
  ///
  /// - Parameters:
  ///   - values: By tag, as in `loss/train`.
  ///   - step: The step.
  ///   - date: The wall time.
  /// - Throws: `ImagingError.writeFailed`.
  public func add(_ values: [String: Double], step: Int, at date: Date = Date()) throws {
    var summary = ProtocolBuffer()
    for (tag, value) in values.sorted(by: { $0.key < $1.key }) {
      var entry = ProtocolBuffer()
      entry.add(tag, field: 1)
      entry.add(Float(value), field: 2)
      summary.add(entry.bytes, field: 1)
    }
    try GrowingFile.append(Self.record(Self.event(summary, step: step, at: date)), to: path)
  }

  /// Adds a picture of a step.
  ///
  /// - Parameters:
  ///   - png: An encoded PNG.
  ///   - size: Its height and width, pixels.
  ///   - tag: Its name.
  ///   - step: The step.
  ///   - date: The wall time.
  /// - Throws: `ImagingError.writeFailed`.
  public func add(
    png: Data, size: (height: Int, width: Int), tag: String, step: Int, at date: Date = Date()
  ) throws {
    var image = ProtocolBuffer()
    image.add(size.height, field: 1)
    image.add(size.width, field: 2)
    image.add(1, field: 3)
    image.add([UInt8](png), field: 4)
    var entry = ProtocolBuffer()
    entry.add(tag, field: 1)
    entry.add(image.bytes, field: 4)
    var summary = ProtocolBuffer()
    summary.add(entry.bytes, field: 1)
    try GrowingFile.append(Self.record(Self.event(summary, step: step, at: date)), to: path)
  }

  private static func version(at date: Date) -> [UInt8] {
    var event = ProtocolBuffer()
    event.add(date.timeIntervalSince1970, field: 1)
    event.add("brain.Event:2", field: 3)
    return event.bytes
  }

  private static func event(_ summary: ProtocolBuffer, step: Int, at date: Date) -> [UInt8] {
    var event = ProtocolBuffer()
    event.add(date.timeIntervalSince1970, field: 1)
    event.add(step, field: 2)
    event.add(summary.bytes, field: 5)
    return event.bytes
  }

  private static func record(_ bytes: [UInt8]) -> [UInt8] {
    let length = withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { [UInt8]($0) }
    func checksum(_ bytes: [UInt8]) -> [UInt8] {
      withUnsafeBytes(of: CRC32C.masked(bytes).littleEndian) { [UInt8]($0) }
    }
    return length + checksum(length) + bytes + checksum(bytes)
  }
}

/// The wire format of protocol buffers, as far as event files need it.
struct ProtocolBuffer {
  private(set) var bytes: [UInt8] = []

  private mutating func addKey(_ field: Int, wire: Int) { addVariable(UInt64(field << 3 | wire)) }

  private mutating func addVariable(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func add(_ value: Int, field: Int) {
    addKey(field, wire: 0)
    addVariable(UInt64(bitPattern: Int64(value)))
  }

  mutating func add(_ value: Double, field: Int) {
    addKey(field, wire: 1)
    withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
  }

  mutating func add(_ value: Float, field: Int) {
    addKey(field, wire: 5)
    withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
  }

  mutating func add(_ value: [UInt8], field: Int) {
    addKey(field, wire: 2)
    addVariable(UInt64(value.count))
    bytes += value
  }

  mutating func add(_ value: String, field: Int) { add(Array(value.utf8), field: field) }
}

/// The CRC-32 with Castagnoli's polynomial, reflected: 0x82F63B78.
enum CRC32C {
  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in
      value & 1 == 1 ? 0x82F6_3B78 ^ (value >> 1) : value >> 1
    }
  }

  static func checksum(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(~UInt32(0)) { table[Int(($0 ^ UInt32($1)) & 0xFF)] ^ ($0 >> 8) }
  }

  /// The checksum turned and shifted, so that a checksum of data with checksums stays sound.
  static func masked(_ bytes: [UInt8]) -> UInt32 {
    let value = checksum(bytes)
    return ((value >> 15) | (value << 17)) &+ 0xA282_EAD8
  }
}
