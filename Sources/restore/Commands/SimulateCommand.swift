import ArgumentParser
import Foundation
import Imaging

/// `restore simulate`: degrades clean images by physics, from a seed.
struct SimulateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate", abstract: "Degrade clean images by physics, from a seed.",
    subcommands: [SimulateRician.self])
}

/// `restore simulate rician`: the noise of magnitude MRI.
struct SimulateRician: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rician", abstract: "Rician noise, that of magnitude MRI.",
    discussion: """
      The standard deviation of each of the two channels is a percentage of the 99.5th percentile of \
      the image's voxels above zero.
      """)

  @Option(name: .shortAndLong, help: "Clean image, folder, pattern, or .txt list.")
  var input: String

  @Option(name: .shortAndLong, help: "Image for a single input, folder, or .txt list.")
  var output: String

  @Option(name: .long, help: "Standard deviation, percent.")
  var percent = 10.0

  @Option(name: .long, help: "Seed of the noise.")
  var seed: UInt64 = 0

  @Option(name: .long, help: "Voxel type of the output: same, float32 or int16.")
  var dtype: OutputDataType = .float32

  @Flag(name: .long, help: "Replace outputs that exist.")
  var overwrite = false

  @OptionGroup(title: "General") var common: CommonOptions

  func validate() throws {
    guard percent >= 0, percent <= 1000 else {
      throw ValidationError("--percent \(percent): from 0 to 1000")
    }
  }

  func run() throws {
    common.apply()
    var written: [String] = []
    for item in try ItemList.items(input: input, output: output) {
      if Interruption.signal != nil { throw Interruption.failure("run the same command again") }
      try AtomicFile.checkOutput(path: item.output, overwrite: overwrite, inputs: [item.input])
      let scan = try ScanFile.read(item.input)
      scan.warnings.forEach(Console.shared.warning)
      let positive = OrderStatistics(of: scan.volume.voxels, selection: .positive)
      guard let scale = positive.percentile(ForegroundPSNR.scalePercentile) else {
        throw ImagingError.noForeground(file: item.input)
      }
      let noise = RicianNoise(fraction: percent / 100, ofScale: scale)
      let notes = try scan.write(
        noise.applied(to: scan.volume, seed: seed, image: 0), to: item.output,
        options: NIfTIWriteOptions(
          dataType: dtype, overwrite: overwrite, nonFinite: scan.nonFinite))
      notes.forEach(Console.shared.warning)
      written.append(item.output)
    }
    if common.json {
      struct Document: Encodable {
        let ok = true
        let outputs: [String]
      }
      Console.shared.result(Document(outputs: written))
    } else {
      Console.shared.result(written)
    }
  }
}
