#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Logs and other files that others read while they grow.
package enum GrowingFile {
  /// Adds bytes at the end, all or none of them.
  ///
  /// - Parameters:
  ///   - bytes: The bytes.
  ///   - path: The file; a new one if there is none.
  /// - Throws: ``ImagingError/writeFailed(file:reason:)``; the file is then as it was.
  package static func append(_ bytes: [UInt8], to path: String) throws(ImagingError) {
    let descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw .writeFailed(file: path, reason: systemReason()) }
    defer { close(descriptor) }
    let length = lseek(descriptor, 0, SEEK_END)
    var rest = bytes[...]
    while !rest.isEmpty {
      let written = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if written < 0 {
        if errno == EINTR { continue }
        let reason = systemReason()
        _ = ftruncate(descriptor, length)
        throw .writeFailed(file: path, reason: reason)
      }
      rest = rest.dropFirst(written)
    }
  }
}
