import Foundation
import Imaging
import Train

/// A training run, as the report shows it.
struct ReportRun {
  /// The name of the folder, for headings.
  let label: String
  let log: RunLog
  /// How well lesions were found in each brain that nothing learnt from; empty unless it is a finished
  /// training of the stroke system.
  let scores: [StrokeScore]
  /// What the page has to say about the folder, one sentence each.
  let warnings: [String]

  /// Reads the folder of a run.
  ///
  /// - Parameter folder: The run folder.
  /// - Throws: `ImagingError.noSuchFile` if it holds no log.
  init(contentsOf folder: String) throws(ImagingError) {
    label = folder.split(separator: "/").last.map(String.init) ?? folder
    log = try RunLog(contentsOf: folder)
    guard let data = FileManager.default.contents(atPath: folder + "/scores.json") else {
      (scores, warnings) = ([], [])
      return
    }
    let found = try? JSONDecoder().decode([StrokeScore].self, from: data)
    scores = found ?? []
    warnings = found == nil ? ["\(label): scores.json cannot be read"] : []
  }

  /// The scores as a table, a row for each brain and one of means; nothing if there are none.
  var scoreTable: String {
    guard !scores.isEmpty else { return "" }
    let paths = Set(scores.flatMap(\.pathDice.keys)).sorted()
    func number(_ value: Double?, _ digits: Int = 4) -> String {
      value.map { String(format: "%.\(digits)f", $0) } ?? "-"
    }
    func mean(_ values: [Double?]) -> Double? {
      let known = values.compactMap(\.self)
      return known.isEmpty ? nil : known.reduce(0, +) / Double(known.count)
    }
    func total(_ count: (StrokeScore) -> Int) -> String {
      "\(scores.reduce(0) { $0 + count($1) })"
    }
    let head = [
      "brain", "Dice", "lesions", "found", "false", "recall of own lesions", "ml", "ml found",
    ]
    var rows = scores.map { score -> [String] in
      let own = [
        score.name, number(score.dice), "\(score.lesions)", "\(score.found)",
        "\(score.falseLesions)", number(score.ownRecall), number(score.trueVolume, 2),
        number(score.foundVolume, 2),
      ]
      return own + paths.map { number(score.pathDice[$0]) }
    }
    let last = [
      "mean, or sum of lesions", number(mean(scores.map { $0.dice })), total { $0.lesions },
      total { $0.found }, total { $0.falseLesions }, number(mean(scores.map { $0.ownRecall })),
      number(mean(scores.map { $0.trueVolume }), 2),
      number(mean(scores.map { $0.foundVolume }), 2),
    ]
    rows.append(last + paths.map { path in number(mean(scores.map { $0.pathDice[path] })) })
    return "<h3>Brains that nothing learnt from</h3>"
      + HTML.table(head + paths.map { "Dice of \($0)" }, rows)
  }
}
