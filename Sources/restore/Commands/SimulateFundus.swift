public import ArgumentParser
import Foundation
public import Imaging

/// `restore simulate fundus`: pictures of optic discs with exact labels.
struct SimulateFundus: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fundus", abstract: "Photographs of optic discs and cups, with exact masks.",
    discussion: """
      Writes fundus-SEED.png and fundus-SEED_mask.png (0 background, 1 rim of the disc, 2 cup) for \
      each seed, the folder that `restore train` takes for the optic disc network; fundus-SEED.json \
      describes both.
      """)

  @Option(name: .shortAndLong, help: "Folder; made if it is not there.")
  var output: String

  @Option(name: .long, help: "Eyes.")
  var count = 1

  @Option(name: .long, help: "Seed of the first eye; the others follow.")
  var seed: UInt64 = 0

  @Option(name: .long, help: "disc: a square around the disc. field: all that a camera shows.")
  var view: FundusSimulator.View = .disc

  @Option(name: .long, help: "Rows and columns.")
  var side = 160

  @Flag(name: .long, help: "Replace outputs that exist.")
  var overwrite = false

  @OptionGroup(title: "Descriptions of outputs") var sidecars: SidecarOptions

  @OptionGroup(title: "General") var common: CommonOptions

  func validate() throws {
    guard (1...100_000).contains(count) else {
      throw ValidationError("--count \(count): from 1 to 100000")
    }
    guard (16...4096).contains(side) else {
      throw ValidationError("--side \(side): from 16 to 4096")
    }
  }

  func run() throws {
    common.apply()
    try OutputPaths.requireNamed(output, "--output")
    do {
      try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
    } catch {
      throw ImagingError.cannotCreate(file: output, reason: error.localizedDescription)
    }
    var written: [String] = []
    for index in 0..<UInt64(count) {
      if Interruption.signal != nil {
        throw Interruption.failure("run the same command again, with --overwrite")
      }
      let number = seed &+ index
      let name = "\(output)/fundus-" + String(repeating: "0", count: max(0, 5 - "\(number)".count))
      let origin = SidecarOptions.Origin(simulator: Self.configuration.commandName, seed: number)
      let phantom = FundusSimulator(seed: number).phantom(view, side: side)
      let paths = ["\(name)\(number).png", "\(name)\(number)_mask.png"]
      try sidecars.check([paths[0]], overwrite: overwrite)
      try OutputPaths.allOrNone(paths) {
        for (path, image) in zip(paths, [phantom.image, phantom.mask]) {
          try image.write(to: path, overwrite: overwrite)
        }
        let samples = phantom.image.samples.map(Float.init)
        try sidecars.describe(
          paths[0], range: [samples.min() ?? 0, samples.max() ?? 0], from: [], origin)
      }
      written += paths
      Console.shared.progress(
        "eye \(index + 1)/\(count)", done: Int(index) + 1, total: count)
    }
    SimulationOptions.show(written, isJSON: common.json)
  }
}

extension FundusSimulator.View: ExpressibleByArgument {}
