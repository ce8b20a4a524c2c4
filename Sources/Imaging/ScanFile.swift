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
        warnings: image.warnings.map { $0.description })
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
      nonFinite: nil, warnings: png.warnings.map { $0.description })
  }

  private init(
    path: String, volume: Volume, source: Source, nonFinite: NonFiniteMask?, warnings: [String]
  ) {
    self.path = path
    self.volume = volume
    self.source = source
    self.nonFinite = nonFinite
    self.warnings = warnings
  }

  /// Writes a volume in place of this image's: same format, same grid, same header.
  ///
  /// - Parameters:
  ///   - volume: The true values, on this image's grid unless it is NIfTI.
  ///   - path: Ends like a file of this image's format.
  ///   - options: Type, scaling and permission to overwrite; a PNG keeps its bit depth.
  /// - Returns: What is worth telling, one sentence each.
  /// - Throws: ``ImagingError`` of the output.
  public func write(
    _ volume: Volume, to path: String, options: NIfTIWriteOptions = NIfTIWriteOptions()
  ) throws(ImagingError) -> [String] {
    switch (source, ImageFormat(path: path)) {
    case (.nifti(let source), .nifti):
      return try NIfTI.write(volume, to: path, like: source, options: options)
        .map { $0.description }
    case (.png(let bitDepth, channels: 1), .png):
      let size = volume.size
      guard size.z == 1, volume.volumeCount == 1 else {
        throw .unsupportedFormat(file: path, reason: "a PNG holds one slice, not \(size)")
      }
      let (image, saturated) = PNGImage.rounding(
        volume.voxels, height: size.y, width: size.x, colour: .grey, bitDepth: max(8, bitDepth))
      try image.write(to: path, overwrite: options.overwrite, inputs: options.inputs + [self.path])
      return 1000 * saturated > volume.voxels.count
        ? ["\(saturated) pixels lay beyond the range of the PNG and were set to its end"] : []
    default:
      throw .unsupportedFormat(
        file: path, reason: "the output must have the format of the input, \(self.path)")
    }
  }

  private static var allEndings: String {
    ImageFormat.allCases.flatMap(\.endings).joined(separator: ", ")
  }
}
