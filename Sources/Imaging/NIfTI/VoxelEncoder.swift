/// Turns float32 intensities into stored voxels of one type and byte order.
struct VoxelEncoder {
  let type: NIfTIDataType
  let isSwapped: Bool
  /// Factor and summand from stored to true values; nil if stored values are the true ones.
  let scaling: (slope: Double, intercept: Double)?

  /// Encodes voxels.
  ///
  /// Whole numbers are rounded half to even and saturated; NaN becomes the true value 0.
  ///
  /// - Parameters:
  ///   - voxels: The true values.
  ///   - raw: Receives the stored bytes, of any alignment.
  /// - Returns: The number of voxels beyond the range of the type.
  @discardableResult
  func encode(
    _ voxels: UnsafeBufferPointer<Float>, into raw: UnsafeMutableRawBufferPointer
  ) -> Int {
    precondition(raw.count >= voxels.count * type.size, "VoxelEncoder: too few bytes")
    switch type {
    case .uint8: return integers(UInt8.self, voxels, raw)
    case .int8: return integers(Int8.self, voxels, raw)
    case .uint16: return integers(UInt16.self, voxels, raw)
    case .int16: return integers(Int16.self, voxels, raw)
    case .uint32: return integers(UInt32.self, voxels, raw)
    case .int32: return integers(Int32.self, voxels, raw)
    case .int64: return integers(Int64.self, voxels, raw)
    case .uint64: return unsigned64(voxels, raw)
    case .float32: floats32(voxels, raw)
    case .float64: floats64(voxels, raw)
    }
    return 0
  }

  /// The number of voxels that are beyond the range of the type.
  func countBeyondRange(_ voxels: UnsafeBufferPointer<Float>) -> Int {
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: type.size << 12, alignment: 64)
    defer { scratch.deallocate() }
    var count = 0
    for start in stride(from: 0, to: voxels.count, by: 1 << 12) {
      let end = min(start + 1 << 12, voxels.count)
      count += encode(UnsafeBufferPointer(rebasing: voxels[start..<end]), into: scratch)
    }
    return count
  }

  /// The nearest whole number, half to even.
  ///
  /// Adding 1.5 * 2^52 leaves no room for a fraction, and the processor rounds half to even; unlike
  /// a call of the rounding function this can be vectorised on every x86-64. From 2^51 on the trick
  /// fails, but then a float32 divided by a slope needs no rounding that would matter to a range
  /// check, and 64-bit types hold such numbers without fraction.
  @inline(__always)
  private static func rounded(_ value: Double) -> Double {
    value.magnitude < 0x1p51 ? (value + 0x1.8p52) - 0x1.8p52 : value.rounded(.toNearestOrEven)
  }

  @inline(__always)
  private static func stored(_ voxel: Float, _ slope: Double, _ intercept: Double) -> Double {
    rounded(((voxel == voxel ? Double(voxel) : 0) - intercept) / slope)
  }

  @inline(__always)
  private func integers<T: FixedWidthInteger>(
    _: T.Type, _ voxels: UnsafeBufferPointer<Float>, _ raw: UnsafeMutableRawBufferPointer
  ) -> Int {
    let (slope, intercept) = scaling ?? (1, 0)
    // The largest Double that an Int64 can be made from lies 1024 below 2^63.
    let low = Double(T.min)
    let high = T.max == Int64.max ? 0x1p63 - 1024 : Double(T.max)
    let swap = isSwapped
    var beyond = 0
    for index in 0..<voxels.count {
      let value = Self.stored(voxels[index], slope, intercept)
      beyond += value < low || value > high ? 1 : 0
      let clamped = min(max(value, low), high)
      let whole = value > high ? T.max : T(truncatingIfNeeded: Int64(clamped))
      raw.storeBytes(
        of: swap ? whole.byteSwapped : whole, toByteOffset: index * MemoryLayout<T>.size,
        as: T.self)
    }
    return beyond
  }

  private func unsigned64(
    _ voxels: UnsafeBufferPointer<Float>, _ raw: UnsafeMutableRawBufferPointer
  ) -> Int {
    let (slope, intercept) = scaling ?? (1, 0)
    let high = 0x1p64 - 2048
    var beyond = 0
    for index in 0..<voxels.count {
      let value = Self.stored(voxels[index], slope, intercept)
      beyond += value < 0 || value > high ? 1 : 0
      let whole = value > high ? UInt64.max : UInt64(max(value, 0))
      raw.storeBytes(
        of: isSwapped ? whole.byteSwapped : whole, toByteOffset: index * 8, as: UInt64.self)
    }
    return beyond
  }

  private func floats32(
    _ voxels: UnsafeBufferPointer<Float>, _ raw: UnsafeMutableRawBufferPointer
  ) {
    for index in 0..<voxels.count {
      var value = voxels[index]
      if let (slope, intercept) = scaling { value = Float((Double(value) - intercept) / slope) }
      let bits = value.bitPattern
      raw.storeBytes(
        of: isSwapped ? bits.byteSwapped : bits, toByteOffset: index * 4, as: UInt32.self)
    }
  }

  private func floats64(
    _ voxels: UnsafeBufferPointer<Float>, _ raw: UnsafeMutableRawBufferPointer
  ) {
    for index in 0..<voxels.count {
      var value = Double(voxels[index])
      if let (slope, intercept) = scaling { value = (value - intercept) / slope }
      let bits = value.bitPattern
      raw.storeBytes(
        of: isSwapped ? bits.byteSwapped : bits, toByteOffset: index * 8, as: UInt64.self)
    }
  }
}
