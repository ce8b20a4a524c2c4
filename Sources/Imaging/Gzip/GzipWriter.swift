import CZlib

/// A place that takes bytes one piece after the other.
protocol ByteSink: AnyObject {
  /// Appends bytes.
  func write(_ bytes: UnsafeRawBufferPointer) throws(ImagingError)
  /// Hands on what is still held back; nothing can be written after it.
  func finish() throws(ImagingError)
}

extension ByteSink {
  /// Appends bytes.
  func write(_ bytes: [UInt8]) throws(ImagingError) {
    let result = bytes.withUnsafeBytes { buffer in
      Result { () throws(ImagingError) in try write(buffer) }
    }
    try result.get()
  }
}

extension AtomicFile: ByteSink {
  /// Nothing is held back.
  func finish() {}
}

/// Compresses bytes to a gzip file of one member.
///
/// The same bytes at the same level always give the same file: the frame holds no time, no name and
/// no operating system.
final class GzipWriter: ByteSink {
  private let file: AtomicFile
  private let stream: UnsafeMutablePointer<z_stream>
  private let output: UnsafeMutableBufferPointer<UInt8>
  private var crc = crc32(0, nil, 0)
  private var length: UInt32 = 0

  /// Starts a member.
  ///
  /// - Parameters:
  ///   - file: Receives the compressed bytes.
  ///   - level: Effort, 1 (fast) to 9 (small).
  /// - Throws: ``ImagingError/writeFailed(file:reason:)``.
  init(_ file: AtomicFile, level: Int) throws(ImagingError) {
    precondition((1...9).contains(level), "GzipWriter: level \(level)")
    self.file = file
    output = .allocate(capacity: 1 << 17)
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    let status = deflateInit2_(
      stream, Int32(level), Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
      Int32(MemoryLayout<z_stream>.size))
    precondition(status == Z_OK, "deflateInit2: \(status)")
    // Deflate, no flags, no time, no extra flags, unknown operating system.
    try file.write([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])
  }

  deinit {
    deflateEnd(stream)
    stream.deallocate()
    output.deallocate()
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws(ImagingError) {
    guard let base = bytes.bindMemory(to: UInt8.self).baseAddress else { return }
    var done = 0
    while done < bytes.count {
      let piece = UInt32(min(bytes.count - done, 1 << 30))
      crc = crc32(crc, base + done, piece)
      length &+= piece
      stream.pointee.next_in = UnsafeMutablePointer(mutating: base + done)
      stream.pointee.avail_in = piece
      try deflate(flush: Z_NO_FLUSH)
      done += Int(piece)
    }
  }

  /// Ends the member; nothing can be written after it.
  func finish() throws(ImagingError) {
    stream.pointee.avail_in = 0
    try deflate(flush: Z_FINISH)
    let trailer = [UInt32(truncatingIfNeeded: crc), length]
    try file.write(
      trailer.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } })
  }

  private func deflate(flush: Int32) throws(ImagingError) {
    var isFull = true
    while isFull {
      stream.pointee.next_out = output.baseAddress
      stream.pointee.avail_out = UInt32(output.count)
      let status = CZlib.deflate(stream, flush)
      precondition(status >= 0 || status == Z_BUF_ERROR, "deflate: \(status)")
      let produced = output.count - Int(stream.pointee.avail_out)
      try file.write(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(output)[..<produced]))
      isFull = stream.pointee.avail_out == 0
    }
  }
}
