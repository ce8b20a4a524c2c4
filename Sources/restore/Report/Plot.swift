import Foundation
import Imaging

/// Plots as SVG text, lines over steps and boxes by method.
///
/// Readable without colour: methods are labelled, lines are dashed differently.
enum Plot {
  private static let (width, height) = (560.0, 260.0)
  private static let margin = (left: 64.0, right: 16.0, top: 28.0, bottom: 40.0)

  /// A curve.
  struct Series {
    let name: String
    let points: [SIMD2<Double>]
  }

  /// Lines over training steps, or over what else the two ends of the axis are called.
  static func lines(
    title: String, unit: String, _ series: [Series], level: Double? = nil,
    ends: (first: String, last: String)? = nil
  ) -> String {
    let points = series.flatMap(\.points).filter { $0.y.isFinite }
    guard let lastStep = points.map(\.x).max(), !points.isEmpty else { return "" }
    let values = points.map(\.y) + (level.map { [$0] } ?? [])
    let scale = Scale(values)
    var body = frame(title: title, unit: unit, scale)
    func x(_ step: Double) -> Double {
      margin.left + step / max(lastStep, 1) * (width - margin.left - margin.right)
    }
    for (index, line) in series.enumerated() {
      let path = line.points.filter { $0.y.isFinite }
        .map { "\(text(x($0.x))),\(text(y($0.y, scale)))" }.joined(separator: " ")
      let dash = ["", " stroke-dasharray=\"6 3\"", " stroke-dasharray=\"2 3\""][index % 3]
      body +=
        "<polyline fill=\"none\" stroke=\"#1b4f8a\" stroke-width=\"1.6\"\(dash) points=\"\(path)\"/>"
    }
    if let level {
      let at = text(y(level, scale))
      body +=
        "<line x1=\"\(margin.left)\" x2=\"\(width - margin.right)\" y1=\"\(at)\" y2=\"\(at)\" "
        + "stroke=\"#888\" stroke-dasharray=\"4 4\"/><text x=\"\(width - margin.right)\" y=\"\(at)\" "
        + "dy=\"-4\" text-anchor=\"end\" class=\"s\">before restoration</text>"
    }
    body +=
      "<text x=\"\(margin.left)\" y=\"\(height - 14)\" class=\"s\">"
      + HTML.escaped(ends?.first ?? "0") + "</text>"
      + "<text x=\"\(width - margin.right)\" y=\"\(height - 14)\" text-anchor=\"end\" class=\"s\">"
      + HTML.escaped(ends?.last ?? "step \(String(format: "%.0f", lastStep))") + "</text>"
    return wrapped(body, label: title)
  }

  /// One box a method: median, quartiles, whiskers to the outermost values within 1.5 quartile ranges,
  /// and dots for those beyond.
  static func boxes(title: String, unit: String, _ groups: [(name: String, values: [Double])])
    -> String
  {
    let finite = groups.map { ($0.name, $0.values.filter(\.isFinite).sorted()) }
    let all = finite.flatMap(\.1)
    guard !all.isEmpty else { return "" }
    let scale = Scale(all)
    var body = frame(title: title, unit: unit, scale)
    let step = (width - margin.left - margin.right) / Double(finite.count)
    for (index, (name, values)) in finite.enumerated() {
      let centre = margin.left + (Double(index) + 0.5) * step
      let half = min(36, step * 0.3)
      body +=
        "<text x=\"\(text(centre))\" y=\"\(height - 14)\" text-anchor=\"middle\" class=\"s\">"
        + "\(HTML.escaped(String(name.prefix(24))))</text>"
      guard !values.isEmpty else { continue }
      let (q1, median, q3) = (
        quantile(0.25, ofSorted: values), quantile(0.5, ofSorted: values),
        quantile(0.75, ofSorted: values)
      )
      let reach = 1.5 * (q3 - q1)
      let inside = values.filter { $0 >= q1 - reach && $0 <= q3 + reach }
      let (low, high) = (inside.first ?? q1, inside.last ?? q3)
      func line(_ x1: Double, _ v1: Double, _ x2: Double, _ v2: Double, _ width: Double) {
        body +=
          "<line x1=\"\(text(x1))\" y1=\"\(text(y(v1, scale)))\" x2=\"\(text(x2))\" "
          + "y2=\"\(text(y(v2, scale)))\" stroke=\"#222\" stroke-width=\"\(width)\"/>"
      }
      line(centre, low, centre, q1, 1)
      line(centre, q3, centre, high, 1)
      line(centre - half / 2, low, centre + half / 2, low, 1)
      line(centre - half / 2, high, centre + half / 2, high, 1)
      let (top, bottom) = (y(q3, scale), y(q1, scale))
      body +=
        "<rect x=\"\(text(centre - half))\" y=\"\(text(top))\" width=\"\(text(2 * half))\" "
        + "height=\"\(text(max(0.5, bottom - top)))\" fill=\"#cfdcec\" stroke=\"#222\"/>"
      line(centre - half, median, centre + half, median, 2)
      for value in values where value < low || value > high {
        body +=
          "<circle cx=\"\(text(centre))\" cy=\"\(text(y(value, scale)))\" r=\"2.5\" fill=\"none\" "
          + "stroke=\"#222\"/>"
      }
    }
    return wrapped(body, label: title)
  }

