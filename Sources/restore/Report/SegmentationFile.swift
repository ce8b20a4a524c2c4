import Foundation
import Imaging

/// What `restore eval --labels --json` writes, as pages read it.
struct SegmentationFile: Decodable {
  /// One label of one case.
  struct Case: Decodable {
    let name: String
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

  /// The cases of a label with a Dice score, the worst first.
  func ranked(_ label: String) -> [Case] {
    cases.filter { $0.label == label && $0.metrics["dice"]?.isFinite == true }
      .sorted { ($0.metrics["dice"] ?? 0, $0.name) < ($1.metrics["dice"] ?? 0, $1.name) }
  }

  /// Best, median and worst case of a label, fewer if there are not three.
  func examples(_ label: String) -> [(rank: String, item: Case)] {
    let ranked = ranked(label)
    guard let worst = ranked.first, let best = ranked.last else { return [] }
    switch ranked.count {
    case 1: return [("only case", best)]
    case 2: return [("best", best), ("worst", worst)]
    default:
      return [("best", best), ("median", ranked[(ranked.count - 1) / 2]), ("worst", worst)]
    }
  }
}
