import Foundation
import Imaging

extension ModelCard {
  /// Writes `README.md` and, last, `model.json`, which makes a folder with weights a bundle.
  ///
  /// - Parameters:
  ///   - folder: The bundle's folder, which exists.
  ///   - overwrite: Whether files that are there may be replaced.
  ///   - inputs: Paths of files that must survive.
  /// - Throws: What encoding and writing throw.
  public func write(
    toBundle folder: String, overwrite: Bool = true, inputs: [String] = []
  ) throws {
    try AtomicFile.write(
      Array(readme.utf8), to: folder + "/README.md", overwrite: overwrite, inputs: inputs)
    try AtomicFile.write(
      [UInt8](try json()), to: folder + "/model.json", overwrite: overwrite, inputs: inputs)
  }

  /// The card as a page for people.
  var readme: String {
    let figures = metrics.sorted { $0.key < $1.key }
      .map { "| `\($0.key)` | \(String(format: "%.4g", $0.value)) |" }
    let table = figures.isEmpty ? [] : ["| Figure | |", "|---|---|"] + figures + [""]
    let sources =
      references.isEmpty ? [] : ["## References", ""] + references.map { "- \($0)" } + [""]
    let paragraphs =
      ["# \(name) \(version)", "", intendedUse, ""]
      + ["**For research use only.** \(limitations)", ""]
      + ["## Training", "", trainingData, ""] + table + sources
      + ["Licence: \(license)"]
    return paragraphs.joined(separator: "\n") + "\n"
  }
}