  // MARK: - Parts

  /// The range of an axis and its round steps.
  private struct Scale {
    let low: Double
    let high: Double
    let ticks: [Double]

    init(_ values: [Double]) {
      let (least, most) = (values.min() ?? 0, values.max() ?? 1)
      let span = most > least ? most - least : most == 0 ? 0.1 : abs(most) * 0.1
      let rough = span / 5
      let power = pow(10, floor(log10(rough)))
      let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= rough } ?? rough
      let first = floor((least - 0.02 * span) / step) * step
      let last = ceil((most + 0.02 * span) / step) * step
      (low, high) = (first, last)
      ticks = (0...Int(((last - first) / step).rounded())).map { first + Double($0) * step }
    }
  }

  private static func y(_ value: Double, _ scale: Scale) -> Double {
    let share = (value - scale.low) / (scale.high - scale.low)
    return height - margin.bottom - share * (height - margin.top - margin.bottom)
  }

  private static func frame(title: String, unit: String, _ scale: Scale) -> String {
    var body =
      "<text x=\"\(margin.left)\" y=\"16\" class=\"t\">\(HTML.escaped(title)) "
      + "(\(HTML.escaped(unit)))</text>"
    for tick in scale.ticks {
      let at = text(y(tick, scale))
      body +=
        "<line x1=\"\(margin.left)\" x2=\"\(width - margin.right)\" y1=\"\(at)\" y2=\"\(at)\" "
        + "stroke=\"#ddd\"/><text x=\"\(margin.left - 6)\" y=\"\(at)\" dy=\"4\" "
        + "text-anchor=\"end\" class=\"s\">\(String(format: "%.4g", tick))</text>"
    }
    return body
  }

  private static func wrapped(_ body: String, label: String) -> String {
    "<svg viewBox=\"0 0 \(Int(width)) \(Int(height))\" role=\"img\" "
      + "aria-label=\"\(HTML.escaped(label))\">\(body)</svg>"
  }

  private static func text(_ number: Double) -> String { String(format: "%.1f", number) }
}

/// Bits of HTML.
enum HTML {
  /// A figure with four digits: decimals, and significant ones below a thousandth.
  static func figure(_ value: Double) -> String {
    String(format: value != 0 && abs(value) < 1e-3 ? "%.4g" : "%.4f", value)
  }

  static func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;")
      .replacingOccurrences(of: "<", with: "&lt;").replacingOccurrences(of: ">", with: "&gt;")
      .replacingOccurrences(of: "\"", with: "&quot;")
  }

  static func table(_ head: [String], _ rows: [[String]]) -> String {
    func row(_ cells: [String], _ tag: String) -> String {
      "<tr>" + cells.map { "<\(tag)>\(escaped($0))</\(tag)>" }.joined() + "</tr>"
    }
    return "<table>" + row(head, "th") + rows.map { row($0, "td") }.joined() + "</table>"
  }

  static func picture(_ png: Data, alternative: String, style: String = "") -> String {
    "<img alt=\"\(escaped(alternative))\"" + (style.isEmpty ? "" : " style=\"\(style)\"")
      + " src=\"data:image/png;base64,\(png.base64EncodedString())\">"
  }

  /// By which a page tells that this program wrote it.
  static let generator = "restore"

  /// A whole page; nothing in it comes from elsewhere.
  static func page(title: String, body: String) -> String {
    """
    <!DOCTYPE html>
    <html lang="en"><head><meta charset="utf-8"><title>\(escaped(title))</title>
    <meta name="viewport" content="width=device-width"><meta name="generator" content="\(generator)">
    <style>
    body{font:15px/1.45 sans-serif;margin:2em auto;max-width:1180px;padding:0 1em;color:#111}
    table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #bbb;padding:.25em .6em;text-align:left}
    th{background:#eee}img{max-width:100%;image-rendering:pixelated;background:#000}
    svg{width:560px;max-width:100%;margin:.5em 1em .5em 0}.t{font:bold 13px sans-serif}.s{font:11px sans-serif}
    .f{display:flex;flex-wrap:wrap;gap:1em}figure{margin:0 0 1em}figcaption{max-width:350px}
    .m{margin:.3em 0}.m th,.m td{border:0;padding:2px;background:none;text-align:center}
    .p{position:relative;display:inline-block;line-height:0}
    .p span{position:absolute;color:#fff;text-shadow:0 0 2px #000,0 0 2px #000,0 0 4px #000}
    .p .e{top:50%;margin-top:-8px;font:bold 16px/1 sans-serif}.p .k{left:4px;top:4px;font:11px/1 sans-serif}
    .g{display:inline-block;width:120px;height:.7em;border:1px solid #999}
    .w{border-left:5px solid #b00;padding:.3em .8em;background:#fff4f0}pre{background:#f4f4f4;padding:.8em;overflow:auto}
    </style></head><body>
    <h1>\(escaped(title))</h1>
    \(body)
    </body></html>

    """
  }
}
