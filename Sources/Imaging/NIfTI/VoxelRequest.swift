/// The voxels that a header promises and a caller wants, and the checks before they are read.
struct VoxelRequest {
  /// The name of the image in errors.
  let file: String
  let shape: ImageShape
  let decoder: VoxelDecoder
  /// Where the voxels begin in their file.
  let offset: Int
  /// The wanted volume, or nil for all.
  let wanted: Int?
  /// The largest number of bytes that may be claimed.
  let limit: UInt64

  /// The bytes of all voxels, or nil if that is more than 2^63.
  private var promised: UInt64? { NIfTIHeader.voxelBytes(shape, type: decoder.type) }

  /// Checks that the bytes can be there and that the voxels fit the limit.
  ///
  /// - Parameter data: The file with the voxels.
  /// - Throws: ``ImagingError/imageDataTruncated(file:expected:found:)``,
  ///   ``ImagingError/invalidDataOffset(file:reason:)`` or
  ///   ``ImagingError/needsMemory(file:needed:working:limit:)``.
  func check(against data: NIfTIByteFile) throws(ImagingError) {
    let bound = data.byteBound
    let isPresent = promised.map { UInt64(offset) <= bound && $0 <= bound - UInt64(offset) }
    if data.isCompressed {
      // Telling what compressed bytes hold takes work in proportion, so the limit goes first.
      try checkLimit()
      if isPresent != true { throw try explainMissing(data) }
    } else {
      if isPresent != true { throw try explainMissing(data) }
      try checkLimit()
    }
  }

  private func checkLimit() throws(ImagingError) {
    guard let promised else {
      throw .needsMemory(file: file, needed: .max, working: .max, limit: limit)
    }
    let needed = wanted == nil ? promised : promised / UInt64(shape.volumes)
    let size = UInt64(decoder.type.size)
    let (working, overflow) = (needed / size).multipliedReportingOverflow(by: 4)
    let (total, overflow2) = working.addingReportingOverflow(UInt64(offset))
    guard !overflow, !overflow2, total <= limit else {
      // The size of the data themselves is the figure that users know, but not if it would fit.
      let figure = needed > limit ? needed : total
      throw .needsMemory(
        file: file, needed: figure, working: overflow || overflow2 ? .max : total, limit: limit)
    }
  }

  /// The error for voxels that cannot be there.
  private func explainMissing(_ data: NIfTIByteFile) throws(ImagingError) -> ImagingError {
    if data.isCompressed { _ = try data.skip(.max - data.position) }
    let held = data.isCompressed ? data.position : data.byteBound
    guard held >= UInt64(offset) else { return missingOffset(data) }
    return missingVoxels(found: held - UInt64(offset))
  }

  /// The error for an offset of the voxels that is not reached.
  func missingOffset(_ data: NIfTIByteFile) -> ImagingError {
    // A stream that breaks off says nothing against the offset.
    data.isCut
      ? missingVoxels(found: 0)
      : .invalidDataOffset(
        file: file,
        reason: "vox_offset is \(offset), the file holds "
          + "\(data.isCompressed ? data.position : data.byteBound) bytes")
  }

  /// The error for fewer voxels than promised.
  func missingVoxels(found: UInt64) -> ImagingError {
    .imageDataTruncated(file: file, expected: promised ?? .max, found: found)
  }
}

// MARK: - Reading

extension VoxelRequest {
  /// The number of voxels of one volume, after the checks.
  private var volumeVoxels: Int { shape.size.count }

  /// Decodes the wanted voxels.
  ///
  /// - Parameter data: The file with the voxels, at their offset.
  /// - Returns: The voxels, shape `[t, z, y, x]`, 0 where not finite, and what was seen of them.
  /// - Throws: ``ImagingError/imageDataTruncated(file:expected:found:)`` and what reading throws.
  func decode(_ data: NIfTIByteFile) throws(ImagingError) -> ([Float], VoxelStatistics) {
    let volumeBytes = volumeVoxels * decoder.type.size
    let first = wanted ?? 0
    let before = UInt64(first * volumeBytes)
    let skipped = try data.skip(before)
    guard skipped == before else { throw missingVoxels(found: skipped) }

    let count = volumeVoxels * (wanted == nil ? shape.volumes : 1)
    var statistics = VoxelStatistics(voxelCount: count)
    var failure: ImagingError?
    // The memory is claimed but not touched before there are voxels to put there.
    let voxels = [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      let target = UnsafeMutableBufferPointer(rebasing: buffer[..<count])
      do throws(ImagingError) {
        try fill(target, from: data, after: before, statistics: &statistics)
        initialized = count
      } catch {
        failure = error
        initialized = 0
      }
    }
    if let failure { throw failure }

    let rest = UInt64(shape.volumes * volumeBytes) - before - UInt64(count * decoder.type.size)
    let passed = try data.skip(rest)
    guard passed == rest else {
      throw missingVoxels(found: before + UInt64(count * decoder.type.size) + passed)
    }
    return (voxels, statistics)
  }

  private func fill(
    _ target: UnsafeMutableBufferPointer<Float>, from data: NIfTIByteFile, after before: UInt64,
    statistics: inout VoxelStatistics
  ) throws(ImagingError) {
    let size = decoder.type.size
    // 32 Ki voxels: stored and decoded form stay in the cache between the steps.
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: size << 15, alignment: 64)
    defer { chunk.deallocate() }
    var done = 0
    while done < target.count {
      let count = min(target.count - done, 1 << 15)
      let raw = UnsafeMutableRawBufferPointer(rebasing: chunk[..<(count * size)])
      let got = try data.read(into: raw)
      guard got == raw.count else {
        throw missingVoxels(found: before + UInt64(done * size + got))
      }
      let part = UnsafeMutableBufferPointer(rebasing: target[done..<done + count])
      decoder.decode(UnsafeRawBufferPointer(raw), into: part)
      statistics.take(part, from: done)
      done += count
    }
  }

  /// Looks at what follows the voxels.
  ///
  /// - Throws: ``ImagingError/imageDataTruncated(file:expected:found:)`` if the compressed stream
  ///   breaks off before its checksum, ``ImagingError/checksumMismatch(file:reason:)``.
  func finish(_ data: NIfTIByteFile) throws(ImagingError) -> NIfTIWarning? {
    switch try data.tail() {
    case .nothing: return nil
    case .data(let bytes, let verified):
      return .trailingData(bytes: bytes, checksumVerified: verified)
    case .garbage: return .trailingGarbage
    case .cut: throw missingVoxels(found: promised ?? .max)
    }
  }
}
