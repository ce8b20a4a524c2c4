package import Foundation

/// A zip archive whose files are stored without compression, as PyTorch writes it, or where that is allowed
/// deflated.
///
/// Everything is checked against the bytes present before it is used: directory, names, sizes, local
/// headers, checksums. Names with `..`, a leading `/`, a drive letter or a backslash, links, files that
/// lie over each other and duplicates are refused. Numbers beyond 4 GiB are read from the records that
/// zip64 has for them.
///
/// Source: PKWARE, *APPNOTE.TXT, .ZIP File Format Specification*, 6.3.10.
package struct StoredArchive: Sendable {
  /// A deflated file.
  package struct Deflated: Sendable {
    /// Its compressed bytes in the archive.
    package let range: Range<Int>
    /// Bytes of the file as it is.
    package let size: Int
    /// CRC-32 of the file as it is.
    package let checksum: UInt32
  }

  private struct Entry {
    let name: String
    let range: Range<Int>
    let deflated: Deflated?
  }

  /// The bytes of each stored file in the archive.
  package let files: [String: Range<Int>]
  /// The deflated files; their checksums are for whoever inflates them.
  package let deflated: [String: Deflated]
  package let data: Data

  /// Reads the directory and checks the files.
  ///
  /// - Parameters:
  ///   - data: The whole archive.
  ///   - allowsDeflate: Whether files may be compressed.
  /// - Throws: `CheckpointFlaw` with what is wrong.
  package init(_ data: Data, allowsDeflate: Bool = false) throws(CheckpointFlaw) {
    self.data = data
    let (count, size, start, end) = try Self.directory(data)
    guard start <= end, size <= end - start else {
      throw CheckpointFlaw("the archive's directory lies outside of the file")
    }
    var entries: [String: Entry] = [:]
    var position = start
    for _ in 0..<count {
      let (entry, next) = try Self.entry(
        data, at: position, limit: start + size, allowsDeflate: allowsDeflate)
      guard entries.updateValue(entry, forKey: entry.name) == nil else {
        throw CheckpointFlaw("the archive holds \(entry.name) twice")
      }
      position = next
    }
    let ranges = entries.values.map(\.range).sorted { $0.lowerBound < $1.lowerBound }
    for (a, b) in zip(ranges, ranges.dropFirst()) where a.upperBound > b.lowerBound {
      throw CheckpointFlaw("files of the archive lie over each other")
    }
    files = entries.filter { $0.value.deflated == nil }.mapValues(\.range)
    deflated = entries.compactMapValues(\.deflated)
  }

  /// The last record, searched backwards through a comment of up to 65 535 bytes.
  private static func endRecord(_ data: Data) throws(CheckpointFlaw) -> Int {
    var position = data.count - 22
    let last = max(0, position - 0xFFFF)
    while position >= last {
      if data.number32(position) == 0x0605_4B50,
        Int(data.number16(position + 20)) == data.count - position - 22
      {
        return position
      }
      position -= 1
    }
    throw CheckpointFlaw("the archive has no directory: the file ends early")
  }

  /// How many entries the directory has, its bytes and where it starts and must have ended.
  private static func directory(
    _ data: Data
  ) throws(CheckpointFlaw) -> (count: Int, size: Int, start: Int, end: Int) {
    let end = try endRecord(data)
    let count = Int(data.number16(end + 10))
    let size = Int(data.number32(end + 12))
    let start = Int(data.number32(end + 16))
    guard data.number16(end + 4) == 0 || data.number16(end + 4) == 0xFFFF,
      data.number16(end + 8) == data.number16(end + 10)
    else { throw CheckpointFlaw("the archive is split over several files") }
    guard count == 0xFFFF || size == 0xFFFF_FFFF || start == 0xFFFF_FFFF else {
      return (count, size, start, end)
    }
    let locator = end - 20
    guard locator >= 0, data.number32(locator) == 0x0706_4B50 else {
      // A file may have exactly 65 535 entries.
      guard size != 0xFFFF_FFFF, start != 0xFFFF_FFFF else {
        throw CheckpointFlaw("the archive's zip64 directory is missing")
      }
      return (count, size, start, end)
    }
    let record = try data.number64(locator + 8)
    guard record <= locator - 56, data.number32(record) == 0x0606_4B50 else {
      throw CheckpointFlaw("the archive's zip64 directory is damaged")
    }
    guard data.number32(locator + 4) == 0, data.number32(locator + 16) <= 1,
      data.number32(record + 16) == 0, data.number32(record + 20) == 0,
      try data.number64(record + 24) == data.number64(record + 32)
    else { throw CheckpointFlaw("the archive is split over several files") }
    return (
      try data.number64(record + 32), try data.number64(record + 40),
      try data.number64(record + 48), record
    )
  }

  private static func entry(
    _ data: Data, at position: Int, limit: Int, allowsDeflate: Bool
  ) throws(CheckpointFlaw) -> (entry: Entry, next: Int) {
    guard position + 46 <= limit, data.number32(position) == 0x0201_4B50 else {
      throw CheckpointFlaw("the archive's directory is damaged")
    }
    let lengths = [28, 30, 32].map { Int(data.number16(position + $0)) }
    let next = position + 46 + lengths.reduce(0, +)
    guard next <= limit else { throw CheckpointFlaw("the archive's directory is damaged") }
    guard
      let name = String(
        bytes: data[position + 46..<position + 46 + lengths[0]], encoding: .utf8)
    else { throw CheckpointFlaw("a name in the archive is not UTF-8") }
    try check(name)
    guard data.number16(position + 8) & 1 == 0 else { throw CheckpointFlaw("\(name) is encrypted") }
    let method = data.number16(position + 10)
    guard method == 0 || allowsDeflate else {
      throw CheckpointFlaw("\(name) is compressed; PyTorch stores")
    }
    guard method == 0 || method == 8 else {
      throw CheckpointFlaw("\(name) is compressed by the unknown method \(method)")
    }
    guard data.number32(position + 38) >> 16 & 0xF000 != 0xA000 else {
      throw CheckpointFlaw("\(name) is a symbolic link")
    }
    let extra = position + 46 + lengths[0]
    let (size, stored, local) = try sizes(
      data, at: position, extra: extra..<extra + lengths[1], name)
    guard stored == size || method == 8 else {
      throw CheckpointFlaw("the sizes of \(name) disagree")
    }
    guard data.count >= 30, local <= data.count - 30, data.number32(local) == 0x0403_4B50 else {
      throw CheckpointFlaw("\(name) has no header of its own")
    }
    let nameLength = Int(data.number16(local + 26))
    let first = local + 30 + nameLength + Int(data.number16(local + 28))
    guard first <= data.count, stored <= data.count - first else {
      throw CheckpointFlaw("\(name) ends after the file does")
    }
    guard data[local + 30..<local + 30 + nameLength].elementsEqual(name.utf8) else {
      throw CheckpointFlaw("the two headers of \(name) disagree")
    }
    let (range, checksum) = (first..<first + stored, data.number32(position + 16))
    guard method == 0 else {
      let deflated = Deflated(range: range, size: size, checksum: checksum)
      return (Entry(name: name, range: range, deflated: deflated), next)
    }
    guard ZipChecksum.of(data[range]) == checksum else {
      throw CheckpointFlaw("the checksum of \(name) is wrong")
    }
    return (Entry(name: name, range: range, deflated: nil), next)
  }

  /// Bytes of a file as it is and as it is stored, and where its own header lies.
  ///
  /// Those that 32 bits do not hold are all ones and stand, in this order, in the field 1 of the entry's
  /// extra fields.
  private static func sizes(
    _ data: Data, at position: Int, extra: Range<Int>, _ name: String
  ) throws(CheckpointFlaw) -> (size: Int, stored: Int, local: Int) {
    var numbers = [24, 20, 42].map { Int(data.number32(position + $0)) }
    guard numbers.contains(0xFFFF_FFFF) else { return (numbers[0], numbers[1], numbers[2]) }
    var field = extra.lowerBound
    while field + 4 <= extra.upperBound {
      let length = Int(data.number16(field + 2))
      let end = field + 4 + length
      guard end <= extra.upperBound else { break }
      guard data.number16(field) == 1 else {
        field = end
        continue
      }
      var place = field + 4
      for index in numbers.indices where numbers[index] == 0xFFFF_FFFF {
        guard place + 8 <= end else {
          throw CheckpointFlaw("the zip64 field of \(name) is too short")
        }
        numbers[index] = try data.number64(place)
        place += 8
      }
      return (numbers[0], numbers[1], numbers[2])
    }
    throw CheckpointFlaw("\(name) lacks its zip64 field")
  }

  private static func check(_ name: String) throws(CheckpointFlaw) {
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    guard !name.isEmpty, !name.hasPrefix("/"), !parts.contains(".."), !name.contains("\\"),
      !name.contains(":"), !name.contains("\0")
    else { throw CheckpointFlaw("the archive holds a file with the name \(name.debugDescription)") }
  }
}

extension Data {
  /// A little-endian number; the position must be inside, and the data start at 0.
  func number16(_ position: Int) -> UInt16 {
    UInt16(self[position]) | UInt16(self[position + 1]) << 8
  }

  /// See ``number16(_:)``.
  func number32(_ position: Int) -> UInt32 {
    UInt32(number16(position)) | UInt32(number16(position + 2)) << 16
  }

  /// See ``number16(_:)``; a number that no file can have is refused.
  func number64(_ position: Int) throws(CheckpointFlaw) -> Int {
    guard
      let number = Int(
        exactly: UInt64(number32(position)) | UInt64(number32(position + 4)) << 32)
    else { throw CheckpointFlaw("a number of the archive is larger than any file") }
    return number
  }
}

/// The CRC-32 of zip files: polynomial 0xEDB88320, reflected.
package enum ZipChecksum {
  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in
      value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1
    }
  }

  package static func of(_ data: Data) -> UInt32 {
    table.withUnsafeBufferPointer { table in
      data.withUnsafeBytes { bytes in
        var value = ~UInt32(0)
        for byte in bytes { value = table[Int((value ^ UInt32(byte)) & 0xFF)] ^ (value >> 8) }
        return ~value
      }
    }
  }
}
