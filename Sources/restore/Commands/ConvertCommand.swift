import ArgumentParser
import Foundation
import Imaging

/// `restore convert`: between file formats of images, and from checkpoints to bundles.
struct ConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract:
      "Convert NIfTI to a stack of PNG files and back, or a PyTorch checkpoint to a bundle.",
    discussion: """
      restore convert model.pth NAME --arch restore-rwkv   checkpoint to model bundle
      restore convert volume.nii.gz FOLDER                 slices along z as 16-bit PNG files
      restore convert FOLDER volume.nii.gz                 stack of PNG files to NIfTI
      restore convert volume.hdr volume.nii.gz             the same image in one file

      Nothing in a checkpoint is executed; one that asks for it is refused. With --json all \
      names of tensors stand in `matched`, `missing`, `unexpected` and `mismatched`, also if it does not fit.
      """)

  @Argument(help: "Checkpoint (.pth, .pt, .ckpt), NIfTI image, PNG file, or folder of PNG files.")
  var input: String

  @Argument(help: "Folder for a bundle or PNG files, or NIfTI image.")
  var output: String

  @OptionGroup(title: "Checkpoints") var checkpoint: CheckpointOptions

  @Option(name: .long, help: "NIfTI to PNG: intensities that become black and white, as 0,4095.")
  var window: String?

  @Option(name: .long, help: "PNG to NIfTI: voxel size, mm, as 0.8,0.8,3 or one number.")
  var spacing: String?

  @Option(
    name: .long,
    help: "To NIfTI: voxel type, same, float32 or int16 (default: same for NIfTI, float32 for PNG)."
  )
  var dtype: OutputDataType?

  @Flag(name: .long, help: "Replace outputs that exist.")
  var overwrite = false

  @OptionGroup(title: "Descriptions of images") var sidecars: SidecarOptions

  @OptionGroup(title: "General") var common: CommonOptions

  func validate() throws {
    _ = try Self.numbers(window, count: [2], "--window")
    let spacing = try Self.numbers(spacing, count: [1, 3], "--spacing")
    if let spacing, !spacing.allSatisfy({ $0 > 0 }) {
      throw ValidationError("--spacing: sizes above 0 mm are needed")
    }
  }

  func run() throws {
    common.apply()
    try OutputPaths.requireNamed(input, "the input")
    try OutputPaths.requireNamed(output, "the output")
    let ending = input.split(separator: ".").last.map { $0.lowercased() } ?? ""
    if ["pth", "pt", "ckpt"].contains(ending) {
      return try CheckpointConversion(
        input: input, output: output, options: checkpoint, overwrite: overwrite,
        isJSON: common.json
      ).run()
    }
    let makesNIfTI = ImageFormat(path: output) == .nifti
    for (option, isGiven, fits) in [
      ("--arch", checkpoint.arch != nil, false),
      ("--window", window != nil, !makesNIfTI),
      ("--spacing", spacing != nil, makesNIfTI && ImageFormat(path: input) != .nifti),
      ("--dtype", dtype != nil, makesNIfTI),
    ] where isGiven && !fits {
      throw CommandFailure(
        code: ExitStatus.usage, kind: "usage", what: "\(option) does not go with this conversion",
        cause: "\(input) to \(output)", advice: "leave it out, or see `restore convert --help`")
    }
    if makesNIfTI { try makeNIfTI() } else { try makeStack() }
  }

  // MARK: - Images

  private func makeNIfTI() throws {
    try AtomicFile.checkOutput(path: output, overwrite: overwrite, inputs: [input])
    try sidecars.check([output], overwrite: overwrite)
    var origin = SidecarOptions.Origin()
    let sizes = try Self.numbers(spacing, count: [1, 3], "--spacing") ?? [1]
    let size = sizes.count == 1 ? SIMD3(repeating: sizes[0]) : SIMD3(sizes[0], sizes[1], sizes[2])
    // Pictures have no voxel size; one that a NIfTI header lacks is not for a conversion to make up.
    let isPicture = ImageFormat(path: input) != .nifti
    let scan = try ScanFile.read(
      input, options: isPicture ? NIfTIReadOptions(assumedSpacing: size) : NIfTIReadOptions())
    scan.warnings.forEach { origin.warn($0) }
    var options = NIfTIWriteOptions(
      overwrite: overwrite, inputs: [input], nonFinite: scan.nonFinite)
    try OutputPaths.allOrNone([output]) {
      if case .nifti(let source) = scan.source {
        if let note = rounding(of: scan.volume, source) { origin.warn(note) }
        // The same image in another container: header, extensions and NaN stay.
        options.dataType = dtype ?? .same
        try scan.write(scan.volume, to: output, options: options).forEach { origin.warn($0) }
      } else {
        // Pixels are whole numbers, which the smallest type that holds them keeps as they are.
        options.dataType = dtype == .same ? .labels : dtype ?? .float32
        try NIfTI.write(scan.volume, to: output, options: options)
          .forEach { origin.warn($0.description) }
      }
      try sidecars.describe(output, range: scan.range, from: [scan], origin)
    }
    show([output])
  }

  /// Voxels pass through single precision, which does not hold all that some types do.
  private func rounding(of volume: Volume, _ source: NIfTISource) -> String? {
    let largest = volume.voxels.reduce(0) { max($0, $1.magnitude) }
    let isExact: Bool
    switch (source.dataType, source.header.scaling) {
    case (.float64, _): isExact = false
    case (.float32, let scaling?): isExact = scaling == (1, 0)
    // Stored numbers come back if values of neighbouring ones are further apart than rounding moves them.
    case (_, let scaling?): isExact = scaling.slope.magnitude > Double(largest.ulp)
    case (.int32, nil), (.uint32, nil), (.int64, nil), (.uint64, nil):
      isExact = largest <= Float(LabelMap.largest)
    default: isExact = true
    }
    guard !isExact else { return nil }
    return
      "\(input): \(source.dataType) voxels\(source.header.scaling == nil ? "" : ", scaled,") pass "
      + "through single precision; digits beyond the seventh are rounded"
  }

  private func makeStack() throws {
    if let ending = ItemList.ending(of: output), !FileManager.default.fileExists(atPath: output) {
      throw ImagingError.unsupportedFormat(
        file: output,
        reason: "a folder of PNG files is written, and .\(ending) is the ending of a file")
    }
    try sidecars.check([output], overwrite: overwrite)
    var origin = SidecarOptions.Origin()
    let scan = try ScanFile.read(input)
    scan.warnings.forEach { origin.warn($0) }
    let volume = scan.volume
    guard volume.volumeCount == 1 else {
      throw ImagingError.unsupportedFormat(
        file: input, reason: "\(volume.volumeCount) volumes; a stack of PNG files holds one")
    }
    let (low, high) = try range(of: scan)
    let (size, digits) = (volume.size, max(4, String(volume.size.z - 1).count))
    let names = (0..<size.z).map { z in
      String(repeating: "0", count: digits - String(z).count) + "\(z).png"
    }
    var isFolder: ObjCBool = false
    _ = FileManager.default.fileExists(atPath: input, isDirectory: &isFolder)
    let inputs = isFolder.boolValue ? try PNGVolume.stackFiles(in: input) : [input]
    let stack = PNGStackOutput(output, names: names, inputs: inputs)
    if low == high { origin.warn("\(input): the image is constant: all pixels are 0") }
    var scaled = volume
    if low != 0 || high != 65535 {
      // In double precision: a narrow range needs a scale beyond single precision.
      let scale = high > low ? 65535 / (high - low) : 0
      scaled.voxels = volume.voxels.map { Float((Double($0) - low) * scale) }
    }
    let saturated = try PNGVolume.writeStack(
      scaled, bitDepth: 16, to: stack, overwrite: overwrite)
    if saturated > 0 {
      origin.warn("\(saturated) voxels lay beyond the window and were set to its ends")
    }
    if low != 0 || high != 65535 {
      Console.shared.info("0 stands for \(low), 65535 for \(high)")
    }
    do {
      let range = scaled.range.map { min(max($0.rounded(), 0), 65535) }
      try sidecars.describe(output, range: range, from: [scan], origin)
    } catch {
      stack.remove()
      throw error
    }
    show(stack.paths)
  }

  /// What becomes 0 and 65535: the window; else nothing changes if all values fit 16 bits.
  private func range(of scan: ScanFile) throws -> (low: Double, high: Double) {
    if let window = try Self.numbers(window, count: [2], "--window") {
      return (window[0], window[1])
    }
    if scan.volume.voxels.allSatisfy({ $0 >= 0 && $0 <= 65535 && $0 == $0.rounded() }) {
      return (0, 65535)
    }
    let range = scan.range
    return (Double(range[0]), Double(range[1]))
  }

  private func show(_ written: [String]) {
    if common.json {
      struct Document: Encodable {
        let ok = true
        let outputs: [String]
      }
      Console.shared.result(Document(outputs: written))
    } else {
      Console.shared.result(written.count > 8 ? [output] : written)
    }
  }

  private static func numbers(_ text: String?, count: [Int], _ option: String) throws -> [Double]? {
    guard let text else { return nil }
    let numbers = text.split(separator: ",").compactMap { Double($0) }
    guard numbers.count == text.split(separator: ",").count, count.contains(numbers.count),
      numbers.allSatisfy(\.isFinite), numbers.count != 2 || numbers[0] < numbers[1]
    else {
      let wanted = count.map(String.init).joined(separator: " or ")
      throw ValidationError("\(option) \(text): \(wanted) numbers are needed, the lower one first")
    }
    return numbers
  }
}
