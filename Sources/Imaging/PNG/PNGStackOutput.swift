import Foundation

/// A folder of PNG slices that is to be written.
///
/// A folder that is not there appears when all slices are complete, in one step. Into one that is there they are
/// moved one after the other, each complete.
public struct PNGStackOutput: Sendable {
  /// The folder.
  public let folder: String
  /// The names of the slices in order.
  public let names: [String]
  /// Files that must survive.
  private let inputs: [String]

  /// A folder for some slices.
  ///
  /// - Parameters:
  ///   - folder: Made, with those above it, if it is not there.
  ///   - names: The names of the slices in order, all different.
  ///   - inputs: Paths of files that must survive.
  public init(_ folder: String, names: [String], inputs: [String]) {
    var folder = folder
    while folder.count > 1, folder.hasSuffix("/") { folder.removeLast() }
    self.folder = folder
    self.names = names
    self.inputs = inputs
  }

  /// A folder for slices that are named like those of another stack.
  ///
  /// - Parameters:
  ///   - folder: As for ``init(_:names:inputs:)``.
  ///   - source: The folder of the stack; its files must survive.
  /// - Throws: ``ImagingError/noSuchFile(file:reason:)`` or ``ImagingError/noImages(folder:)``.
  init(_ folder: String, likeStackIn source: String) throws(ImagingError) {
    let files = try PNGVolume.stackFiles(in: source)
    self.init(folder, names: files.map(Self.name), inputs: files)
  }

  /// The paths of the slices in order.
  public var paths: [String] { names.map { "\(folder)/\($0)" } }

  /// Whether all slices are there.
  var isComplete: Bool { paths.allSatisfy(FileManager.default.fileExists(atPath:)) }

  /// Checks that the slices may be written.
  ///
  /// - Parameter overwrite: Whether slices that are there may be replaced.
  /// - Throws: ``ImagingError/overwritingInput(file:input:)``,
  ///   ``ImagingError/outputExists(file:)`` or ``ImagingError/cannotCreate(file:reason:)``.
  public func check(overwrite: Bool) throws(ImagingError) {
    let files = FileManager.default
    var isFolder: ObjCBool = false
    guard files.fileExists(atPath: folder, isDirectory: &isFolder) else { return }
    guard isFolder.boolValue else {
      throw .cannotCreate(file: folder, reason: "a file of that name is there")
    }
    for path in paths where files.fileExists(atPath: path) {
      // Compares identity, and tells an existing output.
      try AtomicFile.checkOutput(path: path, overwrite: overwrite, inputs: inputs)
    }
    let others = ((try? PNGVolume.stackFiles(in: folder)) ?? []).map(Self.name)
      .filter { !names.contains($0) }
    if let other = others.first {
      throw .cannotCreate(
        file: folder,
        reason: "\(other) is there"
          + (others.count > 1 ? " and \(others.count - 1) more PNG files" : "")
          + ", which would be taken for slices of the result")
    }
    guard files.isWritableFile(atPath: folder) else {
      throw .cannotCreate(file: folder, reason: "the folder is read-only")
    }
  }

  /// Writes the slices.
  ///
  /// - Parameters:
  ///   - overwrite: Whether slices that are there are replaced.
  ///   - image: Makes the slice of a number.
  /// - Throws: ``ImagingError`` of the output. The folder is then as it was, unless a file could not be moved:
  ///   those before it are the new ones then.
  public func write(overwrite: Bool, _ image: (Int) -> PNGImage) throws(ImagingError) {
    try check(overwrite: overwrite)
    let temporary = try TemporaryFolder(for: folder)
    for (index, name) in names.enumerated() {
      try image(index).write(to: temporary.path + "/" + name)
    }
    if !FileManager.default.fileExists(atPath: folder), rename(temporary.path, folder) == 0 {
      return
    }
    for (name, path) in zip(names, paths) where rename(temporary.path + "/" + name, path) != 0 {
      throw .writeFailed(file: path, reason: systemReason())
    }
  }

  /// Removes the slices, and the folder if nothing else is in it.
  public func remove() {
    for path in paths { unlink(path) }
    rmdir(folder)
  }

  private static func name(_ path: String) -> String {
    String(path.split(separator: "/").last ?? "")
  }
}
