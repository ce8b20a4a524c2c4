/// The sizes of the four axes that an image may have.
struct ImageShape: Sendable, Equatable {
  /// Voxels along x, y, z.
  let size: GridSize
  /// Volumes.
  let volumes: Int
  /// The number of dimensions that the header names, 1 to 7.
  let rank: Int
}

extension NIfTIHeader {
  /// The shape of the work array, `[t, z, y, x]`, if the dimension fields are sound.
  ///
  /// - Parameter file: The name of the file in errors.
  /// - Returns: Four sizes, 1 where the header names no dimension.
  /// - Throws: ``ImagingError/invalidDimensions(file:dimensions:reason:)``.
  public func checkedShape(file: String) throws(ImagingError) -> [Int] {
    let shape = try checkedSizes(file: file)
    return [shape.volumes] + shape.size.shape
  }

  /// The sizes of the axes, if the dimension fields are sound.
  ///
  /// The product of the sizes may still overflow; ``voxelBytes(_:type:)`` tells.
  func checkedSizes(file: String) throws(ImagingError) -> ImageShape {
    let rank = integer(.dim, at: 0)
    let sizes = (1...7).map { integer(.dim, at: $0) }
    func invalid(_ reason: String) -> ImagingError {
      .invalidDimensions(file: file, dimensions: [rank] + sizes, reason: reason)
    }
    guard (1...7).contains(rank) else { throw invalid("\(rank) dimensions are outside 1 to 7") }
    for (axis, size) in sizes[..<rank].enumerated() where size < 1 {
      throw invalid("dimension \(axis + 1) has size \(size)")
    }
    for (axis, size) in sizes[..<rank].enumerated() where axis >= 4 && size > 1 {
      throw invalid("the image has \(axis + 1) dimensions, no more than 4 are supported")
    }
    let used = (0..<4).map { $0 < rank ? sizes[$0] : 1 }
    return ImageShape(
      size: GridSize(x: used[0], y: used[1], z: used[2]), volumes: used[3], rank: rank)
  }

  /// The number of bytes that all voxels take, or nil if that is more than 2^63.
  static func voxelBytes(_ shape: ImageShape, type: NIfTIDataType) -> UInt64? {
    var product = type.size
    for factor in [shape.size.x, shape.size.y, shape.size.z, shape.volumes] {
      let (value, overflow) = product.multipliedReportingOverflow(by: factor)
      if overflow { return nil }
      product = value
    }
    return UInt64(product)
  }

  /// The voxel type, if it is one that can be read.
  ///
  /// - Parameter file: The name of the file in errors.
  /// - Returns: The type.
  /// - Throws: ``ImagingError/unsupportedDataType(file:reason:)``.
  public func checkedDataType(file: String) throws(ImagingError) -> NIfTIDataType {
    let code = integer(.dataType)
    guard let type = NIfTIDataType(rawValue: code) else {
      let name = NIfTIDataType.name(ofCode: code)
      throw .unsupportedDataType(
        file: file,
        reason: name.map { "voxels are \($0) (datatype \(code))" } ?? "datatype \(code) is unknown")
    }
    let bits = integer(.bitsPerVoxel)
    guard bits == type.size * 8 else {
      throw .unsupportedDataType(
        file: file, reason: "\(type) voxels have \(type.size * 8) bits, bitpix says \(bits)")
    }
    return type
  }

  /// The offset of the voxels in their file, if it is sound as far as the header alone can tell.
  ///
  /// - Parameter file: The name of the file in errors.
  /// - Returns: The offset in bytes.
  /// - Throws: ``ImagingError/invalidDataOffset(file:reason:)``.
  func checkedVoxelOffset(file: String) throws(ImagingError) -> Int {
    let value = number(.voxelOffset)
    // In a single file the four extension bytes lie between header and voxels.
    let smallest = kind == .single ? version.headerSize + 4 : 0
    guard value >= Double(smallest) else {
      throw .invalidDataOffset(
        file: file, reason: "vox_offset is \(value), the smallest possible is \(smallest)")
    }
    guard value < 0x1p62, value == value.rounded(.down) else {
      throw .invalidDataOffset(file: file, reason: "vox_offset is \(value)")
    }
    return version == .two ? integer(.voxelOffset) : Int(value)
  }

  /// Factor and summand from stored to true values, or nil if stored values are the true ones.
  ///
  /// A slope of 0, NaN or infinity means no scaling, whatever the intercept is. With a slope that
  /// counts, an intercept that is not finite is taken as 0.
  public var scaling: (slope: Double, intercept: Double)? {
    let slope = number(.slope)
    guard slope.isFinite, slope != 0 else { return nil }
    let intercept = hasUnusableIntercept ? 0 : number(.intercept)
    return slope == 1 && intercept == 0 ? nil : (slope, intercept)
  }

  /// Whether the slope counts but the intercept is NaN or infinite.
  var hasUnusableIntercept: Bool {
    let slope = number(.slope)
    return slope.isFinite && slope != 0 && !number(.intercept).isFinite
  }
}
