import Benchmark
import Foundation
import SourceRevision
import TensorCore

/// What `restore bench` found, as text and as JSON.
struct BenchReport: Encodable {
  let ok = true
  let version = programVersion
  let sourceRevision = String(cString: source_revision())
  let processor = MachinePeak.processor
  let backEnd = Engine.shared.backEnd
  /// Variables of the environment that change the speed of libraries.
  let environment = ProcessInfo.processInfo.environment.filter { name, _ in
    ["OMP_", "GOMP_", "KMP_", "MKL_", "DNNL_", "ONEDNN_", "OPENBLAS_", "RESTORE_"]
      .contains(where: name.hasPrefix) && name != "RESTORE_MODELS"
  }
  var parts: [Part] = []

  /// All that was measured with one number of threads.
  struct Part: Encodable {
    let peak: MachinePeak
    var model: Model?
    var measurements: [TimedWork] = []
  }

  /// A whole network.
  struct Model: Encodable {
    let model: String
    let shape: [Int]
    let mode: String
    let precision: String
    /// Whether a plan ran it.
    let isPlanned: Bool
    /// What the plan announced before it ran, besides the weights.
    let planBytes: Int?
    let timing: Timing
    /// Counted work of one step, GFLOP.
    let gflop: Double
    let gflops: Double
    let shareOfMultiplyAdd: Double
    /// The best matrix product of this engine, GFLOP/s.
    let product: Double
    let shareOfProduct: Double
    let peakMemoryBytes: UInt64
  }

  /// The lines for people.
  var lines: [String] {
    var lines = ["\(processor); \(backEnd)"]
    lines += environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    for part in parts {
      let peak = part.peak
      lines.append(
        String(
          format: "%d thread%@, %@: peak %.0f GFLOP/s multiply-add, %.1f GB/s triad", peak.threads,
          peak.threads == 1 ? "" : "s", peak.instructionSet, peak.multiplyAdd, peak.triad))
      if let model = part.model { lines += model.lines }
      if !part.measurements.isEmpty { lines += table(part.measurements) }
    }
    return lines
  }

  private func table(_ measurements: [TimedWork]) -> [String] {
    var table = TextTable([
      "operation", "size", "ms", "quartiles", "GFLOP/s", "GB/s", "of peak", "other", "ms", "ratio",
    ])
    for item in measurements { table.append(row(item)) }
    return table.lines()
  }

  private func row(_ item: TimedWork) -> [String] {
    func text(_ value: Double?, _ form: String) -> String {
      value.map { String(format: form, $0) } ?? ""
    }
    func milliseconds(_ seconds: Double?) -> String { text(seconds.map { 1e3 * $0 }, "%.3f") }
    let timing = item.timing
    let quartiles = milliseconds(timing.firstQuartile) + "-" + milliseconds(timing.thirdQuartile)
    var row = [item.name, item.size, milliseconds(timing.median), quartiles]
    row += [text(item.gflops, "%.0f"), text(item.gigabytesPerSecond, "%.1f")]
    row.append(text(100 * item.share, "%.0f %%"))
    row += [item.opponent?.name ?? "", milliseconds(item.opponent?.timing.median)]
    row.append(text(item.opponent?.ratio, "%.2f"))
    return row
  }
}

extension BenchReport.Model {
  /// The lines for people.
  var lines: [String] {
    [
      "\(model) \(shape.map(String.init).joined(separator: "x")) \(mode), \(precision)"
        + (isPlanned ? ", by a plan" : ""),
      String(
        format: "  median %.4g s (quartiles %.4g to %.4g), %.0f GFLOP/s", timing.median,
        timing.firstQuartile, timing.thirdQuartile, gflops),
      String(
        format: "  %.0f %% of the multiply-add peak, %.0f %% of the best matrix product (%.0f)",
        100 * shareOfMultiplyAdd, 100 * shareOfProduct, product),
      "  peak memory \(Memory.text(peakMemoryBytes))"
        + (planBytes.map { ", the plan's share \(Memory.text(UInt64($0)))" } ?? ""),
    ]
  }
}
