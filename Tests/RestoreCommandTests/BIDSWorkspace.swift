import Foundation
import Imaging
import Testing

/// What tests of `restore bids` need: a dataset `raw`, and what a folder holds.
extension Workspace {
  /// A folder with a dataset `raw` of small images and its description.
  ///
  /// - Parameter images: From the dataset's folder.
  /// - Returns: The workspace.
  /// - Throws: What writing throws.
  static func bids(_ images: [String]) throws -> Workspace {
    let space = try Workspace()
    for (index, image) in images.enumerated() {
      try space.makeFolder(of: "raw/" + image)
      try space.image("raw/" + image, space.volume(seed: UInt64(index + 1)))
    }
    try space.makeFolder(of: "raw/x")
    try space.write(
      #"{"Name": "study", "BIDSVersion": "1.8.0", "DatasetDOI": "doi:10.1/x"}"#,
      to: "raw/dataset_description.json")
    return space
  }

  /// Makes the folder of a file.
  func makeFolder(of name: String) throws {
    try FileManager.default.createDirectory(
      at: URL(fileURLWithPath: path(name)).deletingLastPathComponent(),
      withIntermediateDirectories: true)
  }

  /// Every file below a folder with its bytes.
  func contents(of folder: String) throws -> [String: Data] {
    var result: [String: Data] = [:]
    for name in FileManager.default.subpaths(atPath: path(folder)) ?? [] {
      var isFolder: ObjCBool = false
      _ = FileManager.default.fileExists(
        atPath: path("\(folder)/\(name)"), isDirectory: &isFolder)
      result[name] = isFolder.boolValue ? Data() : try data("\(folder)/\(name)")
    }
    return result
  }

  /// The files below a folder, logs left out, sorted.
  func files(of folder: String) -> [String] {
    (FileManager.default.subpaths(atPath: path(folder)) ?? []).filter { name in
      var isFolder: ObjCBool = false
      return FileManager.default.fileExists(
        atPath: path("\(folder)/\(name)"), isDirectory: &isFolder) && !isFolder.boolValue
        && !name.hasPrefix("logs/")
    }.sorted()
  }

  /// The rows of a table, each by the titles of its columns.
  func table(_ name: String) throws -> [[String: String]] {
    let lines = String(decoding: try data(name), as: UTF8.self).split(separator: "\n").map {
      $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
    }
    let head = try #require(lines.first)
    return try lines.dropFirst().map { cells in
      try #require(cells.count == head.count)
      return Dictionary(uniqueKeysWithValues: zip(head, cells))
    }
  }

  /// Which file a name leads to; a file that was written anew is another one, or a later one of the same number.
  func identity(_ name: String) throws -> String {
    let attributes = try FileManager.default.attributesOfItem(atPath: path(name))
    let number = try #require(attributes[.systemFileNumber] as? Int)
    let date = try #require(attributes[.modificationDate] as? Date)
    return "\(number) \(date.timeIntervalSinceReferenceDate)"
  }

  /// `restore bids raw out participant` with the tiny model.
  func participants(_ options: String..., model: String = "./tiny") throws
    -> RestoreProcess.Outcome
  {
    try start(["bids", "raw", "out", "participant", "-m", model] + options).finish()
  }
}
