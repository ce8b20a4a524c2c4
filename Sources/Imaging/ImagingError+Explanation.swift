extension ImagingError {
  /// What went wrong, in the fixed words that scripts and documentation refer to.
  public var what: String { explanation.what }

  /// The facts behind the error, as one line.
  public var cause: String { explanation.cause }

  /// What the user can do about it, as one line.
  public var advice: String { explanation.advice }

  /// A short identifier for machine-readable output, for instance `truncated`.
  public var kind: String { explanation.kind }

  /// The exit code of a command that ends with this error.
  public var code: Int32 { explanation.code.rawValue }

  /// The file or key that the error is about, or nil if ``what`` already names it.
  public var file: String? { explanation.file }

  /// The headline of the message: ``what``, and the file in parentheses.
  public var headline: String { file.map { "\(what) (\($0))" } ?? what }
}

extension ImagingError: CustomStringConvertible {
  /// Headline and cause on one line.
  public var description: String { "\(headline): \(cause)" }
}

/// The exit codes that image errors map to.
private enum ExitCode: Int32 {
  case usage = 64
  case badData = 65
  case missing = 66
  case memory = 71
  case cannotCreate = 73
  case io = 74
}

/// One error in words.
private struct Explanation {
  let kind: String
  let code: ExitCode
  let file: String?
  let what: String
  let cause: String
  let advice: String

  init(
    _ kind: String, _ code: ExitCode, _ file: String?, _ what: String, cause: String, try: String
  ) {
    self.kind = kind
    self.code = code
    self.file = file
    self.what = what
    self.cause = cause
    self.advice = `try`
  }
}

// MARK: - The texts

