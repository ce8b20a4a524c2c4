import Foundation

/// An image that was read from a file of any format, with what is needed to write a result in its
/// place.
public struct ScanFile: Sendable {
  /// What the file held besides its intensities.
  public enum Source: Sendable {
    /// Header, extensions and byte order of a NIfTI file.
    case nifti(NIfTISource)
    /// Bit depth and channels of a PNG, or of each of a folder of them.
    case png(bitDepth: Int, channels: Int)
  }

  /// The path that was read.
  public let path: String
  /// The intensities on their grid; NaN and infinite ones are 0.
  public var volume: Volume
  /// What the file held besides.
  public let source: Source
  /// Where the file has NaN or infinity; nil if nowhere.
  public let nonFinite: NonFiniteMask?
  /// What is worth telling about the file, one sentence each.
  public let warnings: [String]
  /// The files that were read: those of a pair, the slices of a folder.
  public let files: [String]

  /// The lowest and the highest intensity, without the zeros that stand for NaN and infinity.
  public var range: [Float] {
    let voxels = nonFinite.map { mask in zip(volume.voxels, mask.finite).filter(\.1).map(\.0) }
    return Volume.range(of: voxels ?? volume.voxels)
  }

  /// Reads an image, by the ending of its name.
  ///
  /// A PNG is a volume of one slice, a folder of PNG files a stack of slices (``PNGVolume``).
  ///
  /// - Parameters:
  ///   - path: A NIfTI file, a PNG, or a folder of PNG files.
  ///   - options: Limits and choices.
  /// - Returns: The image.
  /// - Throws: ``ImagingError`` of the format, or
  ///   ``ImagingError/unsupportedFormat(file:reason:)`` for other endings.
  public static func read(
    _ path: String, options: NIfTIReadOptions = NIfTIReadOptions()
  ) throws(ImagingError) -> ScanFile {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw .noSuchFile(file: path, reason: nil)
    }
    // A picture is one volume.
    if isFolder.boolValue || ImageFormat(path: path) == .png, let volume = options.volume,
      volume > 0
    {
      throw .noSuchVolume(file: path, index: volume, count: 1)
    }
    if isFolder.boolValue {
      return try ScanFile(
        path,
        PNGVolume(
          stackIn: path, spacing: options.assumedSpacing ?? SIMD3(1, 1, 1),
          maxMemory: options.maxMemory))
    }
    switch ImageFormat(path: path) {
    case .nifti:
      let image = try NIfTI.read(path, options: options)
      return ScanFile(
        path: path, volume: image.volume, source: .nifti(image.source), nonFinite: image.nonFinite,
        warnings: image.warnings.map { $0.description }, files: image.source.files)
    case .png:
      return try ScanFile(
        path,
        PNGVolume(
          contentsOf: path, spacing: options.assumedSpacing ?? SIMD3(1, 1, 1),
          maxMemory: options.maxMemory))
    case nil:
      throw .unsupportedFormat(file: path, reason: "the name ends in none of \(Self.allEndings)")
    }
  }

  private init(_ path: String, _ png: PNGVolume) {
    let isColour = png.files.count == 1 && png.volume.volumeCount > 1
    self.init(
      path: path, volume: png.volume,
      source: .png(bitDepth: png.bitDepth, channels: isColour ? png.volume.volumeCount : 1),
      nonFinite: nil, warnings: png.warnings.map { $0.description }, files: png.files)
  }

  private init(
    path: String, volume: Volume, source: Source, nonFinite: NonFiniteMask?, warnings: [String],
    files: [String]
  ) {
    self.path = path
    self.volume = volume
    self.source = source
    self.nonFinite = nonFinite
    self.warnings = warnings
    self.files = files
  }

  /// Writes a volume in place of this image's: same format, same grid, same header.
  ///
  /// - Parameters:
  ///   - volume: The true values, on this image's grid unless it is NIfTI.
  ///   - path: Ends like a file of this image's format; for a folder of PNG slices, a folder.
  ///   - options: Type, scaling and permission to overwrite; a PNG keeps its bit depth.
  /// - Returns: What is worth telling, one sentence each.
  /// - Throws: ``ImagingError`` of the output.
  public func write(
    _ volume: Volume, to path: String, options: NIfTIWriteOptions = NIfTIWriteOptions()
  ) throws(ImagingError) -> [String] {
    var volume = volume
    if pictureFactor != 1 { volume.voxels = volume.voxels.map { $0 * pictureFactor } }
    switch (source, ImageFormat(path: path)) {
    case (.nifti(let source), .nifti):
      return try NIfTI.write(volume, to: path, like: source, options: options)
        .map { $0.description }
    case (.png(let bitDepth, channels: 1), nil) where Self.isFolder(self.path):
      let saturated = try PNGVolume.writeStack(
        volume, bitDepth: bitDepth, to: PNGStackOutput(path, likeStackIn: self.path),
        overwrite: options.overwrite)
      return Self.saturation(saturated, of: volume)
    case (.png(let bitDepth, channels: 1), .png) where !Self.isFolder(self.path):
      let size = volume.size
      guard size.z == 1, volume.volumeCount == 1 else {
        throw .unsupportedFormat(file: path, reason: "a PNG holds one slice, not \(size)")
      }
      let (image, saturated) = PNGImage.rounding(
        volume.voxels, height: size.y, width: size.x, colour: .grey, bitDepth: max(8, bitDepth))
      try image.write(to: path, overwrite: options.overwrite, inputs: options.inputs + [self.path])
      return Self.saturation(saturated, of: volume)
    default:
      throw Self.otherFormat(path, than: self.path)
    }
  }

  /// By how much samples of less than 8 bits are multiplied: written as 8 bits they are shown as they were.
  private var pictureFactor: Float {
    guard case .png(let bitDepth, _) = source, bitDepth < 8 else { return 1 }
    return Float(255 / ((1 << bitDepth) - 1))
  }

  /// The lowest and the highest intensity of a volume as ``write(_:to:options:)`` stores it: a picture holds whole
  /// numbers from 0 on.
  public func storedRange(of volume: Volume) -> [Float] {
    guard case .png(let bitDepth, _) = source else { return volume.range }
    let highest = Float((1 << max(8, bitDepth)) - 1)
    return volume.range.map {
      min(max(($0 * pictureFactor).rounded(.toNearestOrEven), 0), highest)
    }
  }

  private static func saturation(_ count: Int, of volume: Volume) -> [String] {
    1000 * count > volume.voxels.count
      ? ["\(count) pixels lay beyond the range of the PNG and were set to its end"] : []
  }

  // MARK: - Outputs, before work begins

  /// Checks that an output has the format that ``write(_:to:options:)`` will need.
  ///
  /// - Parameters:
  ///   - output: The path to be written.
  ///   - input: The path that is read.
  /// - Throws: ``ImagingError/unsupportedFormat(file:reason:)``.
  public static func checkFormat(
    ofOutput output: String, for input: String
  ) throws(ImagingError) {
    // What the input itself is worth is for `read` to say.
    guard isFolder(input) || ImageFormat(path: input) != nil else { return }
    guard ImageFormat(path: output) == (isFolder(input) ? nil : ImageFormat(path: input)) else {
      throw otherFormat(output, than: input)
    }
  }

  /// Checks that the output of an input may be written.
  ///
  /// - Parameters:
  ///   - output: The path to be written: a file, or for a stack of PNG slices a folder.
  ///   - input: The path that is read.
  ///   - overwrite: Whether what is there may be replaced.
  ///   - inputs: Paths of files that must survive.
  /// - Throws: As ``AtomicFile/checkOutput(path:overwrite:inputs:)``.
  public static func checkOutput(
    _ output: String, for input: String, overwrite: Bool, inputs: [String]
  ) throws(ImagingError) {
    guard isFolder(input) else {
      for file in ImageFormat.files(of: output) {
        try AtomicFile.checkOutput(path: file, overwrite: overwrite, inputs: inputs)
      }
      return
    }
    try PNGStackOutput(output, likeStackIn: input).check(overwrite: overwrite)
  }

  /// Whether the output of an input is there.
  ///
  /// - Parameters:
  ///   - output: A file, or for a stack of PNG slices a folder, which must hold them all.
  ///   - input: The path that is read.
  /// - Returns: Whether there is nothing left to write.
  public static func outputExists(_ output: String, for input: String) -> Bool {
    guard isFolder(input) else { return FileManager.default.fileExists(atPath: output) }
    return (try? PNGStackOutput(output, likeStackIn: input).isComplete) ?? false
  }

  /// Removes what ``write(_:to:options:)`` wrote, and nothing else.
  ///
  /// - Parameter output: The path that was written.
  public func removeOutput(_ output: String) {
    if Self.isFolder(path) {
      try? PNGStackOutput(output, likeStackIn: path).remove()
    } else {
      for file in ImageFormat.files(of: output) { unlink(file) }
    }
  }

  private static func otherFormat(_ output: String, than input: String) -> ImagingError {
    .unsupportedFormat(
      file: output,
      reason: isFolder(input)
        ? "the input is a folder of PNG slices, and so must the output be"
        : "the output must have the format of the input, \(input)")
  }

  private static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
      && isFolder.boolValue
  }

  private static var allEndings: String {
    ImageFormat.allCases.flatMap(\.endings).joined(separator: ", ")
  }
}
