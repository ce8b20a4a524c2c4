import Foundation
import Imaging

/// Figures of segmentations and their summary by label, as text, CSV and JSON.
struct SegmentationReport {
  /// Lesions of one class of size.
  struct LesionClass: Encodable, Equatable {
    var lesions: Int
    var found: Int
    var falsePositives: Int

    enum CodingKeys: String, CodingKey {
      case lesions, found
      case falsePositives = "false_positives"
    }
  }

  /// One label of one case.
  struct Row {
    let name: String
    /// Which volume of the files; nil if they have one.
    let volume: Int?
    let label: String
    let prediction: String
    let reference: String
    var figures: [SegmentationMetric: Double]
    var emptiness: SegmentationScore.Emptiness
    var lesions: [LesionClass]
  }

  /// The definitions of the metrics, in words.
  let definitions: String
  let seed: UInt64
  /// Volumes in ml between the classes of lesion size.
  let lesionEdges: [Double]
  var rows: [Row] = []
  var failures: [EvaluationReport.Failure] = []
  /// What is to be known about the files, each with its name.
  var warnings: [String] = []

  private var metrics: [SegmentationMetric] {
    SegmentationMetric.allCases.filter { metric in rows.contains { $0.figures[metric] != nil } }
  }

  /// The labels in the order in which they first occur.
  private var labels: [String] {
    var seen = Set<String>()
    return rows.map(\.label).filter { seen.insert($0).inserted }
  }

  private func summary(of metric: SegmentationMetric, label: String) -> Summary {
    Summary(
      of: rows.filter { $0.label == label }.compactMap { $0.figures[metric] }, seed: seed)
  }

  private func lesions(of label: String) -> [LesionClass] {
    rows.filter { $0.label == label }.reduce(into: []) { sums, row in
      for (index, item) in row.lesions.enumerated() {
        if index == sums.count {
          sums.append(item)
        } else {
          sums[index].lesions += item.lesions
          sums[index].found += item.found
          sums[index].falsePositives += item.falsePositives
        }
      }
    }
  }

  private var lesionClassNames: [String] {
    let edges = lesionEdges.map { "\($0)" }
    guard let first = edges.first, let last = edges.last else { return ["all"] }
    return ["< \(first) ml"] + zip(edges, edges.dropFirst()).map { "\($0) to \($1) ml" }
      + [">= \(last) ml"]
  }

  /// The tables for people.
  var lines: [String] {
    let metrics = metrics
    func text(_ value: Double?) -> String { value.map { String(format: "%.4f", $0) } ?? "-" }
    var table = TextTable(["case", "label"] + metrics.map(\.rawValue) + ["empty"])
    for row in rows {
      table.append(
        [row.name, row.label] + metrics.map { text(row.figures[$0]) }
          + [row.emptiness == .neither ? "-" : row.emptiness.rawValue])
    }
    var totals = TextTable([
      "label", "metric", "n", "mean", "sd", "median", "95 % CI", "infinite", "NaN",
    ])
    for label in labels {
      for metric in metrics {
        let summary = summary(of: metric, label: label)
        totals.append([
          label, metric.rawValue, "\(summary.count)", text(summary.mean),
          text(summary.standardDeviation), text(summary.median),
          summary.interval.map { "\(text($0.lowerBound)) .. \(text($0.upperBound))" } ?? "-",
          "\(summary.infiniteCount)", "\(summary.undefinedCount)",
        ])
      }
    }
    var lines = ["# \(definitions)"] + table.lines()
    lines += [
      "",
      "# \(Set(rows.map(\.name)).count) cases, \(failures.count) failed; means over finite values, "
        + "CI of the mean from \(Summary.resamples) bootstrap resamples, seed \(seed)",
    ]
    lines += totals.lines()
    let classes = labels.filter { !lesions(of: $0).isEmpty }
    guard !classes.isEmpty else { return lines }
    var detection = TextTable(["label", "lesion size", "lesions", "found", "false positives"])
    for label in classes {
      for (name, item) in zip(lesionClassNames, lesions(of: label)) {
        detection.append([
          label, name, "\(item.lesions)", "\(item.found)", "\(item.falsePositives)",
        ])
      }
    }
    return lines + ["", "# lesions by size"] + detection.lines()
  }

  /// A line for each label of each case; the definitions stand in the last column.
  var csv: String {
    let metrics = metrics
    let rows =
      [["case", "label"] + metrics.map(\.rawValue) + ["empty", "protocol"]]
      + rows.map { row in
        [row.name, row.label] + metrics.map { row.figures[$0].map { "\($0)" } ?? "" }
          + [row.emptiness.rawValue, definitions]
      }
    return rows.map { $0.map(EvaluationReport.quoted).joined(separator: ",") + "\n" }.joined()
  }
}

extension SegmentationReport: EvaluationDocument {
  var isEmpty: Bool { rows.isEmpty }
  var sliceCSV: String { "" }

  private struct RowDocument: Encodable {
    let name: String
    let volume: Int?
    let label: String
    let prediction: String
    let reference: String
    let metrics: [String: Double]
    let empty: String
    let lesions: [LesionClass]
  }

  private enum CodingKeys: String, CodingKey {
    case ok, cases, failures, warnings, summary, seed, resamples, lesions
    case definitions = "protocol"
    case lesionEdges = "lesion_sizes_ml"
  }

  func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(failures.isEmpty, forKey: .ok)
    try values.encode(definitions, forKey: .definitions)
    try values.encode(seed, forKey: .seed)
    try values.encode(Summary.resamples, forKey: .resamples)
    try values.encode(failures, forKey: .failures)
    try values.encode(warnings, forKey: .warnings)
    try values.encode(lesionEdges, forKey: .lesionEdges)
    try values.encode(
      rows.map { row in
        RowDocument(
          name: row.name, volume: row.volume, label: row.label, prediction: row.prediction,
          reference: row.reference,
          metrics: Dictionary(
            uniqueKeysWithValues: row.figures.map { ($0.key.rawValue, $0.value) }),
          empty: row.emptiness.rawValue, lesions: row.lesions)
      }, forKey: .cases)
    let metrics = metrics
    try values.encode(
      Dictionary(
        uniqueKeysWithValues: labels.map { label in
          (
            label,
            Dictionary(
              uniqueKeysWithValues: metrics.map { metric in
                (metric.rawValue, SummaryDocument(summary(of: metric, label: label)))
              })
          )
        }), forKey: .summary)
    try values.encode(
      Dictionary(uniqueKeysWithValues: labels.map { ($0, lesions(of: $0)) }), forKey: .lesions)
  }
}
