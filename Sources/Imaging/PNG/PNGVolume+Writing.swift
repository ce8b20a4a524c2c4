import Foundation

extension PNGVolume {
  /// Writes a volume as a folder of PNG slices, named like the files of another stack.
  ///
  /// The slices are written beside the folder and moved there when all are complete.
  ///
  /// - Parameters:
  ///   - volume: One volume with as many slices as the stack has files; rounded and saturated.
  ///   - bitDepth: That of the stack; less than 8 becomes 8.
  ///   - source: The folder of the stack.
  ///   - folder: Made if it is not there.
  ///   - overwrite: Whether files of these names are replaced.
  /// - Returns: How many values lay beyond the range and were set to its end.
  /// - Throws: ``ImagingError`` of the output. The folder is then as it was, unless a file could not be moved:
  ///   those before it are the new ones then.
  static func writeStack(
    _ volume: Volume, bitDepth: Int, likeStackIn source: String, to folder: String,
    overwrite: Bool
  ) throws(ImagingError) -> Int {
    try checkStackOutput(folder, likeStackIn: source, overwrite: overwrite)
    let names = try names(in: source)
    let size = volume.size
    guard volume.volumeCount == 1, size.z == names.count else {
      throw .unsupportedFormat(
        file: folder, reason: "\(names.count) slices were read, \(size) are to be written")
    }
    let files = FileManager.default
    let temporary = folder + ".\(UInt64.random(in: .min ... .max)).tmp"
    try make(temporary, for: folder)
    defer { try? files.removeItem(atPath: temporary) }
    var saturatedCount = 0
    let pixels = size.x * size.y
    for (index, name) in names.enumerated() {
      let (image, saturated) = PNGImage.rounding(
        Array(volume.voxels[index * pixels..<(index + 1) * pixels]), height: size.y, width: size.x,
        colour: .grey, bitDepth: max(8, bitDepth))
      try image.write(to: temporary + "/" + name)
      saturatedCount += saturated
    }
    try make(folder, for: folder)
    for name in names where rename(temporary + "/" + name, folder + "/" + name) != 0 {
      throw .writeFailed(file: folder + "/" + name, reason: systemReason())
    }
    return saturatedCount
  }

  /// Checks that a stack may be written.
  ///
  /// - Parameters:
  ///   - folder: Where to.
  ///   - source: The folder of the stack that was read.
  ///   - overwrite: Whether files may be replaced.
  /// - Throws: ``ImagingError/overwritingInput(file:input:)``,
  ///   ``ImagingError/outputExists(file:)`` or ``ImagingError/cannotCreate(file:reason:)``.
  static func checkStackOutput(
    _ folder: String, likeStackIn source: String, overwrite: Bool
  ) throws(ImagingError) {
    let files = FileManager.default
    var isFolder: ObjCBool = false
    guard files.fileExists(atPath: folder, isDirectory: &isFolder) else { return }
    guard isFolder.boolValue else {
      throw .cannotCreate(file: folder, reason: "a file of that name is there")
    }
    for name in try names(in: source) where files.fileExists(atPath: folder + "/" + name) {
      // Compares identity, and tells an existing output.
      try AtomicFile.checkOutput(
        path: folder + "/" + name, overwrite: overwrite, inputs: [source + "/" + name])
    }
  }

  private static func names(in folder: String) throws(ImagingError) -> [String] {
    try stackFiles(in: folder).map { String($0.split(separator: "/").last ?? "") }
  }

  private static func make(_ folder: String, for output: String) throws(ImagingError) {
    do {
      try FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw .cannotCreate(file: output, reason: error.localizedDescription)
    }
  }
}