extension ImagingError {
  private var explanation: Explanation {
    switch self {
    case .noSuchFile(let file, let reason):
      Explanation(
        "missing", .missing, file, "no such file",
        cause: reason ?? "nothing exists at this path",
        try: "check the spelling and the current folder")
    case .noImages(let folder):
      Explanation(
        "no-images", .missing, nil, "no images found in \(folder)",
        cause: "no file there has an ending that is looked for",
        try: "name the folder that holds the images themselves; dcm2niix converts DICOM")
    case .unreadable(let file, let reason):
      Explanation(
        "unreadable", .missing, file, "cannot read", cause: reason,
        try: "check that it is a regular file and that you may read it")
    case .unsupportedFormat(let file, let reason):
      Explanation(
        "format", .badData, file, "unsupported file format", cause: reason,
        try: "use NIfTI (.nii, .nii.gz, .hdr/.img) or PNG; dcm2niix converts DICOM")
    case .invalidBIDS(let file, let reason):
      Explanation(
        "bids", .badData, file, "not as BIDS asks", cause: reason,
        try: "correct the dataset, or leave out what is named otherwise (--skip-bids-validation)")
    case .notNIfTI(let file, let reason):
      Explanation(
        "not-nifti", .badData, file, "not a NIfTI file", cause: reason,
        try: "`restore info` prints what can be read of the header; dcm2niix converts DICOM")
    case .notGzip(let file):
      Explanation(
        "not-gzip", .badData, file, "not gzip data",
        cause: "the name ends in .gz, the contents start neither like gzip nor like NIfTI",
        try: "check how the file was made; `file` shows what it really is")
    case .headerTruncated(let file, let needed, let found):
      Explanation(
        "header-truncated", .badData, file, "header is truncated",
        cause: "the header takes \(needed) bytes, the file holds \(found)",
        try: "copy the file again and compare checksums")
    case .invalidDimensions(let file, let dimensions, let reason):
      Explanation(
        "dimensions", .badData, file, "invalid dimensions",
        cause: "\(reason); the dimension fields are \(dimensions)",
        try: "export the image again; 2D, 3D and 4D images are accepted")
    case .imageDataTruncated(let file, let expected, let found):
      Explanation(
        "truncated", .badData, file, "image data ends early",
        cause: expected == found
          ? "all \(found) bytes of voxels are there, but the gzip stream breaks off"
          : "header promises \(expected == .max ? "more than 2^63" : "\(expected)") bytes of "
            + "voxels, the file holds \(found)",
        try: "copy the file again and compare checksums; `gzip -t` tests an archive")
    case .needsMemory(let file, let needed, let working, let limit):
      Explanation(
        "memory", .memory, file, "needs \(Self.size(needed))",
        cause: "\(Self.size(needed)) of data take \(Self.size(working)) as float32, "
          + "the limit is \(Self.size(limit))",
        try: "raise --max-memory, or choose one volume of a series with --volume")
    case .invalidDataOffset(let file, let reason):
      Explanation(
        "data-offset", .badData, file, "invalid data offset", cause: reason,
        try: "export the image again; the header is damaged")
    case .unsupportedDataType(let file, let reason):
      Explanation(
        "data-type", .badData, file, "unsupported data type", cause: reason,
        try: "convert to an integer or floating-point type of up to 64 bits, one channel")
    case .checksumMismatch(let file, let reason):
      Explanation(
        "checksum", .badData, file, "checksum mismatch", cause: reason,
        try: "copy the file again; `gzip -t` tests an archive")
    case .damagedGzip(let file, let reason):
      Explanation(
        "damaged-gzip", .badData, file, "damaged gzip data", cause: reason,
        try: "copy the file again; `gzip -t` tests an archive")
    case .invalidVoxelSize(let file, let reason):
      Explanation(
        "voxel-size", .badData, file, "invalid voxel size", cause: reason,
        try:
          "repair the header, or give the true size to `restore run` with --assume-spacing X,Y,Z (mm)"
      )
    case .noSuchVolume(let file, let index, let count):
      Explanation(
        "volume", .usage, file, "no volume \(index)",
        cause: "the image holds \(count), numbered from 0",
        try: count > 1 ? "choose 0..\(count - 1)" : "leave out --volume")
    case .noFiniteVoxel(let file):
      Explanation(
        "no-finite-voxel", .badData, file, "no finite voxel",
        cause: "every voxel is NaN or infinite",
        try: "look at how the image was computed; a division by zero is the usual reason")
    case .nonFiniteVoxels(let file, let count):
      Explanation(
        "non-finite", .badData, file, "non-finite voxels",
        cause: "\(count) voxels are NaN or infinite",
        try: "leave out --strict to have them replaced by 0 and restored as NaN")
    case .geometryDiffers(let file, let shape, let reference, let referenceShape, let offset):
      Explanation(
        "geometry", .badData, file, "geometry differs",
        cause: "shape \(shape), that of \(reference) is \(referenceShape); "
          + "largest corner offset \(Self.decimal(offset, digits: 3)) mm",
        try: "resample one image onto the grid of the other first")
    case .unexpectedLabel(let file, let label, let allowed):
      Explanation(
        "label", .badData, file, "unexpected label",
        cause: "label \(label) is not among \(allowed)",
        try: "check the list of labels, or map this one to a listed label")
    case .labelMapNotInteger(let file, let value):
      Explanation(
        "label-fraction", .badData, file, "label map is not integer",
        cause: value.magnitude > Float(LabelMap.largest)
          ? "it holds a value of about \(value), and labels go up to \(LabelMap.largest)"
          : "it holds the value \(value)",
        try: "give the label map itself; resample label maps by nearest neighbour only")
    case .constantReference(let file):
      Explanation(
        "constant-reference", .badData, file, "constant reference",
        cause: "all of its voxels are equal, and PSNR and SSIM refer to their range",
        try: "give the right reference, or leave this image out")
    case .noForeground(let file):
      Explanation(
        "no-foreground", .badData, file, "no foreground", cause: "no voxel is greater than 0",
        try: "give an image whose background is 0 and whose signal is positive")
    case .smallerThanWindow(let file, let shape, let window):
      Explanation(
        "window", .badData, file, "image smaller than the window",
        cause: "shape \(shape), the window takes \(window) samples along each axis",
        try: "choose a metric without a window, or a larger image")
    case .pixelsNotSquare(let file, let row, let column):
      Explanation(
        "pixels-not-square", .badData, file, "pixels are not square",
        cause: "rows are \(row) mm apart and columns \(column) mm: projections need square pixels",
        try: "resample the image to equal spacing in the plane of acquisition")
    case .intensityTooLarge(let file, let value):
      Explanation(
        "intensity", .badData, file, "intensities too large",
        cause: "sums of values such as \(value) are beyond the range of float32",
        try: "divide the image by a constant")
    case .invalidParameter(let name, let value, let reason):
      Explanation(
        "parameter", .usage, nil, "invalid \(name) \(value)", cause: reason,
        try: "see the help text of the command")
    case .damagedPNG(let file, let reason):
      Explanation(
        "damaged-png", .badData, file, "damaged PNG", cause: reason,
        try: "copy or export the picture again")
    case .pngTooLarge(let file, let width, let height, let needed, let limit):
      Explanation(
        "png-too-large", .memory, file, "PNG too large",
        cause: "\(width) x \(height) pixels need \(Self.size(needed)), "
          + "the limit is \(Self.size(limit))",
        try: "cut the picture, or raise --max-memory")
    case .overwritingInput(let file, let input):
      Explanation(
        "overwrites-input", .cannotCreate, file, "refusing to overwrite input",
        cause: file == input
          ? "output and input are the same path" : "it is the same file as \(input)",
        try: "choose another output path")
    case .outputExists(let file):
      Explanation(
        "exists", .cannotCreate, file, "output exists",
        cause: "a file of that name is there already",
        try: "choose another name, or --overwrite")
    case .cannotCreate(let file, let reason):
      Explanation(
        "cannot-create", .cannotCreate, file, "cannot create", cause: reason,
        try: "check that the folder exists and that you may write there")
    case .writeFailed(let file, let reason):
      Explanation(
        "write-failed", .io, file, "write failed", cause: reason,
        try: "free some space, or write to another disk; nothing was left behind")
    }
  }
}

// MARK: - Numbers in messages

extension ImagingError {
  /// A number of bytes in GiB, or in MiB or bytes if it is small.
  package static func size(_ bytes: UInt64) -> String {
    switch bytes {
    case ..<10_240: "\(bytes) bytes"
    case ..<107_374_183: "\(decimal(Double(bytes) / 1_048_576, digits: 1)) MiB"
    default: "\(decimal(Double(bytes) / 1_073_741_824, digits: 1)) GiB"
    }
  }

  /// A number with a fixed count of decimals, rounded half away from zero.
  package static func decimal(_ value: Double, digits: Int) -> String {
    guard value.isFinite, value.magnitude < 1e15 else { return "\(value)" }
    var scale = 1
    for _ in 0..<digits { scale *= 10 }
    let scaled = (value.magnitude * Double(scale)).rounded()
    let whole = (scaled / Double(scale)).rounded(.down)
    let fraction = Int(scaled - whole * Double(scale))
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard digits > 0 else { return "\(sign)\(Int(whole))" }
    let padding = String(repeating: "0", count: digits - "\(fraction)".count)
    return "\(sign)\(Int(whole)).\(padding)\(fraction)"
  }
}
