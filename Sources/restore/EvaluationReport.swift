import Foundation
import Imaging

/// What a comparison of pairs ends with, whatever was compared.
protocol EvaluationDocument: Encodable {
  /// The tables for people.
  var lines: [String] { get }
  /// A line for each case.
  var csv: String { get }
  /// The pairs that could not be compared.
  var failures: [EvaluationReport.Failure] { get set }
  /// A line for each slice of each case; empty where figures have no slices.
  var sliceCSV: String { get }
  /// Whether no pair could be compared.
  var isEmpty: Bool { get }
}

/// Figures of cases and their summary, as text, CSV and JSON.
struct EvaluationReport {
  /// The metrics, in the order of the columns.
  enum Metric: String, CaseIterable {
    case psnr = "psnr_db"
    case ssimVolume = "ssim_3d"
    case ssimSlices = "ssim_2d"
    case ssimAuthors = "ssim_2d_padded"
    case rmse, mae, nmse
    case foregroundPSNR = "foreground_psnr_db"

    func text(_ value: Double) -> String {
      switch self {
      case .psnr, .foregroundPSNR: String(format: "%.3f", value)
      case .ssimVolume, .ssimSlices, .ssimAuthors: String(format: "%.5f", value)
      case .rmse, .mae, .nmse: String(format: "%.5g", value)
      }
    }
  }

  struct Case {
    let name: String
    let prediction: String
    let reference: String
    let figures: [Metric: Double]
    let warnings: [String]
    /// Who is shown; cases of one subject count as one in the figures by subject.
    var subject = ""
    /// The figures of single slices, if they were asked for.
    var slices: [SliceFigures] = []
  }

  struct Failure: Encodable {
    let name: String
    let code: Int32
    let kind: String
    let message: String

    init(name: String, _ failure: CommandFailure) {
      self.name = name
      code = failure.code
      kind = failure.kind
      message = "\(failure.what): \(failure.cause)"
    }
  }

  /// What definitions say if there are figures of the foreground; the others mean the same without it.
  static let foregroundClause = "; foreground PSNR over slices with 10 % foreground"

  /// The definitions of the metrics, in words.
  let definitions: String
  let seed: UInt64
  var cases: [Case] = []
  var failures: [Failure] = []

  init(definitions: String, seed: UInt64) {
    self.definitions = definitions
    self.seed = seed
  }

  private var metrics: [Metric] {
    Metric.allCases.filter { metric in cases.contains { $0.figures[metric] != nil } }
  }

  /// Whether some subject has several cases.
  private var hasSubjects: Bool { Set(cases.map(\.subject)).count < cases.count }

  /// The summary of a metric over subjects, each with the mean of its cases' finite figures.
  private func subjectSummary(of metric: Metric) -> Summary {
    let groups = Dictionary(grouping: cases, by: \.subject)
    let means = groups.sorted { $0.key < $1.key }.compactMap { _, cases -> Double? in
      let values = cases.compactMap { $0.figures[metric] }.filter(\.isFinite)
      return values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
    }
    return Summary(of: means, seed: seed)
  }

  /// The summary of a metric over the slices of all cases; nil if it has no figures by slice.
  private func sliceSummary(of metric: Metric) -> Summary? {
    let slices = cases.flatMap(\.slices)
    let figure: ((SliceFigures) -> Double)? =
      switch metric {
      case .psnr: \.psnr
      case .ssimSlices: \.similarity
      case .rmse: \.rootMeanSquaredError
      case .mae: \.meanAbsoluteError
      default: nil
      }
    guard let figure, !slices.isEmpty else { return nil }
    return Summary(of: slices.map(figure), seed: seed)
  }

  private func summary(of metric: Metric) -> Summary {
    Summary(of: cases.compactMap { $0.figures[metric] }, seed: seed)
  }

  /// The tables for people.
  var lines: [String] {
    let metrics = metrics
    var table = TextTable(["case"] + metrics.map(\.rawValue))
    for item in cases {
      table.append(
        [item.name] + metrics.map { metric in item.figures[metric].map(metric.text) ?? "-" })
    }
    var totals = TextTable(["metric", "n", "mean", "sd", "median", "95 % CI", "infinite", "NaN"])
    func add(_ name: String, _ metric: Metric, _ summary: Summary) {
      func text(_ value: Double?) -> String { value.map(metric.text) ?? "-" }
      totals.append([
        name, "\(summary.count)", text(summary.mean), text(summary.standardDeviation),
        text(summary.median),
        summary.interval.map { "\(text($0.lowerBound)) .. \(text($0.upperBound))" } ?? "-",
        "\(summary.infiniteCount)", "\(summary.undefinedCount)",
      ])
    }
    for metric in metrics { add(metric.rawValue, metric, summary(of: metric)) }
    for metric in metrics where hasSubjects {
      add(metric.rawValue + " by subject", metric, subjectSummary(of: metric))
    }
    for metric in Metric.allCases {
      if let summary = sliceSummary(of: metric) {
        add(metric.rawValue + " by slice", metric, summary)
      }
    }
    return ["# \(definitions)"] + table.lines()
      + [
        "",
        "# \(cases.count) cases, \(failures.count) failed; \(definitions); figures over finite "
          + "values, CI of the mean from \(Summary.resamples) bootstrap resamples, seed \(seed)",
      ] + totals.lines()
  }

