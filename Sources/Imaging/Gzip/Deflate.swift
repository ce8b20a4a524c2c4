internal import CZlib
public import Foundation

/// Bare deflate streams, as zip archives hold them.
///
/// Source: RFC 1951.
public enum Deflate {
  /// Decompresses a stream of known size.
  ///
  /// - Parameters:
  ///   - data: The compressed bytes, all of them.
  ///   - size: Bytes that they must give, checked against what deflate can do before memory is taken.
  /// - Returns: Nil if the stream is damaged or has another size.
  public static func inflated(_ data: Data, size: Int) -> Data? {
    guard size >= 0, UInt64(size) <= (UInt64(data.count) + 1) * GzipReader.maximalRatio,
      data.count <= Int(UInt32.max), size < Int(UInt32.max)
    else { return nil }
    var stream = z_stream()
    guard
      inflateInit2_(&stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
    else { return nil }
    defer { inflateEnd(&stream) }
    // One more byte shows whether there is more than there should be.
    var result = Data(count: size + 1)
    let status = result.withUnsafeMutableBytes { output in
      data.withUnsafeBytes { input in
        stream.next_in = UnsafeMutablePointer(
          mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.avail_in = UInt32(input.count)
        stream.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.avail_out = UInt32(output.count)
        return inflate(&stream, Z_FINISH)
      }
    }
    guard status == Z_STREAM_END, stream.total_out == size, stream.avail_in == 0 else { return nil }
    return result.prefix(size)
  }
}
