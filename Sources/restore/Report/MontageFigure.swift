import Foundation
import Imaging

/// A montage as a part of a page: a row for each slice, a picture with a voxel a pixel for each panel.
///
/// The browser enlarges the pictures to their proportions in mm; letters, headings and scales are text.
struct MontageFigure {
  /// The length of the longest side of the slices on the page, in pixels of the screen.
  static let shownSide = 200.0

  /// What the pictures are called for those who do not see them.
  let name: String
  let montage: Montage
  /// The grid of the images.
  let geometry: Geometry
  /// The panels that are shown, from left to right.
  let panels: [Montage.Panel]

  /// The table of slices and what its colours mean.
  ///
  /// - Parameter reduction: How many voxels along each side become one pixel.
  /// - Returns: A table and a paragraph.
  /// - Throws: `ImagingError.writeFailed` if memory is short.
  func html(reducedBy reduction: Int) throws(ImagingError) -> String {
    let layouts = montage.slices.map { SliceLayout($0.plane, of: geometry) }
    let sizes = layouts.map { layout in
      (
        width: Double(layout.width) * layout.spacing.column,
        height: Double(layout.height) * layout.spacing.row
      )
    }
    let longest = sizes.map { max($0.width, $0.height) }.max() ?? 1
    var rows =
      "<tr>" + panels.map { "<th>\(HTML.escaped(heading(of: $0)))</th>" }.joined() + "</tr>"
    for (index, slice) in montage.slices.enumerated() {
      let (width, height) = sizes[index]
      let style = String(
        format: "width:%.0fpx;aspect-ratio:%.5g", max(1, width / longest * Self.shownSide),
        width / height)
      let label = montage.label(of: slice)
      rows += "<tr>"
      for (column, panel) in panels.enumerated() {
        let png = try montage.image(of: slice, panel, reducedBy: reduction).encoded()
        rows +=
          "<td><div class=\"p\">"
          + HTML.picture(
            png, alternative: "\(name): \(heading(of: panel)), \(label)", style: style)
          + Self.letters(layouts[index].edges)
          + (column == 0 ? "<span class=\"k\">\(HTML.escaped(label))</span>" : "")
          + "</div></td>"
      }
      rows += "</tr>"
    }
    return "<table class=\"m\">\(rows)</table>\(scales)"
  }

  private func heading(of panel: Montage.Panel) -> String { montage.headings[panel] ?? "" }

  /// The directions at the left and the right edge; nothing if the orientation is unknown.
  static func letters(_ edges: SliceEdges?) -> String {
    guard let edges else { return "" }
    return "<span class=\"e\" style=\"left:4px\">\(edges.left.rawValue)</span>"
      + "<span class=\"e\" style=\"right:4px\">\(edges.right.rawValue)</span>"
  }

  /// What the greys and the colours mean.
  private var scales: String {
    let scale = DifferenceScale(limit: 2)
    let colours = (-2...2).map { step -> String in
      let colour = scale.colour(of: Double(step))
      return "rgb(\(colour.red),\(colour.green),\(colour.blue))"
    }
    let limit = scaleLabel(montage.differenceLimit)
    return "<p class=\"s\">grey: \(scaleLabel(montage.window.lowerBound)) black to "
      + "\(scaleLabel(montage.window.upperBound)) white; differences: blue -\(limit) "
      + "<span class=\"g\" style=\"background:linear-gradient(90deg,\(colours.joined(separator: ",")))\">"
      + "</span> red +\(limit), white 0; \(HTML.escaped(montage.unit))</p>"
  }
}
