public import Foundation
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A file that appears under its name only when it is complete.
///
/// Bytes go to a hidden temporary file in the same folder; ``commit()`` flushes it to the disk and
/// gives it its name in one step. If anything fails before, or the object goes away, the temporary
/// file is removed and whatever was at the path is untouched.
///
/// ```swift
/// let file = try AtomicFile(path: "out.json", overwrite: false, inputs: ["in.nii.gz"])
/// try file.write(bytes)
/// try file.commit()
/// ```
public final class AtomicFile {
  /// The path that the file will have.
  public let path: String
  private let temporary: String
  private let overwrite: Bool
  private var descriptor: Int32

  /// Creates the temporary file.
  ///
  /// - Parameters:
  ///   - path: The final path; its folder must exist. A symbolic link there is replaced, its target
  ///     is not touched.
  ///   - overwrite: Whether an existing file is replaced.
  ///   - inputs: Paths of files that must survive, whatever `overwrite` says; they are compared by
  ///     identity, so that links do not deceive.
  /// - Throws: ``ImagingError/overwritingInput(file:input:)``,
  ///   ``ImagingError/outputExists(file:)`` or ``ImagingError/cannotCreate(file:reason:)``.
  public init(path: String, overwrite: Bool = false, inputs: [String] = []) throws(ImagingError) {
    try Self.checkOutput(path: path, overwrite: overwrite, inputs: inputs)
    let slash = path.lastIndex(of: "/")
    let folder = slash.map { String(path[...$0]) } ?? ""
    let random = String(UInt64.random(in: .min ... .max), radix: 16)
    // A fixed prefix instead of the name keeps long names within the file system's limit.
    temporary = "\(folder).restore-\(random).tmp"
    descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    self.path = path
    self.overwrite = overwrite
    guard descriptor >= 0 else {
      throw .cannotCreate(file: path, reason: Self.creationReason(folder: folder))
    }
    Self.pending.withLock { _ = $0.insert(temporary) }
  }

  /// Creates a file whose bytes go to another descriptor, to see what a full disk does.
  package init(path: String, writingTo descriptor: Int32) {
    self.path = path
    self.descriptor = descriptor
    temporary = path + ".tmp"
    overwrite = false
  }

  deinit {
    discard()
  }

  /// Appends bytes.
  ///
  /// - Parameter bytes: The bytes; for speed, many at a time.
  /// - Throws: ``ImagingError/writeFailed(file:reason:)``; the temporary file is then gone.
  public func write(_ bytes: UnsafeRawBufferPointer) throws(ImagingError) {
    precondition(descriptor >= 0, "AtomicFile: \(path) is already committed or discarded")
    guard let base = bytes.baseAddress else { return }
    var done = 0
    while done < bytes.count {
      #if canImport(Glibc)
        let written = Glibc.write(descriptor, base + done, bytes.count - done)
      #else
        let written = Darwin.write(descriptor, base + done, bytes.count - done)
      #endif
      if written < 0 {
        if errno == EINTR { continue }
        throw failure()
      }
      done += written
    }
  }

  /// Appends bytes.
  ///
  /// - Parameter bytes: The bytes.
  /// - Throws: ``ImagingError/writeFailed(file:reason:)``; the temporary file is then gone.
  public func write(_ bytes: [UInt8]) throws(ImagingError) {
    let result = bytes.withUnsafeBytes { buffer in
      Result { () throws(ImagingError) in try write(buffer) }
    }
    try result.get()
  }

  /// Puts the complete file under its name.
  ///
  /// - Throws: ``ImagingError/writeFailed(file:reason:)``, or
  ///   ``ImagingError/outputExists(file:)`` if another process was faster.
  public func commit() throws(ImagingError) {
    precondition(descriptor >= 0, "AtomicFile: \(path) is already committed or discarded")
    // Some file systems cannot flush (EINVAL); they then have nothing to flush.
    if fsync(descriptor) != 0 && errno != EINVAL { throw failure() }
    let closed = close(descriptor)
    descriptor = -1
    guard closed == 0 else { throw failure() }
    if overwrite {
      guard rename(temporary, path) == 0 else { throw failure() }
    } else {
      try publishNew()
    }
    Self.forget(temporary)
    flushFolder()
  }

  /// Gives the file its name unless that exists, even if several processes try at once.
  private func publishNew() throws(ImagingError) {
    if link(temporary, path) == 0 {
      unlink(temporary)
      return
    }
    if errno == EEXIST {
      discard()
      throw .outputExists(file: path)
    }
    // No hard links on this file system: a check and a rename are the best there is.
    var status = stat()
    if lstat(path, &status) == 0 {
      discard()
      throw .outputExists(file: path)
    }
    guard rename(temporary, path) == 0 else { throw failure() }
  }

