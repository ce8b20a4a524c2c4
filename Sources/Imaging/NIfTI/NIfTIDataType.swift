/// A voxel type that can be read and written; the raw value is its code in the header.
public enum NIfTIDataType: Int, Sendable, CaseIterable {
  /// Unsigned 8 bit.
  case uint8 = 2
  /// Signed 16 bit.
  case int16 = 4
  /// Signed 32 bit.
  case int32 = 8
  /// IEEE single precision.
  case float32 = 16
  /// IEEE double precision.
  case float64 = 64
  /// Signed 8 bit.
  case int8 = 256
  /// Unsigned 16 bit.
  case uint16 = 512
  /// Unsigned 32 bit.
  case uint32 = 768
  /// Signed 64 bit.
  case int64 = 1024
  /// Unsigned 64 bit.
  case uint64 = 1280

  /// The size of a voxel in bytes.
  public var size: Int {
    switch self {
    case .uint8, .int8: 1
    case .int16, .uint16: 2
    case .int32, .uint32, .float32: 4
    case .int64, .uint64, .float64: 8
    }
  }

  /// Whether the type holds whole numbers only.
  public var isInteger: Bool { self != .float32 && self != .float64 }

  /// The name of any type code of the standard, for messages.
  ///
  /// - Parameter code: The code in the header.
  /// - Returns: The name of the type, or nil if the standard has none for the code.
  public static func name(ofCode code: Int) -> String? {
    if let type = NIfTIDataType(rawValue: code) { return "\(type)" }
    return [
      1: "1-bit binary", 32: "complex64", 128: "RGB", 1536: "float128", 1792: "complex128",
      2048: "complex256", 2304: "RGBA",
    ][code]
  }
}
