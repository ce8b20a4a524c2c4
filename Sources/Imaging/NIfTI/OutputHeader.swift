/// The bytes in front of the voxels of an image that is written.
struct OutputHeader {
  /// The header.
  private(set) var header: NIfTIHeader
  /// What follows it in its file.
  private(set) var extensionBytes: [UInt8]
  private(set) var warnings: [NIfTIWarning] = []

  /// Makes the header for a volume.
  ///
  /// This is the only place where an input's header is changed, and these are all the changes. A
  /// field that is not named keeps its bytes, as do fields that the standard does not define.
  ///
  /// | when | fields |
  /// | --- | --- |
  /// | another voxel type | `datatype`, `bitpix` |
  /// | another scaling | `scl_slope`, `scl_inter` |
  /// | labels | also `cal_min`, `cal_max`, which would hide them |
  /// | another number of volumes | `dim[0]`, `dim[4]` |
  /// | another grid, or an assumed voxel size | those of ``NIfTIHeader/setGrid(_:)`` |
  /// | single file to pair or back | `magic`, `vox_offset`; extensions are kept |
  ///
  /// - Parameters:
  ///   - volume: The volume that follows.
  ///   - source: The input that the volume came from; nil makes a header of our own.
  ///   - encoding: Type and scaling of the voxels.
  ///   - wanted: The type that was asked for.
  ///   - isPair: Whether the voxels go to a file of their own.
  ///   - file: The name of the output in errors.
  /// - Throws: ``ImagingError/invalidDimensions(file:dimensions:reason:)`` if a size is beyond what
  ///   the input's version of the format can say.
  init(
    for volume: Volume, like source: NIfTISource?, encoding: OutputEncoding,
    wanted: OutputDataType, isPair: Bool, file: String
  ) throws(ImagingError) {
    let needed = [volume.size.x, volume.size.y, volume.size.z, volume.volumeCount]
    let isLarge = needed.contains { $0 > Int(Int16.max) }
    guard let source else {
      header = Self.new(for: volume, version: isLarge ? .two : .one, isPair: isPair)
      extensionBytes = isPair ? [] : [0, 0, 0, 0]
      setEncoding(encoding, wanted: wanted)
      setGrid(volume.geometry)
      return
    }
    header = source.header
    extensionBytes = source.extensionBytes
    guard header.version == .two || !isLarge else {
      throw .invalidDimensions(
        file: file, dimensions: needed, reason: "a NIfTI-1 header cannot say more than 32767")
    }
    setEncoding(encoding, wanted: wanted)
    setVolumeCount(volume.volumeCount, fileCount: source.fileVolumeCount)
    let isSameGrid = volume.geometry.matches(source.geometry, tolerance: 1e-4)
    if !isSameGrid || source.isSpacingAssumed {
      setGrid(volume.geometry)
      let rank = header.integer(.dim)
      if rank < 3 && volume.size.z > 1 { header.set(.dim, to: 3) }
      if rank < 2 && volume.size.z == 1 && volume.size.y > 1 { header.set(.dim, to: 2) }
    }
    setContainer(isPair: isPair)
  }

  /// A header without anything that is not known.
  private static func new(
    for volume: Volume, version: NIfTIHeader.Version, isPair: Bool
  ) -> NIfTIHeader {
    var header = NIfTIHeader(
      version: version, byteOrder: .native, kind: isPair ? .pair : .single)
    header.set(.dim, to: volume.volumeCount > 1 ? 4 : 3)
    for index in 4...7 { header.set(.dim, at: index, to: index == 4 ? volume.volumeCount : 1) }
    for index in 0...7 { header.set(.pixdim, at: index, to: 1) }
    header.set(.voxelOffset, to: isPair ? 0 : version.headerSize + 4)
    // 2: millimetres; the unit of time is not known.
    header.set(.units, to: 2)
    return header
  }

  private mutating func setEncoding(_ encoding: OutputEncoding, wanted: OutputDataType) {
    let type = encoding.encoder.type
    if header.integer(.dataType) != type.rawValue {
      header.set(.dataType, to: type.rawValue)
      header.set(.bitsPerVoxel, to: type.size * 8)
    }
    if let (slope, intercept) = encoding.patch {
      header.set(.slope, to: slope)
      header.set(.intercept, to: intercept)
    }
    if wanted == .labels {
      header.set(.displayMinimum, to: 0)
      header.set(.displayMaximum, to: 0)
    }
  }

  private mutating func setVolumeCount(_ count: Int, fileCount: Int) {
    guard count != fileCount else { return }
    let rank = header.integer(.dim)
    header.set(.dim, to: count > 1 ? 4 : min(rank, 3))
    // Sizes beyond the old rank mean nothing, and may be anything.
    for index in 1...3 where count > 1 && index > rank { header.set(.dim, at: index, to: 1) }
    header.set(.dim, at: 4, to: count)
  }

  private mutating func setGrid(_ geometry: Geometry) {
    if !header.setGrid(geometry) { warnings.append(.quaternionFormOmitted) }
  }

  /// Arranges magic, offset and the bytes behind the header for a single file or a pair.
  private mutating func setContainer(isPair: Bool) {
    let isFromPair = header.kind == .pair
    if isPair {
      if !isFromPair { header.setKind(.pair) }
      if header.number(.voxelOffset) != 0 { header.set(.voxelOffset, to: 0) }
      return
    }
    guard isFromPair else { return }
    header.setKind(.single)
    if extensionBytes.count < 4 { extensionBytes = [0, 0, 0, 0] }
    // Readers that map files expect the voxels at a multiple of 16.
    let end = header.version.headerSize + extensionBytes.count
    extensionBytes += [UInt8](repeating: 0, count: (16 - end % 16) % 16)
    header.set(.voxelOffset, to: header.version.headerSize + extensionBytes.count)
  }
}
