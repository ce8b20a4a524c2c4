/// The header of a NIfTI file: its bytes as they are on disk, read and patched field by field.
///
/// Keeping the bytes is what lets a header be copied without the smallest change: whatever a field
/// that is not patched holds, defined by the standard or not, stays as it was.
public struct NIfTIHeader: Sendable, Equatable {
  /// The version of the format.
  public enum Version: Int, Sendable, Codable {
    /// NIfTI-1, a header of 348 bytes; also what ANALYZE 7.5 is read as.
    case one = 1
    /// NIfTI-2, a header of 540 bytes.
    case two = 2

    /// The size of the header in bytes.
    public var headerSize: Int { self == .one ? 348 : 540 }
  }

  /// The byte order of header and voxels.
  public enum ByteOrder: String, Sendable, Codable, CaseIterable {
    /// Least significant byte first.
    case little
    /// Most significant byte first.
    case big

    /// The order of this machine.
    static var native: ByteOrder { Int16(1).littleEndian == 1 ? .little : .big }
  }

  /// Where the voxels are, by the magic bytes.
  public enum Kind: String, Sendable, Codable {
    /// In the same file as the header (`n+1`, `n+2`).
    case single
    /// In a file of their own (`ni1`, `ni2`).
    case pair
    /// The magic is that of neither; with a header of 348 bytes this may be ANALYZE 7.5.
    case analyze
  }

  /// The header as it is on disk, 348 or 540 bytes.
  public private(set) var bytes: [UInt8]
  /// The version of the format.
  public let version: Version
  /// The byte order of header and voxels.
  public let byteOrder: ByteOrder

  /// Takes the header from the front of a file.
  ///
  /// Only what identifies the format is checked here; see ``checkedShape(file:)`` and its
  /// neighbours for the rest.
  ///
  /// - Parameters:
  ///   - bytes: At least the header's bytes, if the file has them.
  ///   - file: The name of the file in errors.
  /// - Throws: ``ImagingError/notNIfTI(file:reason:)`` or
  ///   ``ImagingError/headerTruncated(file:needed:found:)``.
  public init(_ bytes: [UInt8], file: String) throws(ImagingError) {
    guard !bytes.isEmpty else { throw .notNIfTI(file: file, reason: "the file is empty") }
    guard bytes.count >= 4 else {
      throw .headerTruncated(file: file, needed: Version.one.headerSize, found: bytes.count)
    }
    guard let (version, order) = Self.identify(bytes) else {
      throw .notNIfTI(file: file, reason: Self.whatElse(bytes))
    }
    guard bytes.count >= version.headerSize else {
      throw .headerTruncated(file: file, needed: version.headerSize, found: bytes.count)
    }
    self.bytes = Array(bytes[..<version.headerSize])
    self.version = version
    byteOrder = order
    guard version == .one || kind != .analyze else {
      throw .notNIfTI(file: file, reason: "the header has 540 bytes, but not the magic n+2 or ni2")
    }
  }

  /// Creates a header with all fields 0 but size and magic.
  init(version: Version, byteOrder: ByteOrder, kind: Kind) {
    bytes = [UInt8](repeating: 0, count: version.headerSize)
    self.version = version
    self.byteOrder = byteOrder
    set(.headerSize, to: version.headerSize)
    setKind(kind)
  }

  /// The version and byte order that the first four bytes tell, or nil if this is no NIfTI header.
  static func identify(_ bytes: [UInt8]) -> (Version, ByteOrder)? {
    guard bytes.count >= 4 else { return nil }
    let big = bytes[..<4].reduce(0) { $0 << 8 | UInt32($1) }
    for version in [Version.one, .two] {
      if big == UInt32(version.headerSize) { return (version, .big) }
      if big.byteSwapped == UInt32(version.headerSize) { return (version, .little) }
    }
    return nil
  }

  /// What bytes that are no NIfTI header may be.
  private static func whatElse(_ bytes: [UInt8]) -> String {
    if bytes.count >= 132, Array(bytes[128..<132]) == Array("DICM".utf8) {
      return "it is a DICOM file"
    }
    if bytes.starts(with: [0x1f, 0x8b]) {
      return "it is gzip data, but the name does not end in .gz"
    }
    if bytes.starts(with: [0x89, 0x50, 0x4e, 0x47]) { return "it is a PNG file" }
    return "the header size in the first 4 bytes is neither 348 nor 540"
  }
}

// MARK: - Fields as numbers and text

extension NIfTIHeader {
  /// An element of a field as a number; whole-number fields are converted.
  ///
  /// - Parameters:
  ///   - field: The field, not a text.
  ///   - index: The element of a field with several.
  /// - Returns: The value, which may be NaN or infinite.
  public func number(_ field: NIfTIField, at index: Int = 0) -> Double {
    switch field.place(in: version).kind {
    case .float32: Double(Float(bitPattern: UInt32(truncatingIfNeeded: raw(field, index))))
    case .float64: Double(bitPattern: raw(field, index))
    default: Double(integer(field, at: index))
    }
  }

