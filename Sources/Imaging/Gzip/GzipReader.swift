import CZlib

/// Decompresses a gzip file piece by piece, never more than is asked for.
///
/// Several members in a row are one stream, as `gzip` treats them. Checksum and length of each
/// member are compared when its end is reached.
///
/// Source: RFC 1952 (gzip), RFC 1951 (deflate).
final class GzipReader: ByteSource {
  /// How the stream came to its end.
  enum Ending {
    /// It has not been reached yet.
    case none
    /// After a whole member, with nothing behind it.
    case complete
    /// After a whole member, followed by bytes that are no gzip member.
    case garbage
    /// In the middle of a member.
    case cut
  }

  /// The largest number of bytes that one compressed byte can stand for: deflate spends at least
  /// one bit on a match of 258 bytes, for a length code and a distance code of one bit each.
  static let maximalRatio: UInt64 = 1032

  private(set) var ending = Ending.none
  private let file: InputFile
  private let stream: UnsafeMutablePointer<z_stream>
  private let input: UnsafeMutableBufferPointer<UInt8>
  private var isInsideMember = false
  private var crc: UInt = 0
  private var length: UInt32 = 0

  /// Starts at the front of a file that begins with a gzip member.
  init(_ file: InputFile) throws(ImagingError) {
    self.file = file
    input = .allocate(capacity: 1 << 17)
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    // Negative window bits: bare deflate. zlib would also parse the gzip frame, but reports a wrong
    // checksum and a damaged stream with the same code.
    let status = inflateInit2_(stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    precondition(status == Z_OK, "inflateInit2: \(status)")
    guard try readMemberHeader(isFirst: true) else {
      ending = .cut
      return
    }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
    input.deallocate()
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws(ImagingError) -> Int {
    guard let base = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return 0 }
    var total = 0
    while total < buffer.count && ending == .none {
      total += try inflate(into: base + total, count: buffer.count - total)
    }
    return total
  }

  /// Reads on, without keeping anything, until the end or until `limit` bytes have gone by.
  ///
  /// - Returns: The number of bytes that went by.
  func skip(_ limit: UInt64) throws(ImagingError) -> UInt64 {
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    defer { scratch.deallocate() }
    var total: UInt64 = 0
    while total < limit {
      let piece = Int(min(limit - total, UInt64(scratch.count)))
      let got = try read(into: UnsafeMutableRawBufferPointer(rebasing: scratch[..<piece]))
      total += UInt64(got)
      if got < piece { break }
    }
    return total
  }
}

// MARK: - Members

extension GzipReader {
  /// One step of decompression.
  private func inflate(into base: UnsafeMutablePointer<UInt8>, count: Int) throws(ImagingError)
    -> Int
  {
    if !isInsideMember {
      guard try readMemberHeader(isFirst: false) else { return 0 }
    }
    var isAtEnd = false
    if stream.pointee.avail_in == 0 { isAtEnd = try !refill() }
    let wanted = UInt32(min(count, 1 << 30))
    stream.pointee.next_out = base
    stream.pointee.avail_out = wanted
    let status = CZlib.inflate(stream, Z_NO_FLUSH)
    let produced = wanted - stream.pointee.avail_out
    crc = crc32(crc, base, produced)
    length &+= produced
    switch status {
    case Z_STREAM_END: try readTrailer()
    case Z_OK, Z_BUF_ERROR:
      // At the end of the file zlib may still owe the rest of a match; then it owes nothing.
      if isAtEnd && produced == 0 { ending = .cut }
    default:
      let reason = stream.pointee.msg.map { String(cString: $0) } ?? "zlib status \(status)"
      throw .damagedGzip(file: file.path, reason: reason)
    }
    return Int(produced)
  }

  /// Reads the frame in front of a member.
  ///
  /// - Returns: False if there is no member; ``ending`` then says why, except for the first one.
  private func readMemberHeader(isFirst: Bool) throws(ImagingError) -> Bool {
    guard let first = try nextByte() else {
      ending = .complete
      return false
    }
    guard first == 0x1f, let second = try nextByte(), second == 0x8b else {
      ending = .garbage
      return false
    }
    // Method, flags, time (4), extra flags, operating system.
    guard let fixed = try nextBytes(8) else { return endCut() }
    let flags = fixed[1]
    guard fixed[0] == 8, flags & 0xe0 == 0 else {
      if !isFirst {
        ending = .garbage
        return false
      }
      throw .damagedGzip(
        file: file.path, reason: "compression method \(fixed[0]), flags \(flags) are unknown")
    }
    if flags & 0x04 != 0 {
      guard let size = try nextBytes(2) else { return endCut() }
      guard try nextBytes(Int(size[0]) | Int(size[1]) << 8) != nil else { return endCut() }
    }
    // File name, then comment, each up to a zero byte.
    for flag in [UInt8(0x08), 0x10] where flags & flag != 0 {
      var byte = try nextByte()
      while let value = byte, value != 0 { byte = try nextByte() }
      if byte == nil { return endCut() }
    }
    if flags & 0x02 != 0, try nextBytes(2) == nil { return endCut() }
    inflateReset(stream)
    crc = crc32(0, nil, 0)
    length = 0
    isInsideMember = true
    return true
  }

  private func endCut() -> Bool {
    ending = .cut
    return false
  }

  /// Compares checksum and length behind a member.
  private func readTrailer() throws(ImagingError) {
    isInsideMember = false
    guard let bytes = try nextBytes(8) else {
      ending = .cut
      return
    }
    func number(_ at: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << (8 * UInt32($1)) }
    }
    guard number(0) == UInt32(truncatingIfNeeded: crc) else {
      throw .checksumMismatch(
        file: file.path,
        reason: "CRC-32 of the contents is \(Self.hex(UInt32(truncatingIfNeeded: crc))), "
          + "the file says \(Self.hex(number(0)))")
    }
    guard number(4) == length else {
      throw .checksumMismatch(
        file: file.path,
        reason: "the contents have \(length) bytes (modulo 2^32), the file says \(number(4))")
    }
  }

  private static func hex(_ value: UInt32) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}

// MARK: - Compressed bytes

extension GzipReader {
  /// Fetches compressed bytes; false at the end of the file.
  private func refill() throws(ImagingError) -> Bool {
    let got = try file.read(into: UnsafeMutableRawBufferPointer(input))
    stream.pointee.next_in = input.baseAddress
    stream.pointee.avail_in = UInt32(got)
    return got > 0
  }

  private func nextByte() throws(ImagingError) -> UInt8? {
    if stream.pointee.avail_in == 0, try !refill() { return nil }
    let byte = stream.pointee.next_in?.pointee
    stream.pointee.next_in? += 1
    stream.pointee.avail_in -= 1
    return byte
  }

  private func nextBytes(_ count: Int) throws(ImagingError) -> [UInt8]? {
    var bytes: [UInt8] = []
    while bytes.count < count {
      guard let byte = try nextByte() else { return nil }
      bytes.append(byte)
    }
    return bytes
  }
}
