import Foundation
import Imaging

/// A case of an evaluation that has a counterpart of the same name in another.
protocol ComparableCase {
  var name: String { get }
  /// Who is shown; evaluations of earlier versions do not say.
  var subject: String? { get }
  var reference: String { get }
  var metrics: [String: Double] { get }
}

/// An evaluation that can be compared with another of its kind, case by case.
protocol ComparableEvaluation {
  associatedtype Case: ComparableCase
  /// What it is called.
  var label: String { get set }
  /// The file's folder.
  var folder: String { get }
  /// The definitions of the metrics, in words.
  var definitions: String { get }
  var cases: [Case] { get }
  /// The definitions that two evaluations must share for the metrics that both have to be compared.
  var comparedDefinitions: String { get }
  /// The names of the metrics, in the order of tables.
  var metricNames: [String] { get }
  /// The heads of the table's columns that say what is compared, between models and metric.
  static var groupHeads: [String] { get }
  /// The cases that are compared with one another, each with its cells under ``groupHeads``.
  var groups: [(cells: [String], cases: [Case])] { get }
}

extension ComparableEvaluation {
  var comparedDefinitions: String { definitions }

  /// Adds the folder to labels that several files have.
  static func tellApart(_ files: inout [Self]) {
    let counts = Dictionary(files.map { ($0.label, 1) }, uniquingKeysWith: +)
    for index in files.indices where counts[files[index].label] ?? 0 > 1 {
      let folder = URL(fileURLWithPath: files[index].folder).lastPathComponent
      files[index].label = folder + "/" + files[index].label
    }
  }
}

/// The comparison of evaluations pair by pair: Wilcoxon's test over subjects.
struct PairedComparison {
  /// The section of a page; empty if no two evaluations can be compared.
  let html: String
  /// Why evaluations are not compared, and when a comparison may mean nothing.
  let warnings: [String]

  init<Evaluation: ComparableEvaluation>(_ evaluations: [Evaluation]) {
    var rows: [[String]] = []
    var warnings: [String] = []
    for (index, first) in evaluations.enumerated() {
      for second in evaluations[(index + 1)...] {
        if let reason = Self.reasonAgainst(first, second) {
          warnings.append("\(first.label) and \(second.label) are not compared: \(reason)")
          continue
        }
        let others = Self.otherReferences(first, second)
        if others > 0 {
          warnings.append(
            "\(first.label) and \(second.label): the references of \(others) cases have other paths; the "
              + "comparison means something only if the images are the same")
        }
        rows += Self.rows(first, second)
      }
    }
    self.warnings = warnings
    guard !rows.isEmpty else {
      html = ""
      return
    }
    let head =
      ["models"] + Evaluation.groupHeads + ["metric", "subjects", "median difference", "W", "p"]
    html =
      "<h2>Paired comparison</h2><p>Wilcoxon signed-rank test, two-sided, over subjects (each with the mean of "
      + "the cases that are finite in both); not corrected for the number of tests.</p>"
      + HTML.table(head, rows)
  }

  /// Why two evaluations cannot be compared; nil if they can.
  private static func reasonAgainst<Evaluation: ComparableEvaluation>(
    _ first: Evaluation, _ second: Evaluation
  ) -> String? {
    guard first.comparedDefinitions == second.comparedDefinitions else {
      return
        "their figures are defined otherwise (\(first.definitions); \(second.definitions))"
    }
    let names = Set(first.cases.map(\.name))
    return second.cases.contains { names.contains($0.name) }
      ? nil : "no case of one has the name of one of the other"
  }

  /// How many cases of the same name have references at other paths.
  private static func otherReferences<Evaluation: ComparableEvaluation>(
    _ first: Evaluation, _ second: Evaluation
  ) -> Int {
    let references = Dictionary(
      second.cases.map { ($0.name, $0.reference) }, uniquingKeysWith: { a, _ in a })
    let others = first.cases.filter { item in
      references[item.name].map { $0 != item.reference } ?? false
    }
    return Set(others.map(\.name)).count
  }

  /// The tests of all metrics that both evaluations have.
  private static func rows<Evaluation: ComparableEvaluation>(
    _ first: Evaluation, _ second: Evaluation
  ) -> [[String]] {
    var rows: [[String]] = []
    let others = second.groups
    let names = Set(second.metricNames)
    for group in first.groups {
      guard let other = others.first(where: { $0.cells == group.cells }) else { continue }
      for metric in first.metricNames where names.contains(metric) {
        let pairs = Self.pairs(group.cases, other.cases, metric)
        let test = WilcoxonTest(pairs.map(\.0), pairs.map(\.1))
        guard test.pairs > 0 else { continue }
        let figures: [String] = [
          metric, "\(test.pairs)",
          (test.medianDifference < 0 ? "" : "+") + HTML.figure(test.medianDifference),
          String(format: "%g", test.statistic),
          String(format: "%.3g", test.pValue) + (test.isExact ? " (exact)" : " (approximate)"),
        ]
        rows.append(["\(first.label) - \(second.label)"] + group.cells + figures)
      }
    }
    return rows
  }

  /// Two evaluations' figures of each subject: the images of one subject are no independent pairs.
  ///
  /// A subject has the mean of its cases that are finite in both, so that a perfect case does not hide
  /// the others; one without such a case keeps its infinite figure, the largest difference of all.
  private static func pairs<Case: ComparableCase>(
    _ first: [Case], _ second: [Case], _ metric: String
  ) -> [(Double, Double)] {
    let others = Dictionary(
      second.map { ($0.name, $0.metrics[metric]) }, uniquingKeysWith: { a, _ in a })
    var subjects: [String: [(Double, Double)]] = [:]
    for item in first {
      guard let own = item.metrics[metric], let other = others[item.name] ?? nil else { continue }
      subjects[item.subject ?? item.name, default: []].append((own, other))
    }
    return subjects.sorted { $0.key < $1.key }.map { _, all in
      let finite = all.filter { $0.0.isFinite && $0.1.isFinite }
      let figures = finite.isEmpty ? all : finite
      let count = Double(figures.count)
      return (figures.reduce(0) { $0 + $1.0 } / count, figures.reduce(0) { $0 + $1.1 } / count)
    }
  }
}
