import ArgumentParser
import Foundation
import Imaging

/// `restore simulate lesions`: lesions grown into a brain, with their exact mask.
struct SimulateLesions: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lesions", abstract: "Lesions grown into a brain, with their exact mask.",
    discussion: """
      Dark in T1 and bright in FLAIR, with soft borders, inside tissue alone; some large ones have a \
      core like fluid. Images are T1, or T1 and FLAIR on one grid, without the skull (background 0).
      """)

  @Option(name: .shortAndLong, parsing: .upToNextOption, help: "T1 [FLAIR], NIfTI.")
  var input: [String]

  @Option(
    name: .shortAndLong, parsing: .upToNextOption,
    help: "T1 [FLAIR] with lesions, as many as inputs, .nii or .nii.gz.")
  var output: [String]

  @Option(name: .long, help: "Mask of the lesions, .nii or .nii.gz.")
  var maskOutput: String

  @Option(name: .long, help: "Number of lesions; by default 1 to 3.")
  var count: Int?

  @Option(name: .long, help: "Least and greatest volume of a lesion, ml.")
  var volumes = NumberList(numbers: [0.3, 30])

  @Option(name: .long, help: "Seed of the random numbers.")
  var seed: UInt64 = 0

  @Flag(name: .long, help: "Replace outputs that exist.")
  var overwrite = false

  @OptionGroup(title: "Descriptions of outputs") var sidecars: SidecarOptions

  @OptionGroup(title: "General") var common: CommonOptions

  func validate() throws {
    guard (1...2).contains(input.count), input.count == output.count else {
      throw ValidationError("--output: as many images as --input are needed, one or two")
    }
    guard volumes.numbers.count == 2, volumes.numbers[0] > 0,
      volumes.numbers[0] <= volumes.numbers[1],
      volumes.numbers[1] <= LesionSimulator.largestVolume
    else {
      throw ValidationError(
        "--volumes: two ascending numbers above 0 and up to "
          + "\(Int(LesionSimulator.largestVolume)) are needed, as in 0.3,30")
    }
    guard (1...LesionSimulator.largestCount).contains(count ?? 1) else {
      throw ValidationError("--count: from 1 to \(LesionSimulator.largestCount) lesions")
    }
  }

  func run() throws {
    common.apply()
    let outputs = output + [maskOutput]
    try sidecars.check(outputs, overwrite: overwrite)
    for path in outputs {
      try AtomicFile.checkOutput(path: path, overwrite: overwrite, inputs: input)
    }
    var origin = SidecarOptions.Origin(simulator: Self.configuration.commandName, seed: seed)
    let scans = try input.map { try ScanFile.read($0) }
    for scan in scans {
      scan.warnings.forEach { origin.warn("\(scan.path): \($0)") }
      guard scan.volume.volumeCount == 1 else {
        throw ImagingError.unsupportedFormat(
          file: scan.path, reason: "it is a series of volumes, a brain is one volume")
      }
      try scan.volume.requireGrid(
        of: scans[0].volume, file: scan.path, referenceFile: scans[0].path)
    }
    let simulator = LesionSimulator(
      counts: count.map { $0...$0 } ?? 1...3, volumes: volumes.numbers[0]...volumes.numbers[1])
    // Names the file where there is no signal.
    _ = try SimulationOptions.scale(of: scans[0].volume, scans[0].path)
    let result = try simulator.applied(to: scans.map(\.volume), seed: seed)
    guard result.wanted == 0 || result.placed > 0 else {
      throw CommandFailure(
        code: ExitStatus.data, kind: "no-place", what: "no lesion was placed (\(scans[0].path))",
        cause: "lesions of that volume find no room in the tissue",
        advice: "lower --volumes, or take another --seed", file: scans[0].path)
    }
    if result.placed < result.wanted {
      origin.warn(
        "\(scans[0].path): room for \(result.placed) of \(result.wanted) lesions only")
    }
    let mask = Volume(
      voxels: result.mask.voxels.map { $0 ? 1 : 0 }, geometry: scans[0].volume.geometry)
    try OutputPaths.allOrNone(
      outputs + (sidecars.noSidecar ? [] : outputs.map(Sidecar.path(besides:)))
    ) {
      for (scan, pair) in zip(scans, zip(result.images, output)) {
        try write(pair.0, to: pair.1, as: .float32, like: scan, scans, origin)
      }
      try write(mask, to: maskOutput, as: .labels, like: scans[0], scans, origin)
    }
    SimulationOptions.show(outputs, isJSON: common.json)
  }

  private func write(
    _ volume: Volume, to path: String, as type: OutputDataType, like scan: ScanFile,
    _ scans: [ScanFile], _ origin: SidecarOptions.Origin
  ) throws {
    var origin = origin
    var source: NIfTISource?
    if case .nifti(let own) = scan.source { source = own }
    // A mask says of every voxel whether it is of a lesion.
    let notes = try NIfTI.write(
      volume, to: path, like: source,
      options: NIfTIWriteOptions(
        dataType: type, overwrite: overwrite, inputs: input,
        nonFinite: type == .labels ? nil : scan.nonFinite))
    notes.forEach { origin.warn("\(path): \($0)") }
    try sidecars.describe(path, range: volume.range, from: scans, origin)
  }
}
