import Foundation
import Imaging

/// Keeps two programs from training in one folder; gone with the object or the program.
///
/// Advisory, of the whole process; on file systems without locks it keeps nobody out.
final class FolderLock: Sendable {
  private let descriptor: Int32
  /// Whether others are kept out.
  let isHeld: Bool

  /// Takes the lock of a folder.
  ///
  /// - Parameter folder: It exists; gets a file `.lock`.
  /// - Throws: ``TrainingError/inUse(folder:)`` if another program has it, or
  ///   `ImagingError.cannotCreate` if the file cannot be made.
  init(_ folder: String) throws {
    let path = folder + "/.lock"
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw ImagingError.cannotCreate(file: path, reason: String(cString: strerror(errno)))
    }
    var request = flock()
    request.l_type = Int16(F_WRLCK)
    request.l_whence = Int16(SEEK_SET)
    let isLocked = fcntl(descriptor, F_SETLK, &request) == 0
    guard isLocked || ![EACCES, EAGAIN].contains(errno) else {
      close(descriptor)
      throw TrainingError.inUse(folder: folder)
    }
    isHeld = isLocked
  }

  deinit { close(descriptor) }

  /// Removes what programs that were killed left half written in a run folder.
  ///
  /// - Parameter folder: The one that is locked.
  func removeAbandonedFiles(in folder: String) {
    guard isHeld else { return }
    for part in ["", "/checkpoints", "/pictures", "/bundle"] {
      AtomicFile.removeAbandoned(in: folder + part)
    }
  }
}
