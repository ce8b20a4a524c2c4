import Foundation
import Imaging

/// What `restore eval --json` wrote, as the report reads it.
struct EvaluationFile: Decodable {
  struct Case: Decodable {
    let name: String
    let prediction: String
    let reference: String
    let metrics: [String: Double]
    let warnings: [String]
  }

  /// The definitions of the metrics, in words.
  let definitions: String
  let seed: UInt64
  let cases: [Case]
  /// The name of the file or of its folder, for tables.
  var label = ""
  /// The file's folder, to which relative paths are tried next.
  var folder = ""

  private enum CodingKeys: String, CodingKey {
    case cases, seed
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

  /// Metrics by which cases can be ranked, in the order of the report.
  var metricNames: [String] {
    EvaluationReport.Metric.allCases.map(\.rawValue).filter { name in
      cases.contains { $0.metrics[name] != nil }
    }
  }

  /// Whether less is better.
  static func isError(_ metric: String) -> Bool { ["rmse", "mae", "nmse"].contains(metric) }
}

/// The log of a training run, as the report reads it.
struct RunLog {
  struct Point {
    let step: Double
    let value: Double
  }

  var loss: [Point] = []
  var psnr: [Point] = []
  var degradedPSNR: Double?
  var configuration = ""
  /// The last validation's pictures, name and PNG.
  var pictures: [(name: String, png: Data)] = []

  private struct Record: Decodable {
    let step: Double
    let loss: Double?
    let validationPSNR: Double?
    let degradedPSNR: Double?
  }

  static func read(_ folder: String) throws -> RunLog {
    var log = RunLog()
    guard let text = try? String(contentsOfFile: folder + "/log.jsonl", encoding: .utf8) else {
      throw ImagingError.noSuchFile(
        file: folder, reason: "it holds no log.jsonl, so it is not the folder of a run")
    }
    for line in text.split(separator: "\n") {
      // A line that was cut by a crash is left out.
      guard let record = try? JSONDecoder().decode(Record.self, from: Data(line.utf8)) else {
        continue
      }
      if let loss = record.loss { log.loss.append(Point(step: record.step, value: loss)) }
      if let psnr = record.validationPSNR {
        log.psnr.append(Point(step: record.step, value: psnr))
      }
      log.degradedPSNR = record.degradedPSNR ?? log.degradedPSNR
    }
    log.configuration =
      (try? String(contentsOfFile: folder + "/config.json", encoding: .utf8)) ?? ""
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder + "/pictures")) ?? []
    let sorted = names.filter { $0.hasSuffix(".png") }.sorted()
    if let last = sorted.last?.split(separator: "-").first {
      for name in sorted where name.hasPrefix(last + "-") {
        guard let png = FileManager.default.contents(atPath: folder + "/pictures/" + name) else {
          continue
        }
        log.pictures.append((String(name.dropFirst(last.count + 1).dropLast(4)), png))
      }
    }
    return log
  }
}
