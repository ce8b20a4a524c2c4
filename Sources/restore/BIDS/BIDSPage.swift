import Foundation
import Imaging

/// The page of a participant: all results of this program in the folder, with pictures.
struct BIDSPage {
  let label: String
  let dataset: String
  let output: BIDSOutput

  /// One image with its sidecar.
  private struct Result {
    /// From the folder of the results.
    let path: String
    let name: BIDSName
    let sidecar: SidecarFile

    var isProbability: Bool { name.suffix == "probseg" }
    var isLabelMap: Bool { name.suffix == "mask" || name.suffix == "dseg" }
    /// Where the source is from the folder of the dataset: results lie like their sources.
    var source: String? {
      guard let folder = path.lastIndex(of: "/"), let name = sidecar.sourceNames.first else {
        return nil
      }
      return path[...folder] + name
    }
  }

  /// The page; whatever cannot be drawn is said in words.
  func html() -> String {
    let results = results
    let shown = results.filter { !$0.isProbability }
    var budget = FigureBudget(cases: shown.count)
    var warnings = results.flatMap { result in
      result.sidecar.restore.warnings.map { "\(result.name.stem): \($0)" }
    }
    var sections: [String] = []
    for result in shown {
      defer { budget.finishCase() }
      sections.append("<h2>\(HTML.escaped(result.name.stem))</h2>" + Self.facts(result.sidecar))
      do { sections.append(try figure(of: result, within: &budget)) } catch {
        let failure = CommandFailure(error)
        warnings.append("\(result.name.stem): \(failure.what)")
        sections.append("<p>No picture: \(HTML.escaped(failure.cause))</p>")
      }
    }
    let notes = warnings.map { "<p class=\"w\">\(HTML.escaped($0))</p>" }
    return HTML.page(
      title: "sub-\(label)",
      body: (notes + [summary(results)] + sections + [provenance(results)])
        .joined(separator: "\n"))
  }

  private var results: [Result] {
    let folder = "sub-\(label)"
    return FolderTree.subpaths(of: output.path(of: folder)).compactMap { file in
      guard file.hasSuffix(".nii.gz"), let name = try? BIDSName(file),
        let sidecar = SidecarFile(besides: output.path(of: "\(folder)/\(file)"))
      else { return nil }
      return Result(path: "\(folder)/\(file)", name: name, sidecar: sidecar)
    }
  }

  private func summary(_ results: [Result]) -> String {
    "<h2>Results</h2>"
      + HTML.table(
        ["file", "made of", "model", "seconds"],
        results.map { result in
          let own = result.sidecar.restore
          return [
            result.path, result.sidecar.sourceNames.joined(separator: ", "),
            "\(own.model) \(own.modelVersion)",
            own.elapsedSeconds.map { String(format: "%.1f", $0) } ?? "-",
          ]
        })
  }

  private static func facts(_ sidecar: SidecarFile) -> String {
    let own = sidecar.restore
    func range(_ values: [Double]) -> String {
      values.map { String(format: "%.4g", $0) }.joined(separator: " to ")
    }
    let findings = sidecar.findings
    guard findings.isEmpty else {
      return HTML.table(
        ["structure", "ml", "parts"],
        findings.map { [$0.name, String(format: "%.3f", $0.milliliters), "\($0.count)"] })
    }
    return HTML.table(
      ["range before", "range after", "mean change", "rms change", "NaN or infinite voxels"],
      [
        [
          range(own.inputRange), range(own.outputRange),
          own.change.map { String(format: "%.4g", $0.mean) } ?? "-",
          own.change.map { String(format: "%.4g", $0.rootMeanSquare) } ?? "-",
          "\(own.nonFiniteVoxels)",
        ]
      ])
  }

  private func figure(of result: Result, within budget: inout FigureBudget) throws -> String {
    let made = try ScanFile.read(output.path(of: result.path)).volume.volume(at: 0)
    let source = try result.source.map { "\(dataset)/\($0)" }
      .flatMap { FileManager.default.fileExists(atPath: $0) ? try ScanFile.read($0) : nil }
      .map { $0.volume.volume(at: 0) }
    if result.isLabelMap {
      guard let source else { return "<p>No picture: its source is not there.</p>" }
      return try MaskFigure(name: result.name.stem, image: source, labels: made)
        .html(within: &budget)
    }
    return try ComparisonFigure(
      name: result.name.stem, montage: Montage(input: source ?? made, output: made), output: made,
      input: source
    ).html(within: &budget)
  }

  private func provenance(_ results: [Result]) -> String {
    let weights = Set(
      results.map { "\($0.sidecar.restore.model): \($0.sidecar.restore.weightsSHA256)" })
    return "<h2>Provenance</h2><p>restore \(programVersion); SHA-256 of the weights of "
      + HTML.escaped(weights.sorted().joined(separator: ", "))
      + ". Research use only, not for diagnosis.</p>"
  }
}
