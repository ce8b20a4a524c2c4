import Foundation
import Imaging
import Train

/// Composes the report of evaluations and runs.
struct ReportPage {
  /// Figures of cases may take so many bytes of the page, so that it stays below 5 MB.
  private static let figureBudget = 4_600_000

  let title: String
  let evaluations: [EvaluationFile]
  let runs: [ReportRun]
  /// Where the degraded images are; files have the names of the predictions.
  let inputs: String?
  private(set) var warnings: [String] = []
  private var spent = 0
  private var casesLeft: Int

  init(
    title: String, evaluations: [EvaluationFile], runs: [ReportRun],
    inputs: String?
  ) {
    self.title = title
    self.evaluations = evaluations
    self.runs = runs
    self.inputs = inputs
    casesLeft = evaluations.reduce(0) { $0 + $1.cases.count }
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
      defer { casesLeft -= 1 }
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
    var montage = try Montage(input: input, output: output, reference: reference)
    let bars = histogram(input: hasInput ? input : nil, output: output)
    // A case takes its share of what is left. Where that is too little, its pictures are reduced, and
    // rather shown in one plane than in none.
    let share = (Self.figureBudget - spent) / max(1, casesLeft)
    let all = montage.slices
    let acquired = all.filter { $0.plane == output.geometry.acquisitionPlane }
    let attempts: [(slices: [Montage.Slice], reduction: Int)] = [
      (all, 1), (all, 2), (acquired, 1), (acquired, 2), (all, 4), (acquired, 4), (acquired, 8),
    ]
    for (slices, reduction) in attempts {
      montage.slices = slices
      // Without the degraded image its columns would repeat the output.
      let figure = MontageFigure(
        name: item.name, montage: montage, geometry: output.geometry,
        panels: montage.panels.filter { hasInput || ($0 != .input && $0 != .inputError) })
      let text = try figure.html(reducedBy: reduction) + bars
      guard text.utf8.count <= share else { continue }
      spent += text.utf8.count
      return text
    }
    return "<p>No picture, so that the page stays below 5 MB.</p>"
  }

  /// The histogram before and after, as bars of 64 classes between the 0.5th and 99.5th percentile.
  private func histogram(input: Volume?, output: Volume) -> String {
    let statistics = OrderStatistics(of: output.voxels)
    guard let low = statistics.percentile(0.5), let high = statistics.percentile(99.5), low < high
    else { return "" }
    func line(_ volume: Volume, _ name: String) -> Plot.Series {
      var counts = [Double](repeating: 0, count: 64)
      for voxel in volume.voxels where Double(voxel) >= low && Double(voxel) < high {
        counts[min(63, Int((Double(voxel) - low) / (high - low) * 64))] += 1
      }
      let total = Double(volume.voxels.count)
      return Plot.Series(
        name: name,
        points: counts.enumerated().map {
          SIMD2(Double($0.offset), log10(1 + $0.element / total * 1e6))
        })
    }
    let series = [line(output, "restored")] + (input.map { [line($0, "input")] } ?? [])
    return "<details><summary>histogram, restored solid\(input == nil ? "" : ", input dashed")"
      + "</summary>"
      + Plot.lines(
        title: "voxels per million by intensity", unit: "log10", series,
        ends: (String(format: "%.4g", low), String(format: "%.4g", high)))
      + "</details>"
  }

  private func provenance() -> String {
    "<h2>Provenance</h2><p>restore \(programVersion); evaluations: "
      + HTML.escaped(evaluations.map(\.label).joined(separator: ", ")) + "; runs: "
      + HTML.escaped(runs.map(\.label).joined(separator: ", "))
      + ". Research use only, not for diagnosis.</p>"
  }
}
