import Foundation

/// Curves over a common horizontal axis as a picture, one panel above the other.
///
/// Each panel has its own vertical range, whose ends stand at its left; values that are not finite are
/// left out.
public struct CurvePlot: Sendable, Equatable {
  /// One curve with a panel of its own.
  public struct Panel: Sendable, Equatable {
    /// What stands above the panel, with the unit.
    public var title: String
    /// Horizontal and vertical values, the former ascending.
    public var points: [SIMD2<Double>]

    /// A panel.
    ///
    /// - Parameters:
    ///   - title: What stands above it, with the unit.
    ///   - points: Horizontal and vertical values, the former ascending.
    public init(title: String, points: [SIMD2<Double>]) {
      self.title = title
      self.points = points
    }
  }

  /// The panels, from top to bottom.
  public var panels: [Panel]

  private static let (width, height, left, top) = (640, 200, 84, 24)

  /// A plot.
  ///
  /// - Parameter panels: At least one.
  public init(panels: [Panel]) {
    precondition(!panels.isEmpty, "CurvePlot: no panels")
    self.panels = panels
  }

  /// The picture.
  ///
  /// - Returns: RGB, 640 pixels wide, 200 high for each panel.
  public func image() -> PNGImage {
    var canvas = Canvas(
      width: Self.width, height: Self.height * panels.count, background: .white)
    let last = panels.flatMap(\.points).map(\.x).max() ?? 1
    for (index, panel) in panels.enumerated() {
      let area = PictureRect(
        x: Self.left, y: index * Self.height + Self.top, width: Self.width - Self.left - 16,
        height: Self.height - Self.top - 26)
      canvas.frame(area, .black)
      canvas.draw(panel.title, x: Self.left, y: area.y - 16, scale: 1, colour: .black)
      canvas.draw("0", x: area.x, y: area.y + area.height + 6, scale: 1, colour: .black)
      let end = String(format: "%.0f", last)
      canvas.draw(
        end, x: area.x + area.width - BitmapFont.width(of: end), y: area.y + area.height + 6,
        scale: 1, colour: .black)
      draw(panel, in: area, last: last, on: &canvas)
    }
    return canvas.image
  }

  private func draw(_ panel: Panel, in area: PictureRect, last: Double, on canvas: inout Canvas) {
    let points = panel.points.filter { $0.x.isFinite && $0.y.isFinite }
    guard let low = points.map(\.y).min(), let high = points.map(\.y).max() else { return }
    let span = high > low ? high - low : 1
    for (value, y) in [(high, area.y), (low, area.y + area.height - 8)] {
      let text = String(format: "%.4g", value)
      canvas.draw(
        text, x: area.x - 6 - BitmapFont.width(of: text), y: y, scale: 1, colour: .black)
    }
    func place(_ point: SIMD2<Double>) -> SIMD2<Double> {
      SIMD2(
        Double(area.x) + point.x / max(last, .leastNormalMagnitude) * Double(area.width - 1),
        Double(area.y) + (high - point.y) / span * Double(area.height - 1))
    }
    let colour = PictureColour(27, 79, 138)
    var previous = points.first.map(place)
    for point in points.map(place) {
      let from = previous ?? point
      let steps = max(1, Int(max(abs(point.x - from.x), abs(point.y - from.y)).rounded(.up)))
      for step in 0...steps {
        let position = from + (point - from) * (Double(step) / Double(steps))
        canvas[Int(position.x.rounded()), Int(position.y.rounded())] = colour
      }
      previous = point
    }
  }
}
