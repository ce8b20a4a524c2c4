import ArgumentParser
import Foundation
import Imaging
import TensorCore

/// `restore simulate ct-lowdose`: computed tomography with few photons.
struct SimulateLowDoseCT: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ct-lowdose", abstract: "Low-dose CT: projection, photon counts, reconstruction.",
    discussion: """
      Input in HU. --reference-output gets the reconstruction of the same projections without noise, \
      which is what a denoised image is to be compared with.
      """)

  /// The filters.
  enum Filter: String, ExpressibleByArgument, CaseIterable {
    case ramLak = "ram-lak"
    case hann
  }

  @Option(name: .long, help: "Photons of a detector without object: 1e6 full, 2.5e5 quarter dose.")
  var photons = 2.5e5

  @Option(name: .long, help: "Standard deviation of the electronic noise, counts.")
  var electronicNoise = 5.0

  @Option(name: .long, help: "Filter: ram-lak or hann.")
  var filter: Filter = .ramLak

  @OptionGroup var options: SimulationOptions

  func validate() throws {
    guard (1...1e12).contains(photons), (0...1e6).contains(electronicNoise) else {
      throw ValidationError(
        "--photons \(photons) --electronic-noise \(electronicNoise): from 1 to 1e12, 0 to 1e6")
    }
  }

  func run() throws {
    var simulator = LowDoseCT()
    simulator.photons = photons
    simulator.electronicNoise = electronicNoise
    simulator.window = filter == .hann ? .hann : .ramLak
    try options.run(Self.configuration.commandName) { volume, file, index, origin in
      try volume.requireProjectable(file: file)
      let beyond = volume.voxels.count { $0 > LowDoseCT.range.upperBound }
      if beyond > 0 {
        origin.warn(
          "\(file): \(beyond) voxels lie above \(Int(LowDoseCT.range.upperBound)) HU and end there")
      }
      return try simulator.applied(
        to: volume, seed: options.seed, image: index, threads: Engine.shared.threads)
    }
  }
}

/// `restore simulate pet-lowcount`: emission tomography with few counts.
struct SimulateLowCountPET: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pet-lowcount", abstract: "Low-count PET: point spread, counts, OSEM.",
    discussion: """
      --reference-output gets the reconstruction of expected counts. Counts are shared among the \
      slices by their activity.
      """)

  @Option(name: .long, help: "True counts of a slice of average activity.")
  var counts = 1e5

  @Option(name: .long, help: "Full width at half maximum of the point spread, mm.")
  var pointSpread = 5.0

  @Option(name: .long, help: "Background as a fraction of the true counts.")
  var background = 0.25

  @Option(name: .long, help: "Passes over all views.")
  var iterations = 4

  @Option(name: .long, help: "Full width of the Gaussian after reconstruction, mm.")
  var postFilter = 4.0

  @OptionGroup var options: SimulationOptions

  func validate() throws {
    guard (1...1e12).contains(counts), (0...100).contains(postFilter),
      (0...100).contains(pointSpread),
      (0...100).contains(background), (1...1000).contains(iterations)
    else {
      throw ValidationError(
        "--counts from 1 to 1e12, --point-spread and --background from 0 to 100, --iterations from 1"
      )
    }
  }

  func run() throws {
    var simulator = LowCountPET()
    simulator.counts = counts
    simulator.pointSpread = pointSpread
    simulator.background = background
    simulator.iterations = iterations
    simulator.postFilter = postFilter
    try options.run(Self.configuration.commandName) { volume, file, index, origin in
      try volume.requireProjectable(file: file)
      // Without activity there is nothing to count.
      _ = try SimulationOptions.scale(of: volume, file)
      return try simulator.applied(
        to: volume, seed: options.seed, image: index, threads: Engine.shared.threads)
    }
  }
}

/// `restore simulate phantom`: clean synthetic scans.
struct SimulatePhantom: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "phantom", abstract: "A clean synthetic brain (t1, t2, fdg, flair) or trunk (ct).",
    discussion: """
      Brains are warped tissue maps; contrasts of one subject share its anatomy. Without maps a brain \
      made of formulas is taken.
      """)

  /// What the phantom shows.
  enum Contrast: String, ExpressibleByArgument, CaseIterable {
    case t1, t2, fdg, flair, ct
  }

  @Option(name: .long, help: "t1, t2, fdg, flair or ct.")
  var contrast: Contrast = .t1

  @Option(name: .long, help: "The subject: a seed.")
  var subject: UInt64 = 0

  @Option(name: .long, help: "Map of grey matter, NIfTI.")
  var greyMatter: String?

  @Option(name: .long, help: "Map of white matter, on the same grid.")
  var whiteMatter: String?

  @Option(name: .long, help: "Average blocks of so many voxels of the maps along each axis.")
  var average = 1

  @Option(name: .shortAndLong, help: "NIfTI file.")
  var output: String

  @Flag(name: .long, help: "Replace the output if it exists.")
  var overwrite = false

  @OptionGroup(title: "Descriptions of outputs") var sidecars: SidecarOptions

  @OptionGroup(title: "General") var common: CommonOptions

  func validate() throws {
    guard (greyMatter == nil) == (whiteMatter == nil) else {
      throw ValidationError("--grey-matter and --white-matter belong together")
    }
    guard (1...16).contains(average) else {
      throw ValidationError("--average \(average): from 1 to 16")
    }
    guard average == 1 || greyMatter != nil else {
      throw ValidationError("--average \(average): goes with --grey-matter and --white-matter")
    }
  }

  func run() throws {
    common.apply()
    let inputs = [greyMatter, whiteMatter].compactMap(\.self)
    guard ImageFormat(path: output) == .nifti else {
      throw ImagingError.unsupportedFormat(
        file: output, reason: "a phantom is a volume, written as .nii or .nii.gz")
    }
    try AtomicFile.checkOutput(path: output, overwrite: overwrite, inputs: inputs)
    try sidecars.check([output], overwrite: overwrite)
    var origin = SidecarOptions.Origin(simulator: Self.configuration.commandName, seed: subject)
    var maps: [ScanFile] = []
    let volume: Volume
    if let kind = BrainPhantom.Contrast(rawValue: contrast.rawValue) {
      let tissue: BrainTissue
      if let greyMatter, let whiteMatter {
        let (grey, white) = (try ScanFile.read(greyMatter), try ScanFile.read(whiteMatter))
        maps = [grey, white]
        for scan in maps { scan.warnings.forEach { origin.warn("\(scan.path): \($0)") } }
        try white.volume.requireGrid(
          of: grey.volume, file: whiteMatter, referenceFile: greyMatter)
        tissue = try BrainTissue(greyMatter: grey.volume, whiteMatter: white.volume)
          .averaged(by: average)
      } else {
        tissue = .generated()
      }
      volume = BrainPhantom(tissue).image(kind, subject: subject)
    } else {
      volume = BodyPhantom().image(subject: subject)
    }
    try OutputPaths.allOrNone([output]) {
      _ = try NIfTI.write(
        volume, to: output,
        options: NIfTIWriteOptions(dataType: .float32, overwrite: overwrite, inputs: inputs))
      try sidecars.describe(output, range: volume.range, from: maps, origin)
    }
    SimulationOptions.show([output], isJSON: common.json)
  }
}
