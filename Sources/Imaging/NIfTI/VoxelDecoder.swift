/// Turns stored voxels of one type and byte order into float32 intensities.
struct VoxelDecoder {
  let type: NIfTIDataType
  let isSwapped: Bool
  /// Factor and summand from stored to true values; nil if stored values are the true ones.
  let scaling: (slope: Double, intercept: Double)?

  /// Decodes voxels.
  ///
  /// - Parameters:
  ///   - raw: The stored bytes, of any alignment.
  ///   - voxels: Receives as many voxels as it holds.
  func decode(_ raw: UnsafeRawBufferPointer, into voxels: UnsafeMutableBufferPointer<Float>) {
    precondition(raw.count >= voxels.count * type.size, "VoxelDecoder: too few bytes")
    switch type {
    case .uint8: integers(UInt8.self, raw, voxels)
    case .int8: integers(Int8.self, raw, voxels)
    case .uint16: integers(UInt16.self, raw, voxels)
    case .int16: integers(Int16.self, raw, voxels)
    case .uint32: integers(UInt32.self, raw, voxels)
    case .int32: integers(Int32.self, raw, voxels)
    case .uint64: integers(UInt64.self, raw, voxels)
    case .int64: integers(Int64.self, raw, voxels)
    case .float32: floats32(raw, voxels)
    case .float64: floats64(raw, voxels)
    }
  }

  // The byte order and the scaling are decided outside the loops, so that each loop is free of
  // branches and can be vectorised.

  @inline(__always)
  private func integers<T: FixedWidthInteger>(
    _: T.Type, _ raw: UnsafeRawBufferPointer, _ voxels: UnsafeMutableBufferPointer<Float>
  ) {
    if isSwapped {
      integers(raw, voxels) { (value: T) in value.byteSwapped }
    } else {
      integers(raw, voxels) { (value: T) in value }
    }
  }

  @inline(__always)
  private func integers<T: FixedWidthInteger>(
    _ raw: UnsafeRawBufferPointer, _ voxels: UnsafeMutableBufferPointer<Float>,
    ordered: (T) -> T
  ) {
    let size = MemoryLayout<T>.size
    if let (slope, intercept) = scaling {
      for index in 0..<voxels.count {
        let value = ordered(raw.loadUnaligned(fromByteOffset: index * size, as: T.self))
        voxels[index] = Float(Double(value) * slope + intercept)
      }
    } else {
      for index in 0..<voxels.count {
        voxels[index] = Float(
          ordered(raw.loadUnaligned(fromByteOffset: index * size, as: T.self)))
      }
    }
  }

  private func floats32(
    _ raw: UnsafeRawBufferPointer, _ voxels: UnsafeMutableBufferPointer<Float>
  ) {
    if isSwapped {
      for index in 0..<voxels.count {
        let bits = raw.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)
        voxels[index] = Float(bitPattern: bits.byteSwapped)
      }
    } else {
      UnsafeMutableRawBufferPointer(voxels).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: raw[..<(voxels.count * 4)]))
    }
    guard let (slope, intercept) = scaling else { return }
    for index in 0..<voxels.count {
      voxels[index] = Float(Double(voxels[index]) * slope + intercept)
    }
  }

  private func floats64(
    _ raw: UnsafeRawBufferPointer, _ voxels: UnsafeMutableBufferPointer<Float>
  ) {
    let (slope, intercept) = scaling ?? (1, 0)
    let swap = isSwapped
    for index in 0..<voxels.count {
      let stored = raw.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
      let value = Double(bitPattern: swap ? stored.byteSwapped : stored)
      voxels[index] = Float(value * slope + intercept)
    }
  }
}
