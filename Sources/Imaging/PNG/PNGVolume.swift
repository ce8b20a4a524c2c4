import Foundation

/// PNG images as a volume: one image as one slice, or the images of a folder as a stack.
///
/// Pictures say nothing about the patient. The grid is laid out so that an axial slice shows a picture
/// as it is stored, first row on top, and the orientation is marked as unknown, so that no side is
/// ever labelled.
public struct PNGVolume: Sendable, Equatable {
  /// A warning and the file that it concerns.
  public struct Warning: Sendable, Equatable, CustomStringConvertible {
    /// The file.
    public let file: String
    /// What was accepted, and what became of it.
    public let warning: PNGWarning

    /// The warning as one line.
    public var description: String { "\(file): \(warning)" }
  }

  /// The intensities, shape `[channels, slices, height, width]`: the channels of one RGB image are the
  /// volumes of a series; stacks have one channel.
  public let volume: Volume
  /// The bit depth whose range the intensities have.
  public let bitDepth: Int
  /// The paths of the slices in order.
  public let files: [String]
  /// What the readers accepted.
  public let warnings: [Warning]

  /// Reads one PNG file as a volume with one slice.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - spacing: The voxel size along x, y, z in mm.
  ///   - maxMemory: The limit of ``PNGImage/init(contentsOf:maxMemory:)``.
  /// - Throws: What the reader of the image throws;
  ///   ``ImagingError/invalidVoxelSize(file:reason:)``.
  public init(
    contentsOf path: String, spacing: SIMD3<Double> = SIMD3(1, 1, 1), maxMemory: UInt64? = nil
  ) throws(ImagingError) {
    try Self.check(spacing, file: path)
    let pixels = try PNGImage(contentsOf: path, maxMemory: maxMemory).pixels()
    volume = Volume(
      voxels: Self.channelsFirst(pixels),
      geometry: Self.geometry(
        size: GridSize(x: pixels.width, y: pixels.height, z: 1), spacing: spacing),
      volumeCount: pixels.channels)
    bitDepth = pixels.bitDepth
    files = [path]
    warnings = pixels.warnings.map { Warning(file: path, warning: $0) }
  }

  /// Reads the PNG files of a folder, in natural order of their names, as the slices of a volume.
  ///
  /// - Parameters:
  ///   - folder: The folder; other files in it are not looked at.
  ///   - spacing: The voxel size along x, y, z in mm.
  ///   - maxMemory: The most bytes that the volume, and each image while it is read, may take; nil
  ///     stands for the machine's memory.
  /// - Throws: ``ImagingError/noImages(folder:)`` without PNG files;
  ///   ``ImagingError/geometryDiffers(file:shape:reference:referenceShape:offset:)`` if sizes differ;
  ///   ``ImagingError/unsupportedDataType(file:reason:)`` for colours or mixed bit depths; and what
  ///   ``init(contentsOf:spacing:maxMemory:)`` throws.
  public init(
    stackIn folder: String, spacing: SIMD3<Double> = SIMD3(1, 1, 1), maxMemory: UInt64? = nil
  ) throws(ImagingError) {
    try Self.check(spacing, file: folder)
    let files = try Self.stackFiles(in: folder)
    let first = try Self.slice(files[0], maxMemory: maxMemory)
    try Self.checkMemory(of: first, count: files.count, file: folder, maxMemory: maxMemory)
    var voxels = first.values
    voxels.reserveCapacity(first.values.count * files.count)
    var warnings = first.warnings.map { Warning(file: files[0], warning: $0) }
    for file in files.dropFirst() {
      let pixels = try Self.slice(file, maxMemory: maxMemory)
      guard pixels.height == first.height, pixels.width == first.width else {
        throw .geometryDiffers(
          file: file, shape: [1, 1, pixels.height, pixels.width], reference: files[0],
          referenceShape: [1, 1, first.height, first.width], offset: 0)
      }
      guard pixels.bitDepth == first.bitDepth else {
        throw .unsupportedDataType(
          file: file,
          reason: "\(pixels.bitDepth) bits per sample, \(files[0]) has \(first.bitDepth)")
      }
      voxels += pixels.values
      warnings += pixels.warnings.map { Warning(file: file, warning: $0) }
    }
    volume = Volume(
      voxels: voxels,
      geometry: Self.geometry(
        size: GridSize(x: first.width, y: first.height, z: files.count), spacing: spacing))
    bitDepth = first.bitDepth
    self.files = files
    self.warnings = warnings
  }

