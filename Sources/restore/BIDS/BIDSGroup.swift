import Foundation
import Imaging

/// The table of all participants' results.
struct BIDSGroup {
  let output: BIDSOutput
  private(set) var rows: [[String]] = []

  /// A column, as `group_metrics.json` describes it.
  private struct Column {
    let name: String
    let description: String
    var units: String?
  }

  private static let columns = [
    Column(name: "participant_id", description: "The participant, sub- and the label."),
    Column(name: "session_id", description: "The session, ses- and the label; n/a if there are none."),
    Column(name: "source", description: "The images that were read, in the order of the model."),
    Column(name: "output", description: "What was made of them: a restored image, a mask or labels."),
    Column(name: "model", description: "The model's name."),
    Column(name: "model_version", description: "The model's version."),
    Column(name: "structure", description: "The structure that the row is about; n/a for a restored image."),
    Column(name: "input_min", description: "The least intensity of the images.", units: "of the image"),
    Column(name: "input_max", description: "The greatest intensity of the images.", units: "of the image"),
    Column(name: "output_min", description: "The least value of the output.", units: "of the image"),
    Column(name: "output_max", description: "The greatest value of the output.", units: "of the image"),
    Column(name: "nonfinite_voxels", description: "Voxels of the images that were NaN or infinite."),
    Column(
      name: "change_mean", description: "Mean of output minus input over finite voxels.",
      units: "of the image"),
    Column(
      name: "change_rms",
      description: "Root of the mean squared difference of output and input over finite voxels.",
      units: "of the image"),
    Column(name: "volume_ml", description: "The volume of the structure.", units: "mL"),
    Column(
      name: "count",
      description: "Parts of the structure that hang together over faces, edges and corners: lesions."),
    Column(name: "warnings", description: "How many warnings there were; the logs have them."),
    Column(
      name: "seconds", description: "Time that reading, computing and writing took; n/a if not kept.",
      units: "s"),
  ]

  /// A table without rows.
  init(of output: BIDSOutput) { self.output = output }

  /// Adds what was made of a participant.
  ///
  /// - Parameters:
  ///   - label: The participant.
  ///   - cases: What was made; all of it must be there.
  mutating func add(_ label: String, _ cases: [BIDSRecipe.Case]) {
    for item in cases {
      guard let sidecar = SidecarFile(besides: output.path(of: item.output)) else { continue }
      let own = sidecar.restore
      func number(_ value: Double?) -> String { value.map { String(format: "%.6g", $0) } ?? "n/a" }
      let findings = sidecar.findings.map { Optional($0) }
      for finding in findings.isEmpty ? [nil] : findings {
        rows.append([
          "sub-\(label)", item.inputs[0].session.map { "ses-" + $0 } ?? "n/a",
          item.inputs.map(\.path).joined(separator: ","), item.output, own.model, own.modelVersion,
          finding?.name ?? "n/a", number(own.inputRange.first), number(own.inputRange.last),
          number(own.outputRange.first), number(own.outputRange.last), "\(own.nonFiniteVoxels)",
          number(own.change?.mean), number(own.change?.rootMeanSquare),
          number(finding?.milliliters), finding.map { "\($0.count)" } ?? "n/a",
          "\(own.warnings.count)", number(own.elapsedSeconds),
        ])
      }
    }
  }

  /// The table, columns separated by tabs.
  var table: String {
    ([Self.columns.map(\.name)] + rows).map { row in
      row.map { $0.split(whereSeparator: \.isWhitespace).joined(separator: " ") }
        .joined(separator: "\t") + "\n"
    }.joined()
  }

  /// Writes `group_metrics.tsv` and what its columns mean, `group_metrics.json`, in place of earlier ones.
  ///
  /// - Returns: The paths of both.
  /// - Throws: What writing throws.
  func write() throws -> [String] {
    struct Text: Encodable {
      let description: String
      let units: String?
      enum CodingKeys: String, CodingKey {
        case description = "Description"
        case units = "Units"
      }
    }
    let meanings = Dictionary(
      uniqueKeysWithValues: Self.columns.map {
        ($0.name, Text(description: $0.description, units: $0.units))
      })
    let paths = ["group_metrics.json", "group_metrics.tsv"].map(output.path(of:))
    try AtomicFile.write(try BIDSOutput.json(meanings), to: paths[0], overwrite: true)
    try AtomicFile.write(Data(table.utf8), to: paths[1], overwrite: true)
    return paths.reversed()
  }
}
