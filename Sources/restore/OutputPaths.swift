import Foundation
import Imaging

/// Checks of the paths that a command is to write, before any work.
enum OutputPaths {
  /// Refuses an empty path: with a name behind it, it would be the root of the file system.
  ///
  /// - Parameters:
  ///   - path: What was given.
  ///   - option: For what.
  /// - Throws: A usage failure.
  static func requireNamed(_ path: String, _ option: String) throws(CommandFailure) {
    guard path.isEmpty else { return }
    throw CommandFailure(
      code: ExitStatus.usage, kind: "usage", what: "\(option) is empty",
      cause: "a path is needed", advice: "see whether a variable of the shell is unset")
  }

  /// Refuses one path for two outputs: the later one would replace the earlier.
  ///
  /// - Parameter paths: All that will be written.
  /// - Throws: A usage failure.
  static func requireDistinct(_ paths: [String]) throws(CommandFailure) {
    var seen = Set<String>()
    for path in paths.flatMap(ImageFormat.files(of:))
    where !seen.insert(URL(fileURLWithPath: path).standardizedFileURL.path).inserted {
      throw CommandFailure(
        code: ExitStatus.usage, kind: "usage", what: "one path for two outputs (\(path))",
        cause: "the second would replace the first", advice: "give each output a name of its own",
        file: path)
    }
  }

  /// The files of a folder of inputs, which no output may replace.
  ///
  /// - Parameter folder: Nil for none.
  /// - Returns: Their paths.
  static func files(in folder: String?) -> [String] {
    guard let folder else { return [] }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.map { folder + "/" + $0 }
  }

  /// Writes several files that belong together, and takes away what was written if it fails.
  ///
  /// What stood at a path before stays, unless it was replaced already.
  ///
  /// - Parameters:
  ///   - paths: All that `write` may write.
  ///   - write: Writes them.
  /// - Returns: What `write` returns.
  /// - Throws: What `write` throws.
  static func allOrNone<Result>(_ paths: [String], _ write: () throws -> Result) throws -> Result {
    let paths = paths.flatMap(ImageFormat.files(of:))
    let before = paths.map(identity)
    do { return try write() } catch {
      for (path, old) in zip(paths, before) where identity(path) != old { unlink(path) }
      throw error
    }
  }

  /// Which file is at a path, nil for none; a replaced file is another one.
  private static func identity(_ path: String) -> UInt64? {
    var status = stat()
    return lstat(path, &status) == 0 ? UInt64(status.st_ino) : nil
  }
}
