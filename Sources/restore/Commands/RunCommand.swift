public import ArgumentParser
import Foundation
public import Imaging
public import Inference
import TensorCore

/// `restore run`: restores images.
struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Restore images: denoise, super-resolve, synthesise.",
    discussion: "The output has exactly the input's grid and header. Research use only.")

  @Option(name: .shortAndLong, help: "Image, folder, pattern, or .txt list of images.")
  var input: String

  @Option(name: .shortAndLong, help: "Image for a single input, folder, or .txt list.")
  var output: String

  @Option(name: .shortAndLong, help: "Model bundle: a name or a path, of a folder or a zip file.")
  var model: String

  @OptionGroup(title: "Slices and tiles") var slices: SliceOptions
  @OptionGroup(title: "Reading and writing") var files: FileOptions
  @OptionGroup(title: "Descriptions of outputs") var sidecars: SidecarOptions
  @OptionGroup(title: "Many images") var many: BatchOptions
  @OptionGroup(title: "Parts of a cluster job") var sharding: ShardingOptions
  @OptionGroup(title: "General") var common: CommonOptions

  @Flag(name: .long, help: "Say what would be done and how much memory it needs; write nothing.")
  var dryRun = false

  @Option(
    name: [.long, .customLong("ref")],
    help: "Reference image of a single input: prints PSNR, SSIM and RMSE before and after.")
  var reference: String?

  @Option(name: .long, help: "Picture of input, output and difference, a PNG; single input only.")
  var montage: String?

  @Option(name: .long, help: "Precision of matrix products: f32 or bf16.")
  var precision: Precision = .float32

  @Option(name: .long, help: "Seed, stored with the output; inference itself draws nothing.")
  var seed: UInt64 = 0

  func run() throws {
    common.apply()
    let (items, notice) = try sharding.select(
      ItemList.items(input: input, output: output, makesFolder: !dryRun))
    if let notice { Console.shared.info(notice) }
    if items.count != 1, reference != nil || montage != nil {
      throw CommandFailure(
        code: ExitStatus.usage, kind: "usage",
        what: "--reference and --montage take a single input",
        cause: "\(items.count) inputs were found", advice: "use `restore eval` for folders")
    }
    try checkOutputs(items)
    let bundle = try ModelBundle.find(model)
    try bundle.require(.restore, of: model)
    try slices.requireFit(of: bundle, model)
    let restorer = try VolumeRestorer(bundle, precision: precision.available)
    let settings = RestorationSettings(
      slices: slices, files: files, sidecars: sidecars, overwrite: many.overwrite, dryRun: dryRun,
      reference: reference, montage: montage, seed: seed)
    let job = RestorationJob(settings: settings, bundle: bundle, restorer: restorer)
    let outcome = try many.forEach(
      items, output: \.output, exists: { ScanFile.outputExists($0.output, for: $0.input) },
      job.run)
    if common.json {
      Console.shared.result(
        RunDocument(
          ok: outcome.failures.isEmpty, items: outcome.reports,
          failures: outcome.failures.map(\.content)))
    } else {
      Console.shared.result(outcome.reports.flatMap(\.lines))
    }
    try outcome.check()
  }

  /// Refuses outputs at once, before minutes of work.
  private func checkOutputs(_ items: [ItemList.Item]) throws {
    let inputs = items.map(\.input) + [reference, slices.mask].compactMap(\.self)
    var written: [String] = []
    for item in items {
      try ScanFile.checkFormat(ofOutput: item.output, for: item.input)
      let exists = ScanFile.outputExists(item.output, for: item.input)
      if dryRun || many.skipExisting && exists { continue }
      try ScanFile.checkOutput(
        item.output, for: item.input, overwrite: many.overwrite, inputs: inputs)
      written.append(item.output)
    }
    try sidecars.check(written, overwrite: many.overwrite)
    if let montage, !dryRun {
      let descriptions = sidecars.noSidecar ? [] : written.map(Sidecar.path(besides:))
      try OutputPaths.requireDistinct(written + descriptions + [montage])
      try AtomicFile.checkOutput(path: montage, overwrite: many.overwrite, inputs: inputs)
    }
  }
}

private struct RunDocument: Encodable {
  let ok: Bool
  let items: [RestorationJob.Report]
  let failures: [CommandFailure.Content]
}

/// How slices are made.
struct SliceOptions: ParsableArguments {
  @Option(name: .long, help: "Plane of the slices: axial, coronal or sagittal.")
  var plane: AnatomicalPlane?

  @Option(
    name: .long,
    help: """
      Work in tiles of Y,X pixels (or Z,Y,X; slice models do not use Z) to save memory. A network \
      that sees the whole image works in bands of Y rows, with the same result.
      """)
  var tile: String?

  @Option(name: .long, help: "Part of a tile that its neighbour shares, 0 to below 1 (not bands).")
  var overlap = 0.5

  @Option(name: .long, help: "Weights where tiles meet: gaussian or constant.")
  var blend: TileBlend = .gaussian

  @Option(
    name: .long,
    help: """
      Test-time augmentation: none, flip (mean over four flips, four times the time), symmetries (also \
      with rows and columns exchanged, eight times), planes (mean over the slices of all three planes, \
      for voxels of about equal sides; three times), all (flips and planes), or auto: what the model's \
      card says, planes for such voxels or symmetries in super-resolution.
      """)
  var tta: TestTimeAugmentation = .auto

