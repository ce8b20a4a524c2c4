import Foundation
import Synchronization

/// A hidden folder on the file system of the one that its contents are for; gone with the object, whatever is in it.
final class TemporaryFolder {
  /// Where it is.
  let path: String

  private static let pending = Mutex<Set<String>>([])

  /// Makes the folder, and those above it that are not there.
  ///
  /// - Parameter output: The folder that its contents are for. If it is there, the new one lies in it, for it may be
  ///   where another file system is mounted; else beside it.
  /// - Throws: ``ImagingError/cannotCreate(file:reason:)``.
  init(for output: String) throws(ImagingError) {
    let parent =
      FileManager.default.fileExists(atPath: output)
      ? output : URL(fileURLWithPath: output).deletingLastPathComponent().path
    path = "\(parent)/.restore-\(String(UInt64.random(in: .min ... .max), radix: 16)).tmp"
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw .cannotCreate(file: output, reason: error.localizedDescription)
    }
    Self.pending.withLock { _ = $0.insert(path) }
  }

  deinit {
    _ = Self.pending.withLock { $0.remove(path) }
    try? FileManager.default.removeItem(atPath: path)
  }

  /// Removes every folder of this process, before it ends on a signal.
  static func discardAll() {
    let paths = pending.withLock { paths in
      defer { paths.removeAll() }
      return paths
    }
    for path in paths { try? FileManager.default.removeItem(atPath: path) }
  }
}
