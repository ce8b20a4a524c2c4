/// How an image is written.
public struct NIfTIWriteOptions: Sendable {
  /// The voxel type.
  public var dataType: OutputDataType
  /// Whether values beyond the range of an integer type saturate, with a warning, instead of
  /// getting a new slope and intercept.
  public var keepsScaling: Bool
  /// Whether an existing file is replaced.
  public var overwrite: Bool
  /// Paths of further files that must survive; those of the source always do.
  public var inputs: [String]
  /// The effort of compression, 1 (fast) to 9 (small).
  public var compressionLevel: Int
  /// Voxels to write as NaN, of the same shape as the volume.
  public var nonFinite: NonFiniteMask?

  /// Creates options.
  ///
  /// - Parameters:
  ///   - dataType: The voxel type.
  ///   - keepsScaling: Whether values beyond the range of an integer type saturate, with a warning,
  ///     instead of getting a new slope and intercept.
  ///   - overwrite: Whether an existing file is replaced.
  ///   - inputs: Paths of further files that must survive; those of the source always do.
  ///   - compressionLevel: The effort of compression, 1 (fast) to 9 (small).
  ///   - nonFinite: Voxels to write as NaN, of the same shape as the volume.
  public init(
    dataType: OutputDataType = .same, keepsScaling: Bool = false, overwrite: Bool = false,
    inputs: [String] = [], compressionLevel: Int = 6, nonFinite: NonFiniteMask? = nil
  ) {
    self.dataType = dataType
    self.keepsScaling = keepsScaling
    self.overwrite = overwrite
    self.inputs = inputs
    self.compressionLevel = compressionLevel
    self.nonFinite = nonFinite
  }
}

extension NIfTI {
  /// Checks the name of an output, before the work that leads to it.
  ///
  /// - Parameter path: The path to be written.
  /// - Throws: ``ImagingError/unsupportedFormat(file:reason:)``.
  public static func checkName(_ path: String) throws(ImagingError) {
    guard NIfTIPaths(path).isKnownName else {
      throw .unsupportedFormat(
        file: path, reason: "the name of a NIfTI image ends in .nii, .nii.gz, .hdr or .img")
    }
  }

  /// The files of an image: one, or for the name of either file of a pair both, the header first.
  public static func files(of path: String) -> [String] { NIfTIPaths(path).all }

  /// Writes a volume; the file, or the pair of files, appears only when it is complete.
  ///
  /// If the grid is that of the source, its header is copied byte for byte, with its byte order and
  /// extensions, but for the few fields that must change (see ``OutputHeader``). Without
  /// a source the header is a new one. Compressed files depend on nothing
  /// but their contents.
  ///
  /// - Parameters:
  ///   - volume: The true values.
  ///   - path: A path that ends in .nii, .hdr or .img, each also with .gz; the latter two give both.
  ///   - source: The input that the volume came from.
  ///   - options: Type, scaling and permission to overwrite.
  /// - Returns: What is worth telling.
  /// - Throws: ``ImagingError/unsupportedFormat(file:reason:)``,
  ///   ``ImagingError/overwritingInput(file:input:)``, ``ImagingError/outputExists(file:)``,
  ///   ``ImagingError/cannotCreate(file:reason:)``, ``ImagingError/writeFailed(file:reason:)``,
  ///   ``ImagingError/labelMapNotInteger(file:value:)``,
  ///   ``ImagingError/invalidDimensions(file:dimensions:reason:)``.
  @discardableResult
  public static func write(
    _ volume: Volume, to path: String, like source: NIfTISource? = nil,
    options: NIfTIWriteOptions = NIfTIWriteOptions()
  ) throws(ImagingError) -> [NIfTIWarning] {
    try checkName(path)
    let paths = NIfTIPaths(path)
    if let mask = options.nonFinite {
      precondition(
        mask.voxelCount == volume.voxels.count,
        "NIfTI.write: mask of \(mask.voxelCount) voxels for shape \(volume.shape)")
    }
    // Before the work of choosing a scaling: a path that is refused should be so at once.
    let inputs = options.inputs + (source?.files ?? [])
    let files = try paths.all.map { (path) throws(ImagingError) in
      try AtomicFile(path: path, overwrite: options.overwrite, inputs: inputs)
    }

    let byteOrder = source?.header.byteOrder ?? .native
    let encoding = try OutputEncoding(
      volume, as: options.dataType, source: source?.header, keepsScaling: options.keepsScaling,
      isSwapped: byteOrder != .native, file: path)
    let front = try OutputHeader(
      for: volume, like: source, encoding: encoding, wanted: options.dataType,
      isPair: paths.isPair, file: path)

    var sinks: [any ByteSink] = []
    for file in files {
      sinks.append(
        paths.isCompressed ? try GzipWriter(file, level: options.compressionLevel) : file)
    }
    try sinks[0].write(front.header.bytes + front.extensionBytes)
    let replaced = try writeVoxels(
      volume, encoder: encoding.encoder, mask: options.nonFinite, to: sinks[sinks.count - 1])
    for sink in sinks { try sink.finish() }
    // The header last: a pair whose header is there is complete.
    for file in files.reversed() { try file.commit() }

    var warnings = encoding.warnings + front.warnings
    if replaced > 0 { warnings.append(.nonFiniteAsZero(count: replaced)) }
    return warnings
  }

  /// Encodes and writes all voxels.
  ///
  /// - Returns: The number of NaN that an integer type could not hold.
  private static func writeVoxels(
    _ volume: Volume, encoder: VoxelEncoder, mask: NonFiniteMask?, to sink: any ByteSink
  ) throws(ImagingError) -> Int {
    let step = 1 << 15
    let raw = UnsafeMutableRawBufferPointer.allocate(
      byteCount: step * encoder.type.size, alignment: 64)
    let part = UnsafeMutableBufferPointer<Float>.allocate(capacity: step)
    defer {
      raw.deallocate()
      part.deallocate()
    }
    var replaced = 0
    for start in stride(from: 0, to: volume.voxels.count, by: step) {
      let count = min(step, volume.voxels.count - start)
      let voxels = UnsafeMutableBufferPointer(rebasing: part[..<count])
      _ = voxels.update(fromContentsOf: volume.voxels[start..<start + count])
      mask?.restore(voxels, from: start)
      if encoder.type.isInteger { replaced += voxels.count { $0.isNaN } }
      encoder.encode(UnsafeBufferPointer(voxels), into: raw)
      try sink.write(
        UnsafeRawBufferPointer(rebasing: raw[..<(count * encoder.type.size)]))
    }
    return replaced
  }
}