  /// Makes the new name itself survive a power cut; not every file system can, so failure is fine.
  private func flushFolder() {
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    let descriptor = open(folder, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    _ = fsync(descriptor)
    close(descriptor)
  }

  /// Removes the temporary file; nothing happens after ``commit()``.
  public func discard() {
    if descriptor >= 0 {
      close(descriptor)
      descriptor = -1
    }
    guard Self.forget(temporary) else { return }
    unlink(temporary)
  }

  private func failure() -> ImagingError {
    let reason = systemReason()
    discard()
    return .writeFailed(file: path, reason: reason)
  }

  private static func creationReason(folder: String) -> String {
    let code = errno
    switch code {
    case ENOENT: return "the folder \(folder.isEmpty ? "." : folder) does not exist"
    case ENOTDIR: return "\(folder) is no folder"
    default: return systemReason(code)
    }
  }
}

// MARK: - Checks before work begins

extension AtomicFile {
  /// Checks that an output may be written, so that a long computation need not be in vain.
  ///
  /// - Parameters:
  ///   - path: The output path.
  ///   - overwrite: Whether an existing file may be replaced.
  ///   - inputs: Paths of files that must survive; of either file of a NIfTI pair, both.
  /// - Throws: ``ImagingError/overwritingInput(file:input:)``,
  ///   ``ImagingError/outputExists(file:)`` or ``ImagingError/cannotCreate(file:reason:)``.
  public static func checkOutput(
    path: String, overwrite: Bool, inputs: [String]
  ) throws(ImagingError) {
    guard !path.isEmpty, !path.hasSuffix("/") else {
      throw .cannotCreate(file: path, reason: "the path names no file")
    }
    var status = stat()
    if stat(path, &status) == 0 {
      for input in inputs.flatMap(ImageFormat.files(of:)) {
        var other = stat()
        if stat(input, &other) == 0, status.st_dev == other.st_dev, status.st_ino == other.st_ino {
          throw .overwritingInput(file: path, input: input)
        }
      }
      if status.st_mode & S_IFMT == S_IFDIR {
        throw .cannotCreate(file: path, reason: "a folder of that name is there")
      }
      // A rename would put a file in the place of a device.
      if status.st_mode & S_IFMT != S_IFREG {
        throw .cannotCreate(file: path, reason: "what has that name is no file")
      }
      if !overwrite { throw .outputExists(file: path) }
    } else if lstat(path, &status) == 0, !overwrite {
      // A symbolic link to nowhere is still something that a rename would replace.
      throw .outputExists(file: path)
    }
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    if access(folder.isEmpty ? "." : folder, W_OK | X_OK) != 0 {
      throw .cannotCreate(file: path, reason: creationReason(folder: folder))
    }
  }

  /// Writes a whole file in one step.
  ///
  /// - Parameters:
  ///   - bytes: The contents: an array of bytes, or data.
  ///   - path: The path.
  ///   - overwrite: Whether an existing file is replaced.
  ///   - inputs: Paths of files that must survive.
  /// - Throws: As ``init(path:overwrite:inputs:)``, ``write(_:)-(UnsafeRawBufferPointer)`` and ``commit()``.
  public static func write(
    _ bytes: some ContiguousBytes, to path: String, overwrite: Bool = false, inputs: [String] = []
  ) throws(ImagingError) {
    let file = try AtomicFile(path: path, overwrite: overwrite, inputs: inputs)
    let result = bytes.withUnsafeBytes { buffer in
      Result { () throws(ImagingError) in try file.write(buffer) }
    }
    try result.get()
    try file.commit()
  }
}

// MARK: - Interrupted processes

extension AtomicFile {
  /// The temporary files of this process.
  private static let pending = Mutex<Set<String>>([])

  @discardableResult
  private static func forget(_ temporary: String) -> Bool {
    pending.withLock { $0.remove(temporary) != nil }
  }

  /// Whether this process is writing a temporary file of that name.
  static func isPending(_ name: String) -> Bool {
    pending.withLock { names in names.contains { $0 == name || $0.hasSuffix("/" + name) } }
  }

  /// Removes every temporary file and folder that is still open, before a process ends on a signal.
  public static func discardAll() {
    let names = pending.withLock { names in
      defer { names.removeAll() }
      return names
    }
    for name in names { unlink(name) }
    TemporaryFolder.discardAll()
  }
}
