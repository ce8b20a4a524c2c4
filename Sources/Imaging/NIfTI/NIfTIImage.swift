#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// How an image is read.
public struct NIfTIReadOptions: Sendable {
  /// The largest number of bytes that the voxels may take as float32; nil stands for the machine's
  /// memory.
  public var maxMemory: UInt64?
  /// Which form of the affine counts if there are two.
  public var affineSource: AffineSource
  /// Voxel size along x, y, z in mm that takes the place of one that cannot be used.
  public var assumedSpacing: SIMD3<Double>?
  /// The volume of a series that is wanted; nil stands for all.
  public var volume: Int?
  /// Whether NaN and infinite voxels are an error.
  public var isStrict: Bool

  /// Creates options.
  ///
  /// - Parameters:
  ///   - maxMemory: The largest number of bytes that the voxels may take as float32; nil stands for
  ///     the machine's memory.
  ///   - affineSource: Which form of the affine counts if there are two.
  ///   - assumedSpacing: Voxel size along x, y, z in mm, each greater than 0, that takes the place
  ///     of one that cannot be used.
  ///   - volume: The volume of a series that is wanted; nil stands for all.
  ///   - isStrict: Whether NaN and infinite voxels are an error.
  public init(
    maxMemory: UInt64? = nil, affineSource: AffineSource = .auto,
    assumedSpacing: SIMD3<Double>? = nil, volume: Int? = nil, isStrict: Bool = false
  ) {
    if let assumed = assumedSpacing {
      precondition(
        assumed.min() > 0 && assumed.max().isFinite, "NIfTIReadOptions: spacing \(assumed)")
    }
    self.maxMemory = maxMemory
    self.affineSource = affineSource
    self.assumedSpacing = assumedSpacing
    self.volume = volume
    self.isStrict = isStrict
  }

  /// The limit in bytes.
  var memoryLimit: UInt64 { maxMemory ?? Self.machineMemory }

  /// The memory of the machine, bytes.
  package static let machineMemory: UInt64 = {
    let pages = sysconf(Int32(_SC_PHYS_PAGES))
    let size = sysconf(Int32(_SC_PAGESIZE))
    return pages > 0 && size > 0 ? UInt64(pages) * UInt64(size) : 1 << 32
  }()
}

/// What an image file held besides its voxels: all that is needed to write a result in its place.
public struct NIfTISource: Sendable, Equatable {
  /// The files that were read; for a pair the header is first.
  public let files: [String]
  /// The header.
  public let header: NIfTIHeader
  /// The bytes behind the header: in a single file all up to the voxels, in a pair the rest of the
  /// header's file.
  public let extensionBytes: [UInt8]
  /// The grid that the voxels were read on.
  public let geometry: Geometry
  /// The form of the affine that was used.
  public let affineForm: AffineForm
  /// Whether the voxel size is the user's and not the file's.
  public let isSpacingAssumed: Bool
  /// The number of volumes in the file.
  public let fileVolumeCount: Int

  /// The header extensions.
  public var extensions: [NIfTIExtension] {
    NIfTIExtension.parse(extensionBytes, byteOrder: header.byteOrder).extensions
  }

  /// The voxel type in the file, one of the supported ones.
  public var dataType: NIfTIDataType {
    guard let type = NIfTIDataType(rawValue: header.integer(.dataType)) else {
      preconditionFailure("NIfTISource: datatype \(header.integer(.dataType)) passed the checks")
    }
    return type
  }
}

/// An image as read from a NIfTI file.
public struct NIfTIImage: Sendable, Equatable {
  /// What the file held besides its voxels.
  public let source: NIfTISource
  /// The voxels after scaling; NaN and infinite ones are 0.
  public var volume: Volume
  /// Where the file has NaN or infinity; nil if nowhere.
  public let nonFinite: NonFiniteMask?
  /// The smallest and largest finite value.
  public let range: ClosedRange<Float>
  /// What is worth telling about the file.
  public let warnings: [NIfTIWarning]
}
