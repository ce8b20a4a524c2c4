import Foundation
import Imaging

/// What was found in an image, for a page: slices with the outlines of labels drawn over them.
struct MaskFigure {
  /// What the pictures are called for those who do not see them.
  let name: String
  /// The image, one volume.
  let image: Volume
  /// The labels on its grid, 0 for the background.
  let labels: Volume

  /// The figure, as large as the budget allows.
  ///
  /// - Parameter budget: That of the page.
  /// - Returns: HTML: a row of slices through the middle of what was found.
  /// - Throws: `ImagingError.geometryDiffers` if the two grids differ, `ImagingError.writeFailed` if memory is short.
  func html(within budget: inout FigureBudget) throws -> String {
    let window = try Montage(input: image, output: image).window
    var montage = try Montage(input: image, output: labels)
    montage.window = window
    let attempts = [0, 1, 2, 3]
    return try budget.figure(attempts) { halvings in
      try row(montage, halvings: halvings)
    }
  }

  private func row(_ montage: Montage, halvings: Int) throws -> String {
    let layouts = montage.slices.map { SliceLayout($0.plane, of: image.geometry) }
    let sizes = layouts.map { layout in
      (
        width: Double(layout.width) * layout.spacing.column,
        height: Double(layout.height) * layout.spacing.row
      )
    }
    let longest = sizes.map { max($0.width, $0.height) }.max() ?? 1
    var cells = ""
    for (index, slice) in montage.slices.enumerated() {
      let size = sizes[index]
      let style = String(
        format: "width:%.0fpx;aspect-ratio:%.5g",
        max(1, size.width / longest * 1.5 * MontageFigure.shownSide), size.width / size.height)
      let label = montage.label(of: slice)
      cells +=
        "<td><div class=\"p\">"
        + HTML.picture(
          try picture(of: slice, montage, halvings: halvings), alternative: "\(name): \(label)",
          style: style) + MontageFigure.letters(layouts[index].edges)
        + "<span class=\"k\">\(HTML.escaped(label))</span></div></td>"
    }
    return "<table class=\"m\"><tr>\(cells)</tr></table>"
  }

  private func picture(
    of slice: Montage.Slice, _ montage: Montage, halvings: Int
  ) throws -> Data {
    let pixels = montage.slice(slice, of: .input)
    let low = Float(montage.window.lowerBound)
    let span = Float(montage.window.upperBound) - low
    var overlay = LabelOverlay(
      pixels.pixels.map { ($0 - low) / span * 255 }, height: pixels.height, width: pixels.width)
    overlay.outline(montage.slice(slice, of: .output).pixels.map { Int32($0) })
    var picture = overlay.image
    for _ in 0..<halvings where min(picture.height, picture.width) > 1 {
      picture = picture.halved()
    }
    return try picture.encoded()
  }
}
