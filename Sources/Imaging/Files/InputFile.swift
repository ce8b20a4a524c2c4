#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A run of bytes that is read from front to back.
protocol ByteSource: AnyObject {
  /// Fills the buffer; fewer bytes are returned only at the end of the bytes.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(ImagingError) -> Int
}

extension ByteSource {
  /// Reads up to `count` bytes, growing the result only as bytes arrive.
  ///
  /// - Parameter count: The number of bytes wanted; it may come from an untrusted header.
  /// - Returns: The bytes, fewer than `count` only at the end.
  /// - Throws: What reading the source throws.
  func read(_ count: Int) throws(ImagingError) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      let piece = min(count - bytes.count, 1 << 20)
      var chunk = [UInt8](repeating: 0, count: piece)
      let got = try read(&chunk, piece)
      bytes.append(contentsOf: chunk[..<got])
      if got < piece { break }
    }
    return bytes
  }

  private func read(_ chunk: inout [UInt8], _ count: Int) throws(ImagingError) -> Int {
    let result = chunk.withUnsafeMutableBytes { buffer in
      Result { () throws(ImagingError) in try read(into: buffer) }
    }
    return try result.get()
  }
}

/// A regular file that is open for reading.
final class InputFile: ByteSource {
  /// The path as the user gave it.
  let path: String
  /// The size in bytes when the file was opened.
  let size: UInt64
  private let descriptor: Int32

  /// Opens a file.
  ///
  /// - Parameter path: The path of a regular file; pipes and devices are refused, because their
  ///   size cannot be checked.
  /// - Throws: ``ImagingError/noSuchFile(file:reason:)`` or
  ///   ``ImagingError/unreadable(file:reason:)``.
  init(path: String) throws(ImagingError) {
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      if errno == ENOENT || errno == ENOTDIR { throw .noSuchFile(file: path, reason: nil) }
      throw .unreadable(file: path, reason: systemReason())
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      let reason = systemReason()
      close(descriptor)
      throw .unreadable(file: path, reason: reason)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      let isFolder = status.st_mode & S_IFMT == S_IFDIR
      throw .unreadable(file: path, reason: isFolder ? "it is a folder" : "it is no regular file")
    }
    self.path = path
    self.descriptor = descriptor
    size = UInt64(max(0, status.st_size))
  }

  deinit {
    close(descriptor)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws(ImagingError) -> Int {
    guard let base = buffer.baseAddress else { return 0 }
    var total = 0
    while total < buffer.count {
      #if canImport(Glibc)
        let got = Glibc.read(descriptor, base + total, buffer.count - total)
      #else
        let got = Darwin.read(descriptor, base + total, buffer.count - total)
      #endif
      if got < 0 {
        if errno == EINTR { continue }
        throw .unreadable(file: path, reason: systemReason())
      }
      if got == 0 { break }
      total += got
    }
    return total
  }

  /// Continues reading at a position in bytes from the front.
  func seek(to position: UInt64) throws(ImagingError) {
    guard lseek(descriptor, off_t(position), SEEK_SET) >= 0 else {
      throw .unreadable(file: path, reason: systemReason())
    }
  }
}

/// The system's words for the last error.
func systemReason(_ code: Int32 = errno) -> String {
  strerror(code).map { String(cString: $0) } ?? "error \(code)"
}