  // MARK: - Files

  /// The PNG files of a folder in natural order: runs of digits count as numbers.
  ///
  /// - Parameter folder: The folder.
  /// - Returns: At least one path.
  /// - Throws: ``ImagingError/noSuchFile(file:reason:)``, ``ImagingError/noImages(folder:)``.
  public static func stackFiles(in folder: String) throws(ImagingError) -> [String] {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder) else {
      throw .noSuchFile(file: folder, reason: "a folder of PNG files was expected")
    }
    let pictures = names.filter { $0.lowercased().hasSuffix(".png") && !$0.hasPrefix(".") }
    guard !pictures.isEmpty else { throw .noImages(folder: folder) }
    let prefix = folder.hasSuffix("/") ? folder : folder + "/"
    return pictures.sorted(by: NaturalOrder.areInIncreasingOrder).map { prefix + $0 }
  }

  private static func slice(_ file: String, maxMemory: UInt64?) throws(ImagingError) -> PNGPixels {
    let pixels = try PNGImage(contentsOf: file, maxMemory: maxMemory).pixels()
    guard pixels.channels == 1 else {
      throw .unsupportedDataType(
        file: file,
        reason: "a stack is made of grey pictures, this one has \(pixels.channels) channels")
    }
    return pixels
  }

  // MARK: - Memory and grid

  /// Checks the whole stack against the limit before the slices after the first are read.
  private static func checkMemory(
    of first: PNGPixels, count: Int, file: String, maxMemory: UInt64?
  ) throws(ImagingError) {
    let sliceSize = UInt64(first.values.count * MemoryLayout<Float>.size)
    let (needed, overflow) = sliceSize.multipliedReportingOverflow(by: UInt64(count))
    let limit = maxMemory ?? NIfTIReadOptions().memoryLimit
    guard !overflow, needed <= limit else {
      throw .needsMemory(
        file: file, needed: overflow ? .max : needed, working: overflow ? .max : needed,
        limit: limit)
    }
  }

  private static func check(_ spacing: SIMD3<Double>, file: String) throws(ImagingError) {
    guard Geometry.accepts(spacing) else {
      throw .invalidVoxelSize(
        file: file, reason: "\(spacing.x) x \(spacing.y) x \(spacing.z) mm was asked for")
    }
  }

  /// Columns run to the patient's left and rows to the back, as in an axial slice on the screen.
  private static func geometry(size: GridSize, spacing: SIMD3<Double>) -> Geometry {
    Geometry(
      size: size,
      affine: Affine(
        i: SIMD3(-spacing.x, 0, 0), j: SIMD3(0, -spacing.y, 0), k: SIMD3(0, 0, spacing.z)),
      isOrientationKnown: false)
  }

  private static func channelsFirst(_ pixels: PNGPixels) -> [Float] {
    guard pixels.channels > 1 else { return pixels.values }
    return (0..<pixels.channels).flatMap { channel in
      stride(from: channel, to: pixels.values.count, by: pixels.channels).map { pixels.values[$0] }
    }
  }
}

/// The order of file names in which `slice9` comes before `slice10`.
enum NaturalOrder {
  /// Whether a name comes before another.
  ///
  /// Runs of digits are compared as numbers, everything else byte by byte; names that differ only in
  /// leading zeros are ordered byte by byte.
  static func areInIncreasingOrder(_ a: String, _ b: String) -> Bool {
    var left = Array(a.utf8)[...]
    var right = Array(b.utf8)[...]
    while let x = left.first, let y = right.first {
      if isDigit(x), isDigit(y) {
        let first = takeNumber(&left)
        let second = takeNumber(&right)
        if first.count != second.count { return first.count < second.count }
        if first != second { return first.lexicographicallyPrecedes(second) }
      } else {
        if x != y { return x < y }
        left.removeFirst()
        right.removeFirst()
      }
    }
    guard left.isEmpty, right.isEmpty else { return left.isEmpty }
    return a.utf8.lexicographicallyPrecedes(b.utf8)
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }

  /// Takes a run of digits off the front and returns it without leading zeros.
  private static func takeNumber(_ bytes: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let digits = bytes.prefix(while: isDigit)
    bytes = bytes.dropFirst(digits.count)
    return digits.drop { $0 == 48 }
  }
}
