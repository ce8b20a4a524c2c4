import Imaging
import Synchronization

/// What was noticed about the images of a training, each sentence once.
final class ImageNotes: Sendable {
  private let texts = Mutex<Set<String>>([])

  /// The sentences, sorted; they begin with the names of the images.
  var sentences: [String] { texts.withLock { $0.sorted() } }

  /// Keeps a sentence about an image.
  func add(_ text: String, about name: String) {
    texts.withLock { _ = $0.insert("\(name): \(text)") }
  }

  /// Reads an image and keeps what is worth telling about it.
  ///
  /// - Parameter path: As `ScanFile.read` takes it.
  /// - Returns: The image, 0 where the file has NaN or infinity.
  /// - Throws: What reading it throws.
  func read(_ path: String) throws(ImagingError) -> ScanFile {
    let scan = try ScanFile.read(path)
    add(scan)
    return scan
  }

  /// Keeps what is worth telling about an image that was read.
  func add(_ scan: ScanFile) {
    for warning in scan.warnings { add(warning, about: scan.path) }
  }

  /// Reads an image that must be one volume.
  ///
  /// - Parameter path: As ``read(_:)`` takes it.
  /// - Returns: The volume.
  /// - Throws: ``TrainingError/invalidSplit(file:reason:)`` for a series, or what reading throws.
  func volume(_ path: String) throws -> Volume { try single(path).volume }

  /// Reads a label map that must be one volume.
  ///
  /// - Parameters:
  ///   - path: As ``read(_:)`` takes it.
  ///   - image: The image whose structures it says; both must be on one grid.
  ///   - imageFile: That image's name in errors.
  ///   - allowed: The labels that may occur besides 0; nil for any.
  /// - Returns: The labels.
  /// - Throws: As ``volume(_:)``, or `ImagingError` for another grid and what is no label.
  func labels(
    _ path: String, of image: Volume, imageFile: String, allowed: Set<Int>? = nil
  ) throws -> LabelMap {
    let scan = try single(path)
    try scan.volume.requireGrid(of: image, file: path, referenceFile: imageFile)
    return try LabelMap(scan, allowed: allowed)
  }

  private func single(_ path: String) throws -> ScanFile {
    let scan = try read(path)
    guard scan.volume.volumeCount == 1 else {
      throw TrainingError.invalidSplit(
        file: path, reason: "it is a series of \(scan.volume.volumeCount) volumes, not one volume")
    }
    return scan
  }
}
