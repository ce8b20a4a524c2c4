import Foundation
import Imaging
import Train

/// Composes the report of evaluations and runs.
struct ReportPage {
  let title: String
  let evaluations: [EvaluationFile]
  let runs: [ReportRun]
  /// Where the degraded images are; files have the names of the predictions.
  let inputs: String?
  private(set) var warnings: [String] = []
  private var budget: FigureBudget

  init(
    title: String, evaluations: [EvaluationFile], runs: [ReportRun],
    inputs: String?
  ) {
    self.title = title
    self.evaluations = evaluations
    self.runs = runs
    self.inputs = inputs
    budget = FigureBudget(cases: evaluations.reduce(0) { $0 + $1.cases.count })
  }

  /// The page.
  mutating func html() -> String {
    var sections: [String] = []
    if !evaluations.isEmpty {
      sections.append(summaries())
      let comparison = PairedComparison(evaluations)
      warnings += comparison.warnings
      sections.append(comparison.html)
      sections.append(boxes())
    }
    for run in runs { sections.append(curves(run)) }
    for evaluation in evaluations { sections.append(cases(of: evaluation)) }
    sections.append(provenance())
    let all = evaluations.flatMap { file in
      (file.failures ?? []).map { "\(file.label): \($0.name) was not evaluated: \($0.message)" }
        + file.cases.flatMap { item in item.warnings.map { "\(file.label): \($0)" } }
    }
    let notes = (warnings + runs.flatMap(\.warnings) + all).map {
      "<p class=\"w\">\(HTML.escaped($0))</p>"
    }
    return HTML.page(title: title, body: (notes + sections).joined(separator: "\n"))
  }

  // MARK: - Tables and plots

  private func summaries() -> String {
    var text = "<h2>Summary</h2>"
    for file in evaluations {
      var rows: [[String]] = []
      for metric in file.metricNames {
        let summary = Summary(of: file.cases.compactMap { $0.metrics[metric] }, seed: file.seed)
        func number(_ value: Double?) -> String { value.map(HTML.figure) ?? "-" }
        rows.append([
          metric, "\(summary.count)", number(summary.mean), number(summary.standardDeviation),
          number(summary.median),
          summary.interval.map { "\(number($0.lowerBound)) to \(number($0.upperBound))" } ?? "-",
          "\(summary.infiniteCount)", "\(summary.undefinedCount)",
        ])
      }
      text +=
        "<h3>\(HTML.escaped(file.label))</h3><p>\(HTML.escaped(file.definitions))</p>"
        + HTML.table(
          ["metric", "n", "mean", "sd", "median", "95 % interval", "infinite", "NaN"], rows)
    }
    return text
  }

  private func boxes() -> String {
    let metrics = evaluations.flatMap(\.metricNames)
    var seen: Set<String> = []
    let plots = metrics.filter { seen.insert($0).inserted }.map { metric in
      Plot.boxes(
        title: metric, unit: metric.hasSuffix("_db") ? "dB" : "per case",
        evaluations.map { file in
          (file.label, file.cases.compactMap { $0.metrics[metric] })
        })
    }
    return "<h2>Distribution over cases</h2>" + plots.joined()
  }

  private func curves(_ run: ReportRun) -> String {
    let log = run.log
    var text =
      "<h2>Training of \(HTML.escaped(run.label))</h2>"
      + log.losses.map { stage, points in
        Plot.lines(
          title: stage.isEmpty ? "loss" : "loss, \(stage)", unit: "of the configuration",
          [Plot.Series(name: "loss", points: points)])
      }.joined()
      + Plot.lines(
        title: log.measure == .dice ? "validation Dice" : "validation PSNR",
        unit: log.measure == .dice ? "mean over structures" : "dB",
        [Plot.Series(name: "validation", points: log.validation)], level: log.degradedPSNR)
    for picture in log.pictures {
      text +=
        "<p>\(HTML.escaped(picture.name)): degraded, restored, target, four times the absolute error "
        + "of the last validation</p>"
        + HTML.picture(picture.png, alternative: "validation of \(picture.name)")
    }
    return text + run.scoreTable + "<details><summary>configuration</summary><pre>"
      + HTML.escaped(log.configuration) + "</pre></details>"
  }

  // MARK: - Cases

  private mutating func cases(of file: EvaluationFile) -> String {
    guard let metric = file.metricNames.first else { return "" }
    let sign = EvaluationFile.isError(metric) ? -1.0 : 1
    func rank(_ item: EvaluationFile.Case) -> Double {
      let value = sign * (item.metrics[metric] ?? .infinity)
      return value.isNaN ? -.infinity : value
    }
    let ordered = file.cases.sorted { rank($0) < rank($1) }
    var text = "<h2>Cases of \(HTML.escaped(file.label)), worst \(HTML.escaped(metric)) first</h2>"
    for (index, item) in ordered.enumerated() {
      defer { budget.finishCase() }
      let figures = file.metricNames.compactMap { name in
        item.metrics[name].map { "\(name) \(HTML.figure($0))" }
      }
      text +=
        "<h3>\(index + 1). \(HTML.escaped(item.name))</h3>"
        + "<p>\(HTML.escaped(figures.joined(separator: ", ")))</p>"
      do {
        text += try figure(of: item, in: file)
      } catch {
        warnings.append("\(file.label), \(item.name): \(CommandFailure(error).what)")
        text += "<p>No picture: \(HTML.escaped(CommandFailure(error).cause))</p>"
      }
    }
    return text
  }

  /// The slices of a case and its histogram.
  private mutating func figure(
    of item: EvaluationFile.Case, in file: EvaluationFile
  ) throws -> String {
    func read(_ path: String) throws -> Volume {
      try ScanFile.read(EvaluationFile.place(path, in: file.folder)).volume.volume(at: 0)
    }
    let output = try read(item.prediction)
    let reference = try read(item.reference)
    var (input, hasInput) = (output, false)
    if let inputs {
      let name = item.prediction.split(separator: "/").last.map(String.init) ?? item.prediction
      let path = inputs + "/" + name
      if FileManager.default.fileExists(atPath: path) {
        (input, hasInput) = (try read(path), true)
      } else {
        warnings.append("\(file.label), \(item.name): no input \(name)")
      }
    }
    return try ComparisonFigure(
      name: item.name,
      montage: Montage(input: input, output: output, reference: reference), output: output,
      input: hasInput ? input : nil
    ).html(within: &budget)
  }

  private func provenance() -> String {
    "<h2>Provenance</h2><p>restore \(programVersion); evaluations: "
      + HTML.escaped(evaluations.map(\.label).joined(separator: ", ")) + "; runs: "
      + HTML.escaped(runs.map(\.label).joined(separator: ", "))
      + ". Research use only, not for diagnosis.</p>"
  }
}