  @Option(
    name: .long,
    help: """
      How many times finer the grid is than the scan, if k-space was filled with zeros: what was \
      measured is then kept as it is. By default as the model says; 1 for no.
      """)
  var kSpaceFactor: Double?

  @Flag(name: .long, help: "Limit results to the range of the input.")
  var clipToInputRange = false

  @Option(name: .long, help: "Mask image: voxels at 0 keep the input's values.")
  var mask: String?

  func validate() throws {
    if tta.planes == true, plane != nil {
      throw ValidationError("--tta \(tta.rawValue) uses all planes: leave --plane out")
    }
    if let kSpaceFactor, !(1...64).contains(kSpaceFactor) {
      throw ValidationError("--k-space-factor \(kSpaceFactor): from 1 to 64")
    }
    guard (0..<1).contains(overlap) else {
      throw ValidationError("--overlap \(overlap): from 0 to below 1")
    }
    _ = try tiling()
  }

  /// Whether an option is given.
  var isChanged: Bool {
    plane != nil || tile != nil || overlap != 0.5 || blend != .gaussian || tta != .auto
      || kSpaceFactor != nil || clipToInputRange || mask != nil
  }

  /// Makes sure that the planes fit a model.
  ///
  /// - Parameters:
  ///   - bundle: The model.
  ///   - model: What the user called it.
  /// - Throws: A usage failure.
  func requireFit(of bundle: ModelBundle, _ model: String) throws(CommandFailure) {
    guard tta.planes == true, (kSpaceFactor ?? bundle.card.kSpaceFactor ?? 1) > 1 else { return }
    throw CommandFailure(
      code: ExitStatus.usage, kind: "usage",
      what: "--tta \(tta.rawValue) does not fit the model (\(model))",
      cause: "it adds resolution in the plane of acquisition alone", advice: "use --tta flip")
  }

  func tiling() throws -> Tiling? {
    guard let tile else { return nil }
    let sizes = tile.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    guard (2...3).contains(sizes.count), !sizes.contains(nil),
      let height = sizes[sizes.count - 2], let width = sizes[sizes.count - 1], height >= 8,
      width >= 8, sizes.count == 2 || sizes[0] ?? 0 >= 1
    else { throw ValidationError("--tile \(tile): expected Y,X or Z,Y,X with at least 8 pixels") }
    return Tiling(height: height, width: width, overlap: overlap, blend: blend)
  }
}

/// What test-time augmentation does.
enum TestTimeAugmentation: String, ExpressibleByArgument, CaseIterable {
  case auto, none, flip, symmetries, planes, all

  /// Nil for what the model's card says.
  var mirrors: SliceSymmetries? {
    switch self {
    case .auto: nil
    case .none, .planes: .identity
    case .flip, .all: .flips
    case .symmetries: .square
    }
  }
  /// Nil for what the model's card says.
  var planes: Bool? { self == .auto ? nil : self == .planes || self == .all }
}

extension AnatomicalPlane: ExpressibleByArgument {}
extension TileBlend: ExpressibleByArgument {}
extension OutputDataType: ExpressibleByArgument {
  /// Labels are what a segmentation writes.
  public static var allValueStrings: [String] { allCases.filter { $0 != .labels }.map(\.rawValue) }

  /// One of ``allValueStrings``.
  public init?(argument: String) {
    guard Self.allValueStrings.contains(argument) else { return nil }
    self.init(rawValue: argument)
  }
}
extension AffineSource: ExpressibleByArgument {}

/// How files are read and written.
struct FileOptions: ParsableArguments {
  @Option(name: .long, help: "Voxel type of the output: same, float32 or int16.")
  var dtype: OutputDataType = .same

  @Option(name: .long, help: "The volume of a 4D image to work on, from 0; all by default.")
  var volume: Int?

  @Option(name: .long, help: "Which orientation counts if there are two: sform or qform.")
  var affine: AffineSource = .auto

  @Option(
    name: [.long, .customLong("spacing")],
    help: "Voxel size x,y,z in mm where the file has none.")
  var assumeSpacing: String?

  @Option(name: .long, help: "Most memory to use, as in 4G.")
  var maxMemory: ByteCount?

  @Flag(name: .long, help: "Treat NaN and infinite voxels as an error.")
  var strict = false

  /// Whether an option is given.
  var isChanged: Bool {
    dtype != .same || volume != nil || affine != .auto || assumeSpacing != nil || maxMemory != nil
      || strict
  }

  func validate() throws { _ = try readOptions() }

  func readOptions() throws -> NIfTIReadOptions {
    var spacing: SIMD3<Double>?
    if let assumeSpacing {
      let parts = assumeSpacing.split(separator: ",", omittingEmptySubsequences: false)
      let numbers = parts.compactMap { Double($0) }
      guard parts.count == 3, numbers.count == 3, numbers.allSatisfy({ $0 > 0 && $0.isFinite })
      else {
        throw ValidationError("--assume-spacing \(assumeSpacing): three positive numbers x,y,z")
      }
      spacing = SIMD3(numbers[0], numbers[1], numbers[2])
    }
    return NIfTIReadOptions(
      maxMemory: maxMemory?.bytes, affineSource: affine, assumedSpacing: spacing, volume: volume,
      isStrict: strict)
  }
}