  /// An element of a whole-number field.
  ///
  /// - Parameters:
  ///   - field: The field, neither a text nor a floating-point number.
  ///   - index: The element of a field with several.
  /// - Returns: The value as stored.
  public func integer(_ field: NIfTIField, at index: Int = 0) -> Int {
    let raw = raw(field, index)
    switch field.place(in: version).kind {
    case .byte: return Int(raw)
    case .int16: return Int(Int16(truncatingIfNeeded: raw))
    case .int32: return Int(Int32(truncatingIfNeeded: raw))
    case .int64: return Int(truncatingIfNeeded: raw)
    case .text, .float32, .float64:
      preconditionFailure("NIfTIHeader: \(field.rawValue) is no whole number")
    }
  }

  /// All elements of a field as numbers.
  ///
  /// - Parameter field: The field, not a text.
  /// - Returns: One number an element.
  public func numbers(_ field: NIfTIField) -> [Double] {
    (0..<field.place(in: version).count).map { number(field, at: $0) }
  }

  /// A text field up to its first zero byte, without control characters, which could drive a
  /// terminal.
  ///
  /// - Parameter field: A text field.
  /// - Returns: The text; bytes that are not UTF-8 and control characters are shown as U+FFFD.
  public func text(_ field: NIfTIField) -> String {
    let place = field.place(in: version)
    precondition(place.kind == .text, "NIfTIHeader: \(field.rawValue) is no text")
    let text = String(decoding: bytes[place.range].prefix { $0 != 0 }, as: UTF8.self)
    return String(
      String.UnicodeScalarView(
        text.unicodeScalars.map { scalar in
          scalar.properties.generalCategory == .control ? "\u{FFFD}" : scalar
        }))
  }

  /// A field in words: its text, or its numbers with spaces between them.
  ///
  /// - Parameter field: Any field.
  /// - Returns: A text for people.
  public func display(_ field: NIfTIField) -> String {
    let place = field.place(in: version)
    switch place.kind {
    case .text: return text(field)
    case .float32:
      return numbers(field).map { "\(Float($0))" }.joined(separator: " ")
    case .float64: return numbers(field).map { "\($0)" }.joined(separator: " ")
    default:
      return (0..<place.count).map { "\(integer(field, at: $0))" }.joined(separator: " ")
    }
  }

  /// The bits of an element, in the order of this machine.
  private func raw(_ field: NIfTIField, _ index: Int) -> UInt64 {
    let place = field.place(in: version)
    precondition(
      (0..<place.count).contains(index), "NIfTIHeader: \(field.rawValue)[\(index)]")
    let start = place.offset + index * place.kind.size
    let part = bytes[start..<start + place.kind.size]
    switch byteOrder {
    case .big: return part.reduce(0) { $0 << 8 | UInt64($1) }
    case .little: return part.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
  }

  /// Where the voxels are, by the magic bytes.
  public var kind: Kind {
    let magic = Array(bytes[NIfTIField.magic.place(in: version).range])
    for kind in [Kind.single, .pair] where magic == Self.magic(of: kind, version: version) {
      return kind
    }
    return .analyze
  }

  private static func magic(of kind: Kind, version: Version) -> [UInt8] {
    let separator = kind == .single ? "+" : "i"
    switch version {
    case .one: return Array("n\(separator)1\0".utf8)
    // The line ends reveal a transfer in text mode.
    case .two: return Array("n\(separator)2\0\r\n\u{1a}\n".utf8)
    }
  }
}

// MARK: - Patching

extension NIfTIHeader {
  /// Writes an element of a field, in the byte order of the header; no other byte changes.
  mutating func set(_ field: NIfTIField, at index: Int = 0, to value: Double) {
    switch field.place(in: version).kind {
    case .float32: store(UInt64(Float(value).bitPattern), field, index)
    case .float64: store(value.bitPattern, field, index)
    default: set(field, at: index, to: Int(value))
    }
  }

  /// Writes an element of a field, in the byte order of the header; no other byte changes.
  mutating func set(_ field: NIfTIField, at index: Int = 0, to value: Int) {
    let kind = field.place(in: version).kind
    switch kind {
    case .float32, .float64: set(field, at: index, to: Double(value))
    default:
      precondition(
        kind.range.contains(value), "NIfTIHeader: \(field.rawValue) cannot hold \(value)")
      store(UInt64(bitPattern: Int64(value)), field, index)
    }
  }

  /// Writes the magic bytes.
  mutating func setKind(_ kind: Kind) {
    bytes.replaceSubrange(
      NIfTIField.magic.place(in: version).range, with: Self.magic(of: kind, version: version))
  }

  private mutating func store(_ value: UInt64, _ field: NIfTIField, _ index: Int) {
    let place = field.place(in: version)
    precondition(
      (0..<place.count).contains(index), "NIfTIHeader: \(field.rawValue)[\(index)]")
    let size = place.kind.size
    let start = place.offset + index * size
    for byte in 0..<size {
      let shift = 8 * UInt64(byteOrder == .little ? byte : size - 1 - byte)
      bytes[start + byte] = UInt8(truncatingIfNeeded: value >> shift)
    }
  }
}
