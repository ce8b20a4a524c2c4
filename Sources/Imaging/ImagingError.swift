/// Everything that can be wrong with an image, a label map or a file on its way in or out.
///
/// Each case holds the facts; ``what``, ``cause`` and ``advice`` turn them into the three lines that
/// the command prints, ``kind`` and ``code`` into what scripts act on. A further case is added here
/// and in `ImagingError+Explanation.swift`, nowhere else.
public enum ImagingError: Error, Equatable, Sendable {

  // MARK: - Finding and opening

  /// The path does not exist; `reason` adds what was expected there, if that is not obvious.
  case noSuchFile(file: String, reason: String?)
  /// The folder holds no file that can be read as an image.
  case noImages(folder: String)
  /// The path exists but cannot be read.
  case unreadable(file: String, reason: String)
  /// The file name or its contents belong to a format that is not handled.
  case unsupportedFormat(file: String, reason: String)
  /// A dataset, or a file or name in it, is not as the brain imaging data structure asks.
  case invalidBIDS(file: String, reason: String)

  // MARK: - NIfTI and gzip

  /// The file is not a NIfTI image; `reason` says what its first bytes are instead.
  case notNIfTI(file: String, reason: String)
  /// The name promises gzip, the contents are neither gzip nor plain NIfTI.
  case notGzip(file: String)
  /// The file ends inside the header; both counts in bytes.
  case headerTruncated(file: String, needed: Int, found: Int)
  /// The dimension fields of the header make no image that can be worked on.
  case invalidDimensions(file: String, dimensions: [Int], reason: String)
  /// Fewer voxel bytes are present than the header promises; `UInt64.max` stands for an overflow.
  case imageDataTruncated(file: String, expected: UInt64, found: UInt64)
  /// The request does not fit the memory limit; `needed` is the size of the data asked for,
  /// `working` what holding it as float32 takes, `limit` the limit, all in bytes.
  case needsMemory(file: String, needed: UInt64, working: UInt64, limit: UInt64)
  /// The offset of the voxels lies before the end of the header or past the end of the file.
  case invalidDataOffset(file: String, reason: String)
  /// The voxel type cannot be worked on.
  case unsupportedDataType(file: String, reason: String)
  /// The bytes do not add up to the checksum or length that was stored with them.
  case checksumMismatch(file: String, reason: String)
  /// The compressed bytes are no valid deflate stream.
  case damagedGzip(file: String, reason: String)
  /// Voxel sizes or affine are zero, negative, not finite or singular.
  case invalidVoxelSize(file: String, reason: String)
  /// There is no volume with this index in the image.
  case noSuchVolume(file: String, index: Int, count: Int)

  // MARK: - Contents

  /// Every voxel is NaN or infinite.
  case noFiniteVoxel(file: String)
  /// Some voxels are NaN or infinite, and the caller asked for strictness.
  case nonFiniteVoxels(file: String, count: Int)
  /// Two images that belong together lie on different grids; `offset` is the largest distance
  /// between corresponding corners in mm. Shapes are `[t, z, y, x]`.
  case geometryDiffers(
    file: String, shape: [Int], reference: String, referenceShape: [Int], offset: Double)
  /// A label map holds a label that is not in the list.
  case unexpectedLabel(file: String, label: Int, allowed: [Int])
  /// A label map holds a fraction, or a number that no label can have.
  case labelMapNotInteger(file: String, value: Float)
  /// No voxel of the image is greater than 0, so it has neither a scale nor a foreground.
  case noForeground(file: String)
  /// All voxels of a reference are equal, so that PSNR and SSIM have no range to refer to.
  case constantReference(file: String)
  /// The image is smaller than the window of the metric.
  case smallerThanWindow(file: String, shape: [Int], window: Int)
  /// Pixels of the slices are longer one way than the other (spacing of rows and columns in mm), which projections cannot take.
  case pixelsNotSquare(file: String, row: Double, column: Double)
  /// Sums of intensities would be beyond the range of Float32.
  case intensityTooLarge(file: String, value: Float)
  /// A parameter of an operation on images is out of its range.
  case invalidParameter(name: String, value: String, reason: String)

  // MARK: - PNG

  /// The PNG file breaks the rules of its format.
  case damagedPNG(file: String, reason: String)
  /// The PNG file is larger than the limit; `needed` and `limit` in bytes.
  case pngTooLarge(file: String, width: Int, height: Int, needed: UInt64, limit: UInt64)

  // MARK: - Writing

  /// The output is, under whatever name, one of the inputs.
  case overwritingInput(file: String, input: String)
  /// The output exists and overwriting was not asked for.
  case outputExists(file: String)
  /// The output cannot be created.
  case cannotCreate(file: String, reason: String)
  /// Writing failed part of the way; nothing is left at the output path.
  case writeFailed(file: String, reason: String)
}
