/// Places in a photograph of the whole field where the optic disc may be: bright spots of its size that
/// upright vessels cross.
public struct OpticDiscLocator: Sendable {
  /// A place.
  public struct Candidate: Sendable, Equatable {
    /// Column and row of the middle, pixels.
    public let x: Double
    /// The row.
    public let y: Double
    /// The assumed diameter, pixels.
    public let diameter: Double
    /// Larger is more likely; no unit.
    public let score: Double
  }

  /// The longer side of the picture that is searched.
  private static let side = 192
  /// The field's diameter by that of the disc, for cameras of 30° to 60°.
  private static let ratios = [4.3, 5.4, 6.8, 8.6]
  /// The brightness below which a pixel shows nothing.
  private static let dark: Float = 0.045

  /// Whether a photograph shows a camera's whole field: some of its corners are black.
  public static func showsWholeField(_ image: PNGPixels) -> Bool {
    let patch = max(1, min(image.height, image.width) / 32)
    let full = Float((1 << image.bitDepth) - 1)
    let corners = [(0, 0), (0, 1), (1, 0), (1, 1)].count { bottom, right in
      var sum: Float = 0
      for row in 0..<patch {
        for column in 0..<patch {
          let y = bottom == 0 ? row : image.height - 1 - row
          let x = right == 0 ? column : image.width - 1 - column
          let first = (y * image.width + x) * image.channels
          sum += image.values[first..<first + image.channels].max() ?? 0
        }
      }
      return sum / Float(patch * patch) < dark * full
    }
    return corners >= 2
  }

  /// The likeliest places, the best first.
  ///
  /// - Parameters:
  ///   - image: A photograph in colours.
  ///   - count: The most that are returned.
  /// - Returns: Places that are at least most of a disc apart.
  public static func candidates(in image: PNGPixels, count: Int) -> [Candidate] {
    precondition(image.channels == 3, "optic disc: \(image.channels) channels")
    let scale = Double(max(image.height, image.width)) / Double(side)
    let height = max(8, Int((Double(image.height) / scale).rounded()))
    let width = max(8, Int((Double(image.width) / scale).rounded()))
    let full = Float((1 << image.bitDepth) - 1)
    let small = LanczosResampling.resize(
      image.values, height: image.height, width: image.width, channels: 3, toHeight: height,
      width: width
    ).map { $0 / full }
    let maps = Maps(small, height: height, width: width, dark: dark)
    guard maps.fieldDiameter > 16 else { return [] }
    var found: [Candidate] = []
    for ratio in ratios {
      let diameter = maps.fieldDiameter / ratio
      for y in stride(from: diameter / 2, to: Double(height) - diameter / 2, by: 1) {
        for x in stride(from: diameter / 2, to: Double(width) - diameter / 2, by: 1) {
          guard let score = maps.score(x, y, diameter), score > 0 else { continue }
          found.append(Candidate(x: x, y: y, diameter: diameter, score: score))
        }
      }
    }
    var kept: [Candidate] = []
    for candidate in found.sorted(by: { $0.score > $1.score }) where kept.count < count {
      let isNew = kept.allSatisfy { other in
        let (dx, dy) = (other.x - candidate.x, other.y - candidate.y)
        return dx * dx + dy * dy > other.diameter * other.diameter / 2
      }
      if isNew { kept.append(candidate) }
    }
    return kept.map {
      Candidate(
        x: ($0.x + 0.5) * scale, y: ($0.y + 0.5) * scale, diameter: $0.diameter * scale,
        score: $0.score)
    }
  }

  /// Sums over rectangles of the searched picture.
  private struct Maps {
    let height: Int
    let width: Int
    /// Sums from the upper left corner of field, brightness and the change of green along rows.
    private var field: [Double]
    private var brightness: [Double]
    private var change: [Double]
    private(set) var fieldDiameter = 0.0

    init(_ pixels: [Float], height: Int, width: Int, dark: Float) {
      (self.height, self.width) = (height, width)
      let count = (height + 1) * (width + 1)
      field = [Double](repeating: 0, count: count)
      brightness = field
      change = field
      var (left, right, top, bottom) = (width, 0, height, 0)
      for y in 0..<height {
        var sums = (0.0, 0.0, 0.0)
        for x in 0..<width {
          let pixel = 3 * (y * width + x)
          let (red, green) = (pixels[pixel], pixels[pixel + 1])
          if max(red, green) > dark {
            sums.0 += 1
            sums.1 += Double(red + green) / 2
            (left, right) = (min(left, x), max(right, x))
            (top, bottom) = (min(top, y), max(bottom, y))
            if x > 0, pixels[pixel - 3] > dark {
              sums.2 += Double(abs(green - pixels[pixel - 2]))
            }
          }
          let at = (y + 1) * (width + 1) + x + 1
          field[at] = field[at - width - 1] + sums.0
          brightness[at] = brightness[at - width - 1] + sums.1
          change[at] = change[at - width - 1] + sums.2
        }
      }
      fieldDiameter = Double(max(right - left, bottom - top) + 1)
    }

    private func sum(_ map: [Double], _ x: Double, _ y: Double, _ side: Double) -> Double {
      func clamped(_ value: Double, _ most: Int) -> Int { min(max(Int(value.rounded()), 0), most) }
      let (x0, x1) = (clamped(x - side / 2, width), clamped(x + side / 2, width))
      let (y0, y1) = (clamped(y - side / 2, height), clamped(y + side / 2, height))
      let row = width + 1
      return map[y1 * row + x1] - map[y0 * row + x1] - map[y1 * row + x0] + map[y0 * row + x0]
    }

    /// How much brighter a spot is than what is around it, weighted by the change along its rows; nil if
    /// it lies partly outside of the field.
    func score(_ x: Double, _ y: Double, _ diameter: Double) -> Double? {
      let inner = 0.75 * diameter
      let area = sum(field, x, y, inner)
      guard area >= 0.95 * inner * inner else { return nil }
      let (near, far) = (1.25 * diameter, 2.2 * diameter)
      let around = sum(field, x, y, far) - sum(field, x, y, near)
      guard around > 0.3 * (far * far - near * near) else { return nil }
      let inside = sum(brightness, x, y, inner) / area
      let outside = (sum(brightness, x, y, far) - sum(brightness, x, y, near)) / around
      let edges = sum(change, x, y, inner) / area
      return (inside / outside - 1) * (edges / inside + 0.02).squareRoot()
    }
  }
}
