import Foundation
import Imaging
import Layers

/// A model bundle in one zip file, read in memory: nothing of it is written.
///
/// `model.json` and `weights.safetensors` stand at the top or in one folder; other files are of no concern.
struct ZippedBundle: Sendable {
  let card: Data
  let weights: Data

  /// How names of such bundles end.
  static let ending = ".zip"

  /// Reads an archive.
  ///
  /// - Parameter path: The zip file.
  /// - Throws: ``InferenceError/bundleInvalid(bundle:reason:)``.
  init(contentsOf path: String) throws(InferenceError) {
    func invalid(_ reason: String) -> InferenceError {
      .bundleInvalid(bundle: path, reason: reason)
    }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw invalid("it cannot be read")
    }
    let archive: StoredArchive
    do { archive = try StoredArchive(data, allowsDeflate: true) } catch {
      throw invalid(error.reason)
    }
    func contents(_ name: String) throws(InferenceError) -> Data? {
      if let range = archive.files[name] { return data.subdata(in: range) }
      guard let file = archive.deflated[name] else { return nil }
      guard let contents = Deflate.inflated(data.subdata(in: file.range), size: file.size),
        ZipChecksum.of(contents) == file.checksum
      else { throw invalid("\(name) in it is damaged") }
      return contents
    }
    let names = Set(archive.files.keys).union(archive.deflated.keys)
    let cards = names.filter {
      $0 == "model.json" || $0.hasSuffix("/model.json") && $0.split(separator: "/").count == 2
    }
    guard cards.count == 1, let name = cards.first, let card = try contents(name) else {
      throw invalid(
        "it holds \(cards.count) files model.json, at the top or in one folder, not one")
    }
    let folder = name.dropLast("model.json".count)
    guard let weights = try contents(folder + "weights.safetensors") else {
      throw invalid("it holds no weights.safetensors beside its model.json")
    }
    (self.card, self.weights) = (card, weights)
  }
}
