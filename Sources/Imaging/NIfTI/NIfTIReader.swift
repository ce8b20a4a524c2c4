/// Reads and writes NIfTI images.
///
/// Every byte is moved here; libnifti only computes with matrices. A header is checked against the
/// bytes that are really present before memory is claimed on its word, and compressed data are
/// inflated no further than the header asks for.
///
/// Source: NIfTI-1 data format (Cox et al., 2004) and NIfTI-2 data format (2011), nifti.nimh.nih.gov.
public enum NIfTI {
  /// Reads the header of an image, whatever voxels it describes.
  ///
  /// ANALYZE 7.5 headers and headers of types that ``read(_:options:)`` refuses are returned too.
  ///
  /// - Parameter path: A .nii, .hdr or .img file, each also with .gz.
  /// - Returns: The header; its contents are not checked.
  /// - Throws: Errors of finding the file, ``ImagingError/notNIfTI(file:reason:)``,
  ///   ``ImagingError/notGzip(file:)``, ``ImagingError/headerTruncated(file:needed:found:)``.
  public static func readHeader(_ path: String) throws(ImagingError) -> NIfTIHeader {
    try openHeader(of: NIfTIPaths(path)).readHeader()
  }

  /// Reads an image.
  ///
  /// - Parameters:
  ///   - path: A .nii, .hdr or .img file, each also with .gz.
  ///   - options: Limits and choices.
  /// - Returns: The image; what was odd but readable is among its warnings.
  /// - Throws: ``ImagingError`` of finding the file, of its header, of its data, and
  ///   ``ImagingError/needsMemory(file:needed:working:limit:)``.
  public static func read(
    _ path: String, options: NIfTIReadOptions = NIfTIReadOptions()
  ) throws(ImagingError) -> NIfTIImage {
    let paths = NIfTIPaths(path)
    let headerFile = try openHeader(of: paths)
    let header = try headerFile.readHeader()
    var warnings: [NIfTIWarning] = headerFile.isMisnamed ? [.notCompressed] : []

    guard header.kind != .analyze else {
      throw .notNIfTI(
        file: paths.header,
        reason: "the header has 348 bytes like ANALYZE 7.5, but not the magic n+1 or ni1")
    }
    guard header.kind == .single || paths.isPair else {
      throw .notNIfTI(
        file: paths.header, reason: "the magic says that the voxels are in an .img file")
    }
    let shape = try header.checkedSizes(file: path)
    let type = try header.checkedDataType(file: path)
    let offset = try header.checkedVoxelOffset(file: path)
    if let wanted = options.volume, !(0..<shape.volumes).contains(wanted) {
      throw .noSuchVolume(file: path, index: wanted, count: shape.volumes)
    }
    let chosen = try header.chooseGeometry(
      size: shape.size, source: options.affineSource, assumed: options.assumedSpacing, file: path,
      warnings: &warnings)
    if header.hasUnusableIntercept { warnings.append(.interceptIgnored) }

    let data = header.kind == .single ? headerFile : try openVoxels(of: paths)
    let request = VoxelRequest(
      file: path, shape: shape,
      decoder: VoxelDecoder(
        type: type, isSwapped: header.byteOrder != .native, scaling: header.scaling),
      offset: offset, wanted: options.volume, limit: options.memoryLimit)
    try request.check(against: data)
    let extensionBytes = try readExtensions(headerFile, data: data, request: request)
    if !NIfTIExtension.parse(extensionBytes, byteOrder: header.byteOrder).isSound {
      warnings.append(.damagedExtension)
    }
    let (voxels, statistics) = try request.decode(data)
    if let warning = try request.finish(data) { warnings.append(warning) }

    let nonFinite = statistics.nonFiniteCount
    guard nonFinite < voxels.count else { throw .noFiniteVoxel(file: path) }
    if nonFinite > 0 {
      if options.isStrict { throw .nonFiniteVoxels(file: path, count: nonFinite) }
      warnings.append(.nonFinite(count: nonFinite))
    }
    if statistics.minimum == statistics.maximum {
      warnings.append(.constantImage(value: statistics.minimum))
    }
    return NIfTIImage(
      source: NIfTISource(
        files: header.kind == .pair ? paths.all : [paths.header], header: header,
        extensionBytes: extensionBytes, geometry: chosen.geometry, affineForm: chosen.form,
        isSpacingAssumed: chosen.isSpacingAssumed, fileVolumeCount: shape.volumes),
      volume: Volume(
        voxels: voxels, geometry: chosen.geometry,
        volumeCount: options.volume == nil ? shape.volumes : 1),
      nonFinite: statistics.mask, range: statistics.minimum...statistics.maximum,
      warnings: warnings)
  }

  private static func openHeader(of paths: NIfTIPaths) throws(ImagingError) -> NIfTIByteFile {
    do throws(ImagingError) {
      return try NIfTIByteFile(path: paths.header, isCompressed: paths.isCompressed)
    } catch {
      guard case .noSuchFile(let file, _) = error, paths.isPair else { throw error }
      throw .noSuchFile(file: file, reason: "it should hold the header of \(paths.image)")
    }
  }

  private static func openVoxels(of paths: NIfTIPaths) throws(ImagingError) -> NIfTIByteFile {
    do throws(ImagingError) {
      let file = try NIfTIByteFile(path: paths.image, isCompressed: paths.isCompressed)
      // Voxels without compression under a .gz name cannot be told from a damaged archive.
      if file.isMisnamed { throw ImagingError.notGzip(file: paths.image) }
      return file
    } catch {
      guard case .noSuchFile = error else { throw error }
      throw .noSuchFile(file: paths.image, reason: "it should hold the voxels of \(paths.header)")
    }
  }

  /// Reads what is between header and voxels, or behind the header of a pair, and leaves the
  /// voxels' file at their offset.
  private static func readExtensions(
    _ headerFile: NIfTIByteFile, data: NIfTIByteFile, request: VoxelRequest
  ) throws(ImagingError) -> [UInt8] {
    guard data === headerFile else {
      let skipped = try data.skip(UInt64(request.offset))
      guard skipped == request.offset else { throw request.missingOffset(data) }
      // Longer than this is no header; what would follow is no part of the image either.
      return try headerFile.read(1 << 26)
    }
    let count = request.offset - Int(headerFile.position)
    let bytes = try headerFile.read(count)
    guard bytes.count == count else { throw request.missingOffset(data) }
    return bytes
  }
}