  /// A line a case; the definitions stand in the last column.
  var csv: String {
    let metrics = metrics
    let rows =
      [["case"] + metrics.map(\.rawValue) + ["subject", "protocol"]]
      + cases.map { item in
        [item.name] + metrics.map { item.figures[$0].map { "\($0)" } ?? "" }
          + [item.subject, definitions]
      }
    return rows.map { $0.map(Self.quoted).joined(separator: ",") + "\n" }.joined()
  }

  /// A line a slice of every case.
  var sliceCSV: String {
    let head = "case,subject,volume,slice,psnr_db,ssim_2d,rmse,mae\n"
    return head
      + cases.flatMap { item in
        item.slices.map { slice in
          "\(Self.quoted(item.name)),\(Self.quoted(item.subject)),\(slice.volume),\(slice.index),\(slice.psnr),"
            + "\(slice.similarity),\(slice.rootMeanSquaredError),\(slice.meanAbsoluteError)\n"
        }
      }.joined()
  }

  /// A field of a CSV file, in quotes where it has to be.
  static func quoted(_ text: String) -> String {
    text.contains(where: { ",\"\n\r".contains($0) })
      ? "\"" + text.replacingOccurrences(of: "\"", with: "\"\"") + "\"" : text
  }
}

extension Encodable {
  /// A report as a JSON document with a trailing newline; infinite and undefined numbers as words.
  func reportJSON() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    return try encoder.encode(self) + Data("\n".utf8)
  }
}

/// A summary as it stands in JSON.
struct SummaryDocument: Encodable {
  let n: Int
  let mean: Double?
  let sd: Double?
  let median: Double?
  let ci95: [Double]?
  let infinite: Int
  let nan: Int

  init(_ summary: Summary) {
    n = summary.count
    mean = summary.mean
    sd = summary.standardDeviation
    median = summary.median
    ci95 = summary.interval.map { [$0.lowerBound, $0.upperBound] }
    infinite = summary.infiniteCount
    nan = summary.undefinedCount
  }
}

extension EvaluationReport: EvaluationDocument {
  var isEmpty: Bool { cases.isEmpty }

  private struct CaseDocument: Encodable {
    let name: String
    let prediction: String
    let reference: String
    let metrics: [String: Double]
    let subject: String
    let warnings: [String]
  }

  private enum CodingKeys: String, CodingKey {
    case ok, cases, failures, summary, seed, resamples
    case summarySubjects = "summary_subjects"
    case summarySlices = "summary_slices"
    case definitions = "protocol"
  }

  func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(failures.isEmpty, forKey: .ok)
    try values.encode(definitions, forKey: .definitions)
    try values.encode(seed, forKey: .seed)
    try values.encode(Summary.resamples, forKey: .resamples)
    try values.encode(failures, forKey: .failures)
    try values.encode(
      cases.map { item in
        CaseDocument(
          name: item.name, prediction: item.prediction, reference: item.reference,
          metrics: Dictionary(
            uniqueKeysWithValues: item.figures.map { ($0.key.rawValue, $0.value) }),
          subject: item.subject, warnings: item.warnings)
      }, forKey: .cases)
    func documents(_ summary: (Metric) -> Summary?) -> [String: SummaryDocument] {
      var result: [String: SummaryDocument] = [:]
      for metric in Metric.allCases {
        result[metric.rawValue] = summary(metric).map(SummaryDocument.init)
      }
      return result
    }
    let present = Set(metrics)
    try values.encode(
      documents { present.contains($0) ? summary(of: $0) : nil }, forKey: .summary)
    if hasSubjects {
      try values.encode(
        documents { present.contains($0) ? subjectSummary(of: $0) : nil },
        forKey: .summarySubjects)
    }
    let slices = documents(sliceSummary)
    if !slices.isEmpty { try values.encode(slices, forKey: .summarySlices) }
  }
}
