import Foundation
import Imaging

/// What `restore eval --labels --json` writes, as pages read it.
struct SegmentationFile: Decodable, ComparableEvaluation {
  /// One label of one case.
  struct Case: Decodable, ComparableCase {
    let name: String
    /// Who is shown; evaluations of earlier versions do not say.
    let subject: String?
    /// Which volume of the files; nil if they have one, and in evaluations of earlier versions.
    let volume: Int?
    let label: String
    let prediction: String
    let reference: String
    let metrics: [String: Double]
    let empty: String
  }

  /// The definitions of the metrics, in words.
  let definitions: String
  let seed: UInt64
  let cases: [Case]
  /// Pairs that could not be compared.
  let failures: [EvaluationFile.Failure]?
  /// What is to be known about the files; nil in evaluations of earlier versions.
  let warnings: [String]?
  /// The name of the file, for headings.
  var label = "label maps"
  /// The file's folder, to which relative paths are tried next.
  var folder = "."

  private enum CodingKeys: String, CodingKey {
    case cases, seed, failures, warnings
    case definitions = "protocol"
  }

  /// The document of an evaluation; nil if it is not one of label maps.
  init?(_ data: Data) {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    guard let file = try? decoder.decode(SegmentationFile.self, from: data) else { return nil }
    self = file
  }

  /// The label maps that were compared.
  var images: [String] {
    cases.flatMap { [$0.prediction, $0.reference] }.map { EvaluationFile.place($0, in: folder) }
  }

  /// What a page has to say first.
  var notes: [String] {
    (failures ?? []).map { "\(label): \($0.name) was not evaluated: \($0.message)" }
      + (warnings ?? []).map { "\(label): \($0)" }
  }

  /// The labels in the order in which they first occur.
  var labels: [String] {
    var seen = Set<String>()
    return cases.map(\.label).filter { seen.insert($0).inserted }
  }

  /// The metrics in the order of tables.
  var metricNames: [String] {
    SegmentationMetric.allCases.map(\.rawValue).filter { name in
      cases.contains { $0.metrics[name] != nil }
    }
  }

  static var groupHeads: [String] { ["label"] }

  /// The cases of each label.
  var groups: [(cells: [String], cases: [Case])] {
    labels.map { label in (cells: [label], cases: cases.filter { $0.label == label }) }
  }

  /// The cases of a label with a Dice score, the worst first.
  func ranked(_ label: String) -> [Case] {
    cases.filter { $0.label == label && $0.metrics["dice"]?.isFinite == true }
      .sorted { ($0.metrics["dice"] ?? 0, $0.name) < ($1.metrics["dice"] ?? 0, $1.name) }
  }

  /// The cases of a label that a page shows, each once: the five worst, then the best and the median.
  ///
  /// A median that is among the worst is told there; the best is never called one of the worst.
  func examples(_ label: String) -> [(rank: String, item: Case)] {
    let ranked = ranked(label)
    guard ranked.count > 1 else { return ranked.map { ("only case", $0) } }
    let (best, median) = (ranked.count - 1, (ranked.count - 1) / 2)
    let worst = ["worst", "2nd worst", "3rd worst", "4th worst", "5th worst"].prefix(best)
    var examples = worst.enumerated().map { index, rank in
      let isMedian = index == median && ranked.count > 2
      return (rank: isMedian ? rank + ", median" : rank, item: ranked[index])
    }
    examples.append((rank: "best", item: ranked[best]))
    if median >= worst.count { examples.append((rank: "median", item: ranked[median])) }
    return examples
  }
}
