import Foundation
import Imaging

/// What pictures may take of a page, shared among the cases that are still to come.
struct FigureBudget {
  /// Figures of cases may take so many bytes of a page, so that it stays below 5 MB.
  private static let bytes = 4_600_000

  private var spent = 0
  private var casesLeft: Int

  /// A whole page for a number of cases.
  init(cases: Int) { casesLeft = cases }

  /// Counts a case as done, whether a picture was made of it or not.
  mutating func finishCase() { casesLeft -= 1 }

  /// The first of several figures that fits into the share of a case.
  ///
  /// - Parameters:
  ///   - attempts: From the best to the smallest.
  ///   - make: Makes one of them.
  /// - Returns: HTML; a sentence if none is small enough.
  /// - Throws: What `make` throws.
  mutating func figure<Attempt>(
    _ attempts: [Attempt], _ make: (Attempt) throws -> String
  ) throws -> String {
    let share = (Self.bytes - spent) / max(1, casesLeft)
    for attempt in attempts {
      let text = try make(attempt)
      guard text.utf8.count <= share else { continue }
      spent += text.utf8.count
      return text
    }
    return "<p>No picture, so that the page stays below 5 MB.</p>"
  }
}

/// The slices of a restored image beside what they were, and its histogram, for a page.
struct ComparisonFigure {
  /// What the pictures are called for those who do not see them.
  let name: String
  let montage: Montage
  let output: Volume
  /// The image before; nil if it is not known, and its columns are left out.
  let input: Volume?

  /// The figure, as large as the budget allows.
  ///
  /// - Parameter budget: That of the page.
  /// - Returns: HTML.
  /// - Throws: `ImagingError.writeFailed` if memory is short.
  func html(within budget: inout FigureBudget) throws -> String {
    // Where a share is too little, pictures are reduced, and rather shown in one plane than in none.
    let all = montage.slices
    let acquired = all.filter { $0.plane == output.geometry.acquisitionPlane }
    let attempts: [(slices: [Montage.Slice], reduction: Int)] = [
      (all, 1), (all, 2), (acquired, 1), (acquired, 2), (all, 4), (acquired, 4), (acquired, 8),
    ]
    let bars = histogram
    return try budget.figure(attempts) { attempt in
      var shown = montage
      shown.slices = attempt.slices
      // Without the degraded image its columns would repeat the output.
      let figure = MontageFigure(
        name: name, montage: shown, geometry: output.geometry,
        panels: shown.panels.filter { panel in
          input != nil || ![.input, .inputError, .change].contains(panel)
        })
      return try figure.html(reducedBy: attempt.reduction) + bars
    }
  }

  /// The histogram before and after, as bars of 64 classes between the 0.5th and 99.5th percentile.
  private var histogram: String {
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
}
