import ArgumentParser
import Foundation
import Imaging
import TensorCore

/// `restore simulate`: degrades clean images by physics, from a seed.
struct SimulateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate", abstract: "Degrade clean images by physics, from a seed.",
    subcommands: [
      SimulateRician.self, SimulateMRISuperResolution.self, SimulateThickSlices.self,
      SimulateBiasField.self, SimulateFieldStrength.self, SimulateLowDoseCT.self,
      SimulateLowCountPET.self, SimulatePhantom.self, SimulateFundus.self,
      SimulateLesions.self,
    ])
}

/// What all simulations of existing images have in common.
struct SimulationOptions: ParsableArguments {
  @Option(name: .shortAndLong, help: "Clean image, folder, pattern, or .txt list.")
  var input: String

  @Option(name: .shortAndLong, help: "Image for a single input, folder, or .txt list.")
  var output: String

  @Option(
    name: .long,
    help: "Where the image goes that a perfect restoration gives; as --output.")
  var referenceOutput: String?

  @Option(name: .long, help: "Seed of the random numbers.")
  var seed: UInt64 = 0

  @Option(name: .long, help: "Voxel type of the output: same, float32 or int16.")
  var dtype: OutputDataType = .float32

  @Option(name: .long, help: "Value that stands for 0 in a PNG, as 1024 where it holds HU + 1024.")
  var pictureOffset: Float = 0

  @Option(name: .long, help: "Voxel size of PNG files, mm.")
  var pictureSpacing = 1.0

  @Flag(name: .long, help: "Replace outputs that exist.")
  var overwrite = false

  @OptionGroup(title: "Descriptions of outputs") var sidecars: SidecarOptions

  @OptionGroup(title: "General") var common: CommonOptions

  func validate() throws {
    guard pictureSpacing > 0, pictureSpacing.isFinite, pictureOffset.isFinite else {
      throw ValidationError("--picture-spacing \(pictureSpacing): a size above 0 mm is needed")
    }
  }

  /// Degrades each input and writes what comes out.
  ///
  /// - Parameters:
  ///   - simulator: The subcommand, as the sidecars tell it.
  ///   - degrade: Gets the clean image, its path, its place among the inputs, which names its stream of
  ///     random numbers, and where warnings go; returns the degraded one and what belongs into
  ///     `--reference-output`.
  /// - Throws: What reading, degrading and writing throw.
  func run(
    _ simulator: String?,
    _ degrade: (Volume, String, UInt64, inout SidecarOptions.Origin) throws -> (
      degraded: Volume, reference: Volume
    )
  ) throws {
    common.apply()
    let items = try ItemList.items(input: input, output: output)
    let references = try referenceOutput.map { try ItemList.items(input: input, output: $0) }
    let (inputs, outputs) = (items.map(\.input), (items + (references ?? [])).map(\.output))
    for item in items + (references ?? []) {
      try ScanFile.checkFormat(ofOutput: item.output, for: item.input)
    }
    try sidecars.check(outputs, overwrite: overwrite)
    for item in items + (references ?? []) {
      try ScanFile.checkOutput(item.output, for: item.input, overwrite: overwrite, inputs: inputs)
    }
    var written: [String] = []
    for (index, item) in items.enumerated() {
      if Interruption.signal != nil {
        throw Interruption.failure("run the same command again, with --overwrite")
      }
      var origin = SidecarOptions.Origin(simulator: simulator, seed: seed)
      let reference = references?[index].output
      // A folder is a stack of pictures.
      let isPicture = ImageFormat(path: item.input) != .nifti
      let scan = try ScanFile.read(
        item.input,
        options: isPicture
          ? NIfTIReadOptions(assumedSpacing: SIMD3(repeating: pictureSpacing))
          : NIfTIReadOptions())
      scan.warnings.forEach { origin.warn($0) }
      let offset = isPicture ? pictureOffset : 0
      let result = try degrade(
        scan.volume.shifted(by: -offset), item.input, UInt64(index), &origin)
      for (path, volume) in [(item.output, result.degraded), (reference, result.reference)] {
        guard let path else { continue }
        let image = volume.shifted(by: offset)
        guard image.voxels.allSatisfy(\.isFinite) else {
          throw ImagingError.intensityTooLarge(
            file: item.input,
            value: scan.volume.voxels.max { $0.magnitude < $1.magnitude } ?? 0)
        }
        let notes = try scan.write(
          image, to: path,
          options: NIfTIWriteOptions(
            dataType: dtype, overwrite: overwrite, nonFinite: scan.nonFinite))
        var own = origin
        if reference != nil { own.isReference = path == reference }
        notes.forEach { own.warn($0) }
        do {
          try sidecars.describe(path, range: scan.storedRange(of: image), from: [scan], own)
        } catch {
          scan.removeOutput(path)
          throw error
        }
        written.append(path)
      }
    }
    SimulationOptions.show(written, isJSON: common.json)
  }

  /// Prints the paths that were written.
  static func show(_ written: [String], isJSON: Bool) {
    guard isJSON else { return Console.shared.result(written) }
    struct Document: Encodable {
      let ok = true
      let outputs: [String]
    }
    Console.shared.result(Document(outputs: written))
  }

  /// Tells of intensities that no magnitude has.
  static func warnOfNegatives(
    in volume: Volume, _ file: String, _ origin: inout SidecarOptions.Origin
  ) {
    let negative = volume.voxels.count { $0 < 0 }
    guard negative > 0 else { return }
    origin.warn(
      "\(file): \(negative) voxels are below 0, which magnitudes never are; their sign is lost")
  }

  /// The scale of an image: the 99.5th percentile of the voxels above zero.
  static func scale(of volume: Volume, _ file: String) throws(ImagingError) -> Double {
    let positive = OrderStatistics(of: volume.voxels, selection: .positive)
    guard let scale = positive.percentile(ForegroundPSNR.scalePercentile) else {
      throw .noForeground(file: file)
    }
    return scale
  }
}

extension Volume {
  /// The same image with a number added to each voxel.
  fileprivate func shifted(by offset: Float) -> Volume {
    guard offset != 0 else { return self }
    var result = self
    result.voxels = voxels.map { $0 + offset }
    return result
  }
}
