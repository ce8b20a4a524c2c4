import Foundation
import Imaging

/// What `restore eval --json` wrote, as the report reads it.
struct EvaluationFile: Decodable, ComparableEvaluation {
  struct Case: Decodable, ComparableCase {
    let name: String
    /// Who is shown; evaluations of earlier versions do not say.
    let subject: String?
    let prediction: String
    let reference: String
    let metrics: [String: Double]
    let warnings: [String]
  }

  struct Failure: Decodable {
    let name: String
    let message: String
  }

  /// The definitions of the metrics, in words.
  let definitions: String
  let seed: UInt64
  let cases: [Case]
  /// Pairs that could not be evaluated.
  let failures: [Failure]?
  /// The name of the file or of its folder, for tables.
  var label = ""
  /// The file's folder, to which relative paths are tried next.
  var folder = ""

  private enum CodingKeys: String, CodingKey {
    case cases, failures, seed
    case definitions = "protocol"
  }

  static func read(_ path: String) throws -> EvaluationFile {
    let data: Data
    do { data = try Data(contentsOf: URL(fileURLWithPath: path)) } catch {
      throw ImagingError.noSuchFile(file: path, reason: "the evaluation cannot be read")
    }
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    do {
      var file = try decoder.decode(EvaluationFile.self, from: data)
      let url = URL(fileURLWithPath: path)
      file.label = url.deletingPathExtension().lastPathComponent
      file.folder = url.deletingLastPathComponent().path
      return file
    } catch {
      throw CommandFailure(
        code: ExitStatus.data, kind: "malformed", what: "not an evaluation (\(path))",
        cause: "it is not what `restore eval --json` writes",
        advice: "name the JSON file of an evaluation, or a folder with such files", file: path)
    }
  }

  /// Where an image of an evaluation is: at its path, or at the path from the evaluation's folder.
  static func place(_ path: String, in folder: String) -> String {
    path.hasPrefix("/") || FileManager.default.fileExists(atPath: path) ? path : folder + "/" + path
  }

  /// The images that were compared.
  var images: [String] {
    cases.flatMap { [$0.prediction, $0.reference] }.map { Self.place($0, in: folder) }
  }

  /// Metrics by which cases can be ranked, in the order of the report.
  var metricNames: [String] {
    EvaluationReport.Metric.allCases.map(\.rawValue).filter { name in
      cases.contains { $0.metrics[name] != nil }
    }
  }

  /// The definitions without what they say of figures of the foreground, which no other metric depends on.
  var comparedDefinitions: String {
    definitions.replacingOccurrences(of: EvaluationReport.foregroundClause, with: "")
  }

  static var groupHeads: [String] { [] }

  /// All cases: images have no parts that are measured on their own.
  var groups: [(cells: [String], cases: [Case])] { [(cells: [], cases: cases)] }

  /// Whether less is better.
  static func isError(_ metric: String) -> Bool { ["rmse", "mae", "nmse"].contains(metric) }
}
