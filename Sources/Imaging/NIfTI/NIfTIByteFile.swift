/// A file of an image that is open for reading, with or without compression.
final class NIfTIByteFile: ByteSource {
  /// The path as the user gave it.
  let path: String
  /// Whether the name ends in .gz but the contents are not compressed.
  let isMisnamed: Bool
  /// How far the contents have been read, in bytes.
  private(set) var position: UInt64 = 0
  private let file: InputFile
  private let gzip: GzipReader?

  /// Opens a file; what it is counts, not its name, except that compression needs a .gz name.
  ///
  /// - Parameters:
  ///   - path: The path.
  ///   - isCompressed: Whether the name ends in .gz.
  /// - Throws: What opening the file throws, ``ImagingError/damagedGzip(file:reason:)``.
  init(path: String, isCompressed: Bool) throws(ImagingError) {
    self.path = path
    file = try InputFile(path: path)
    let magic = isCompressed ? try file.read(2) : []
    try file.seek(to: 0)
    if magic == [0x1f, 0x8b] {
      gzip = try GzipReader(file)
      isMisnamed = false
    } else {
      gzip = nil
      isMisnamed = isCompressed
    }
  }

  /// The number of bytes that the file can hold at most; the true number if not compressed.
  var byteBound: UInt64 {
    guard gzip != nil else { return file.size }
    let (bound, overflow) = file.size.multipliedReportingOverflow(by: GzipReader.maximalRatio)
    return overflow ? .max : bound
  }

  /// Whether the contents are compressed.
  var isCompressed: Bool { gzip != nil }

  /// Whether the compressed stream has broken off.
  var isCut: Bool { gzip?.ending == .cut }

  /// Reads and counts bytes; fewer than asked for only at the end.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(ImagingError) -> Int {
    let got: Int
    if let gzip { got = try gzip.read(into: buffer) } else { got = try file.read(into: buffer) }
    position += UInt64(got)
    return got
  }

  /// Leaves bytes out.
  ///
  /// - Parameter count: The number of bytes to leave out.
  /// - Returns: The number of bytes that were there to leave out.
  /// - Throws: What reading the file throws.
  func skip(_ count: UInt64) throws(ImagingError) -> UInt64 {
    let passed: UInt64
    if let gzip {
      passed = try gzip.skip(count)
    } else {
      passed = min(count, file.size - min(file.size, position))
      try file.seek(to: position + passed)
    }
    position += passed
    return passed
  }

  /// What follows the last byte that was read.
  enum Tail {
    /// Nothing: the file ends properly.
    case nothing
    /// Further bytes.
    case data(bytes: UInt64, checksumVerified: Bool)
    /// Bytes that are no gzip member.
    case garbage
    /// The compressed stream breaks off.
    case cut
  }

  /// Looks at what follows, up to 64 KiB of it, and so verifies the checksum if it is within reach.
  ///
  /// - Returns: What is there.
  func tail() throws(ImagingError) -> Tail {
    guard let gzip else {
      return file.size > position
        ? .data(bytes: file.size - position, checksumVerified: true) : .nothing
    }
    let count = try gzip.skip(1 << 16)
    switch gzip.ending {
    case .cut: return .cut
    case .garbage: return .garbage
    case .complete: return count == 0 ? .nothing : .data(bytes: count, checksumVerified: true)
    case .none: return .data(bytes: count, checksumVerified: false)
    }
  }
}

extension NIfTIByteFile {
  /// Reads the header at the front of the file.
  ///
  /// - Throws: ``ImagingError/notGzip(file:)`` and what ``NIfTIHeader/init(_:file:)`` throws.
  func readHeader() throws(ImagingError) -> NIfTIHeader {
    var bytes = try read(NIfTIHeader.Version.one.headerSize)
    if bytes.isEmpty && isCut {
      throw .headerTruncated(
        file: path, needed: NIfTIHeader.Version.one.headerSize, found: 0)
    }
    let identity = NIfTIHeader.identify(bytes)
    if isMisnamed, identity == nil, !bytes.isEmpty { throw .notGzip(file: path) }
    if case (.two, _)? = identity {
      bytes += try read(NIfTIHeader.Version.two.headerSize - bytes.count)
    }
    return try NIfTIHeader(bytes, file: path)
  }
}
