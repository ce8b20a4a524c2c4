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
    /// Who is shown; cases of one subject count as one in the figures by subject.
    var subject = ""
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

  /// Whether some subject has several cases.
  private var hasSubjects: Bool {
    Set(rows.map(\.subject)).count < Set(rows.map(\.name)).count
  }

  /// The summary of a metric over subjects, each with the mean of its cases' finite figures.
  private func subjectSummary(of metric: SegmentationMetric, label: String) -> Summary {
    let groups = Dictionary(grouping: rows.filter { $0.label == label }, by: \.subject)
    let means = groups.sorted { $0.key < $1.key }.compactMap { _, rows -> Double? in
      let values = rows.compactMap { $0.figures[metric] }.filter(\.isFinite)
      return values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
    }
    return Summary(of: means, seed: seed)
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

  /// How many cases have an empty prediction, reference, or both.
  private func empties(of label: String) -> [String: Int] {
    rows.filter { $0.label == label && $0.emptiness != .neither }
      .reduce(into: [:]) { $0[$1.emptiness.rawValue, default: 0] += 1 }
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
    func totals(_ summary: (SegmentationMetric, String) -> Summary) -> [String] {
      var table = TextTable([
        "label", "metric", "n", "mean", "sd", "median", "95 % CI", "infinite", "NaN",
      ])
      for label in labels {
        for metric in metrics {
          let figures = summary(metric, label)
          table.append([
            label, metric.rawValue, "\(figures.count)", text(figures.mean),
            text(figures.standardDeviation), text(figures.median),
            figures.interval.map { "\(text($0.lowerBound)) .. \(text($0.upperBound))" } ?? "-",
            "\(figures.infiniteCount)", "\(figures.undefinedCount)",
          ])
        }
      }
      return table.lines()
    }
    var lines = ["# \(definitions)"] + table.lines()
    lines += [
      "",
      "# \(Set(rows.map(\.name)).count) cases, \(failures.count) failed; means over finite values, "
        + "CI of the mean from \(Summary.resamples) bootstrap resamples, seed \(seed)",
    ]
    for label in labels {
      let counts = empties(of: label).sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
      guard !counts.isEmpty else { continue }
      lines.append("# label \(label), empty masks: \(counts.joined(separator: ", "))")
    }
    lines += totals(summary(of:label:))
    if hasSubjects {
      lines += ["", "# by subject, each with the mean of its cases' finite values"]
      lines += totals(subjectSummary(of:label:))
    }
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
      [["case", "label"] + metrics.map(\.rawValue) + ["empty", "subject", "protocol"]]
      + rows.map { row in
        [row.name, row.label] + metrics.map { row.figures[$0].map { "\($0)" } ?? "" }
          + [row.emptiness.rawValue, row.subject, definitions]
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
    let subject: String
  }

  private enum CodingKeys: String, CodingKey {
    case ok, cases, failures, warnings, summary, seed, resamples, lesions, empty
    case summarySubjects = "summary_subjects"
    case definitions = "protocol"
    case lesionEdges = "lesion_sizes_ml"
  }

  /// Summaries by label and metric.
  private func documents(
    _ summary: (SegmentationMetric, String) -> Summary
  ) -> [String: [String: SummaryDocument]] {
    var result: [String: [String: SummaryDocument]] = [:]
    for label in labels {
      for metric in metrics {
        result[label, default: [:]][metric.rawValue] = SummaryDocument(summary(metric, label))
      }
    }
    return result
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
          empty: row.emptiness.rawValue, lesions: row.lesions, subject: row.subject)
      }, forKey: .cases)
    try values.encode(documents(summary(of:label:)), forKey: .summary)
    if hasSubjects {
      try values.encode(documents(subjectSummary(of:label:)), forKey: .summarySubjects)
    }
    try values.encode(
      Dictionary(uniqueKeysWithValues: labels.map { ($0, lesions(of: $0)) }), forKey: .lesions)
    try values.encode(
      Dictionary(uniqueKeysWithValues: labels.map { ($0, empties(of: $0)) }), forKey: .empty)
  }
}
