/// A header extension, copied unread.
public struct NIfTIExtension: Sendable, Equatable {
  /// The registered code of the contents, for instance 4 (AFNI) or 6 (comment).
  public let code: Int
  /// The contents, with the padding that rounds the extension up to a multiple of 16 bytes.
  public let data: [UInt8]

  /// Splits the bytes between header and voxels.
  ///
  /// - Parameters:
  ///   - bytes: The four extension bytes and what follows them.
  ///   - byteOrder: The byte order of the header.
  /// - Returns: The extensions, and whether they end where the bytes do; if not, an extension is
  ///   announced but not there, or states an impossible size and nothing after it can be told apart.
  static func parse(
    _ bytes: [UInt8], byteOrder: NIfTIHeader.ByteOrder
  ) -> (extensions: [NIfTIExtension], isSound: Bool) {
    guard bytes.count >= 4, bytes[0] != 0 else { return ([], true) }
    func number(_ at: Int) -> Int {
      let part = bytes[at..<at + 4]
      let value =
        byteOrder == .big
        ? part.reduce(0) { $0 << 8 | UInt32($1) }
        : part.reversed().reduce(0) { $0 << 8 | UInt32($1) }
      return Int(Int32(bitPattern: value))
    }
    var extensions: [NIfTIExtension] = []
    guard bytes.count >= 12 else { return ([], false) }
    var at = 4
    while bytes.count - at >= 8 {
      let size = number(at)
      // Zeros are padding in front of the voxels.
      if size == 0 { return (extensions, bytes[at...].allSatisfy { $0 == 0 }) }
      guard size >= 8, size <= bytes.count - at else { return (extensions, false) }
      extensions.append(
        NIfTIExtension(code: number(at + 4), data: Array(bytes[at + 8..<at + size])))
      at += size
    }
    return (extensions, bytes[at...].allSatisfy { $0 == 0 })
  }
}
