import Foundation
import Imaging

/// The table of all participants' results.
struct BIDSGroup {
  let output: BIDSOutput
  private(set) var rows: [[String]] = []

  /// A column, as `group_metrics.json` describes it.
  private struct Column {
    let name: String
    let units: String?
    let description: String

    init(_ name: String, in units: String? = nil, _ description: String) {
      (self.name, self.units, self.description) = (name, units, description)
    }
  }

  private static let columns = [
    Column("participant_id", "The participant, sub- and the label."),
    Column("session_id", "The session, ses- and the label; n/a if there are none."),
    Column("source", "The images that were read, in the order of the model."),
    Column("output", "What was made of them: a restored image, a mask or labels."),
    Column("model", "The model's name."),
    Column("model_version", "The model's version."),
    Column("structure", "The structure that the row is about; n/a for a restored image."),
    Column("input_min", in: "of the image", "The least intensity of the images."),
    Column("input_max", in: "of the image", "The greatest intensity of the images."),
    Column("output_min", in: "of the image", "The least value of the output."),
    Column("output_max", in: "of the image", "The greatest value of the output."),
    Column("nonfinite_voxels", "Voxels of the images that were NaN or infinite."),
    Column("change_mean", in: "of the image", "Mean of output minus input, finite voxels."),
    Column("change_rms", in: "of the image", "Root mean square of output minus input."),
    Column("volume_ml", in: "mL", "The volume of the structure."),
    Column("count", "Parts of the structure that hang together: lesions."),
    Column("warnings", "How many warnings there were; the logs have them."),
    Column("seconds", in: "s", "What reading, computing and writing took; n/a if not kept."),
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
