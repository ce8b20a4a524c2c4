import ArgumentParser
import Foundation
import Imaging
import TensorCore

/// What the `.json` beside an output tells.
struct SidecarOptions: ParsableArguments {
  @Flag(name: .long, help: "Write no .json beside the outputs.")
  var noSidecar = false

  @Option(name: .long, help: "Folders in the sidecar: names (none of them) or full.")
  var provenance: Provenance = .names

  @Flag(name: .long, help: "Leave times and memory out of the sidecar.")
  var reproducible = false

  @Flag(name: .long, help: "Say in the sidecar that the brain was extracted.")
  var skullStripped = false

  /// How much of a path the sidecar tells.
  enum Provenance: String, ExpressibleByArgument, CaseIterable {
    case names, full
  }

  /// Whether paths keep their folders.
  private var isFull: Bool { provenance == .full }

  /// The arguments of this process as the sidecar tells them.
  var arguments: [String] { Sidecar.arguments(full: isFull) }

  /// A path as the sidecar tells it.
  func path(_ path: String) -> String { isFull ? path : Sidecar.withoutFolders(path) }

  /// A message as the sidecar tells it.
  ///
  /// - Parameters:
  ///   - message: What was said while the output was made.
  ///   - paths: Those that may stand in it.
  /// - Returns: The message with these paths as ``path(_:)`` gives them.
  func message(_ message: String, naming paths: [String]) -> String {
    // One path may end in another.
    paths.sorted { $0.count > $1.count }
      .reduce(message) { $0.replacingOccurrences(of: $1, with: path($1)) }
  }

  /// The outputs and their sidecars, which must be distinct; sidecars replace no file of another program.
  ///
  /// - Parameters:
  ///   - outputs: The images to be written.
  ///   - overwrite: Whether what is there may be replaced.
  /// - Throws: A failure with code 64 or 73.
  func check(_ outputs: [String], overwrite: Bool) throws(CommandFailure) {
    guard !noSidecar else { return try OutputPaths.requireDistinct(outputs) }
    try OutputPaths.requireDistinct(outputs + outputs.map(Sidecar.path(besides:)))
    for output in outputs { try Sidecar.requireWritable(besides: output, overwrite: overwrite) }
  }

  /// Writes the sidecar of an image that no model made, if any is wanted.
  ///
  /// - Parameters:
  ///   - output: The image, a file or a folder.
  ///   - range: Its lowest and highest intensity.
  ///   - scans: What it was made from.
  ///   - origin: What made it.
  /// - Throws: What reading the inputs again and writing throw.
  func describe(
    _ output: String, range: [Float], from scans: [ScanFile], _ origin: Origin
  ) throws {
    guard !noSidecar else { return }
    let paths = scans.map(\.path)
    var provenance = Sidecar.Provenance(
      arguments: arguments, simulator: origin.simulator, isReference: origin.isReference,
      inputSHA256: paths.isEmpty ? nil : try Sidecar.checksums(of: scans.flatMap(\.files)),
      seed: origin.seed,
      threads: Engine.shared.threads, outputRange: range,
      nonFiniteVoxels: scans.reduce(0) { $0 + ($1.nonFinite?.count ?? 0) },
      warnings: origin.warnings.map { message($0, naming: paths + [output]) })
    if !paths.isEmpty {
      let ranges = scans.map(\.range)
      provenance.inputRange = [ranges.map { $0[0] }.min() ?? 0, ranges.map { $0[1] }.max() ?? 0]
    }
    if !reproducible {
      provenance.elapsedSeconds = -origin.start.timeIntervalSinceNow
      provenance.peakMemoryBytes = Memory.peak
    }
    try Sidecar(
      sources: paths.map(path), skullStripped: skullStripped,
      resolution: paths.isEmpty ? "native grid of the phantom" : "native grid of the input",
      restore: provenance
    ).write(to: Sidecar.path(besides: output))
  }

  /// How an image came about that no model made.
  struct Origin {
    /// The simulator; nil for a conversion.
    var simulator: String?
    /// Whether the image is what a perfect restoration gives; nil where none is meant.
    var isReference: Bool?
    /// Nil where nothing is random.
    var seed: UInt64?
    /// What was said meanwhile.
    var warnings: [String] = []
    /// When its making began.
    var start = Date()

    /// Shows a warning and keeps it for the sidecar.
    mutating func warn(_ message: String) {
      Console.shared.warning(message)
      warnings.append(message)
    }
  }
}
