import ArgumentParser
import Foundation

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
}
