import Foundation

extension AtomicFile {
  /// Removes the temporary files of programs that were killed while they wrote into a folder.
  ///
  /// Only for folders that no other program writes into; those of this process stay.
  ///
  /// - Parameter folder: Need not be there; folders in it are not looked into.
  package static func removeAbandoned(in folder: String) {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    for name in names
    where name.hasPrefix(".restore-") && name.hasSuffix(".tmp") && !isPending(name) {
      unlink(folder + "/" + name)
    }
  }
}
