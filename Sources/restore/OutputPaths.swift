import Foundation

/// Checks of the paths that a command is to write, before any work.
enum OutputPaths {
  /// Refuses one path for two outputs: the later one would replace the earlier.
  ///
  /// - Parameter paths: All that will be written.
  /// - Throws: A usage failure.
  static func requireDistinct(_ paths: [String]) throws(CommandFailure) {
    var seen = Set<String>()
    for path in paths
    where !seen.insert(URL(fileURLWithPath: path).standardizedFileURL.path).inserted {
      throw CommandFailure(
        code: ExitStatus.usage, kind: "usage", what: "one path for two outputs (\(path))",
        cause: "the second would replace the first", advice: "give each output a name of its own",
        file: path)
    }
  }
}
