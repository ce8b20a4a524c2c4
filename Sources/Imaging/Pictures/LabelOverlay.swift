/// A picture with the outlines of labels drawn over it.
///
/// Outlines are a pixel wide and lie inside of the structures. Colours can be told apart without colour
/// vision, and dotted outlines are for a second set of labels.
public struct LabelOverlay: Sendable {
  /// How an outline is drawn.
  public enum Style: Sendable {
    /// Every pixel.
    case solid
    /// Two of four pixels.
    case dotted
  }

  /// Eight colours after Okabe and Ito, for labels from 1 on in turn.
  static let colours: [[UInt16]] = [
    [86, 180, 233], [240, 228, 66], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0],
    [0, 114, 178], [255, 255, 255],
  ]

  /// The colour of a label's outline, as in `#56B4E9`.
  ///
  /// - Parameter label: From 1 on.
  /// - Returns: Red, green and blue in hexadecimal digits.
  public static func colour(of label: Int) -> String {
    precondition(label > 0, "LabelOverlay: label \(label)")
    let digits = colours[(label - 1) % colours.count].map { value in
      let text = String(value, radix: 16, uppercase: true)
      return text.count == 1 ? "0" + text : text
    }
    return "#" + digits.joined()
  }

  private let height: Int
  private let width: Int
  private var samples: [UInt16]

  /// A picture to draw on.
  ///
  /// - Parameters:
  ///   - levels: 0 to 255, `[height, width, channels]`, with one or three channels; others are set to
  ///     the nearest end.
  ///   - height: Rows.
  ///   - width: Columns.
  public init(_ levels: [Float], height: Int, width: Int) {
    let channels = levels.count / (height * width)
    precondition(
      (channels == 1 || channels == 3) && levels.count == height * width * channels,
      "LabelOverlay: \(levels.count) levels for \(height)x\(width)")
    (self.height, self.width) = (height, width)
    samples = [UInt16](repeating: 0, count: height * width * 3)
    for pixel in 0..<height * width {
      for channel in 0..<3 {
        let level = levels[pixel * channels + (channels == 3 ? channel : 0)]
        samples[3 * pixel + channel] =
          level.isNaN ? 0 : UInt16(min(max(level, 0), 255).rounded())
      }
    }
  }

  /// Draws the outline of every label.
  ///
  /// - Parameters:
  ///   - labels: 0 for what has no outline, row by row.
  ///   - style: How.
  public mutating func outline(_ labels: [Int32], style: Style = .solid) {
    precondition(labels.count == height * width, "LabelOverlay: \(labels.count) labels")
    for row in 0..<height {
      for column in 0..<width {
        let label = labels[row * width + column]
        guard label > 0, style == .solid || (row + column) % 4 < 2 else { continue }
        let isBorder =
          (row > 0 && labels[(row - 1) * width + column] != label)
          || (row + 1 < height && labels[(row + 1) * width + column] != label)
          || (column > 0 && labels[row * width + column - 1] != label)
          || (column + 1 < width && labels[row * width + column + 1] != label)
        guard isBorder else { continue }
        let colour = Self.colours[(Int(label) - 1) % Self.colours.count]
        for channel in 0..<3 { samples[(row * width + column) * 3 + channel] = colour[channel] }
      }
    }
  }

  /// The picture, 8-bit colours.
  public var image: PNGImage {
    PNGImage(samples: samples, height: height, width: width, colour: .rgb, bitDepth: 8)
  }
}
