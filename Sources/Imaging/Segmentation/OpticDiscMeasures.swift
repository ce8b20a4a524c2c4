/// Sizes of disc and cup in a labelled photograph, in pixels.
public struct OpticDiscMeasures: Sendable, Equatable, Codable {
  /// Pixels of the disc, the cup included.
  public let discArea: Int
  /// Pixels of the cup.
  public let cupArea: Int
  /// Rows that the disc covers.
  public let discHeight: Int
  /// Rows that the cup covers.
  public let cupHeight: Int
  /// Columns that the disc covers.
  public let discWidth: Int
  /// Columns that the cup covers.
  public let cupWidth: Int

  /// Pixels of the rim.
  public var rimArea: Int { discArea - cupArea }
  /// Height of the cup by height of the disc; nil without a disc.
  public var verticalRatio: Double? { Self.ratio(cupHeight, discHeight) }
  /// Width of the cup by width of the disc; nil without a disc.
  public var horizontalRatio: Double? { Self.ratio(cupWidth, discWidth) }
  /// Area of the cup by area of the disc; nil without a disc.
  public var areaRatio: Double? { Self.ratio(cupArea, discArea) }

  private static func ratio(_ a: Int, _ b: Int) -> Double? { b > 0 ? Double(a) / Double(b) : nil }

  /// Measures a labelled photograph.
  ///
  /// - Parameters:
  ///   - labels: 0 outside of the disc, 1 its rim, 2 the cup, row by row.
  ///   - width: Columns.
  public init(labels: [UInt8], width: Int) {
    precondition(width > 0 && labels.count % width == 0, "optic disc: \(labels.count) / \(width)")
    var extents: [(rows: ClosedRange<Int>, columns: ClosedRange<Int>, count: Int)?] = [nil, nil]
    for (pixel, label) in labels.enumerated() where label > 0 {
      let (row, column) = (pixel / width, pixel % width)
      for kind in 0..<min(2, Int(label)) {
        guard let old = extents[kind] else {
          extents[kind] = (row...row, column...column, 1)
          continue
        }
        extents[kind] = (
          old.rows.lowerBound...row,
          min(old.columns.lowerBound, column)...max(old.columns.upperBound, column), old.count + 1
        )
      }
    }
    (discArea, cupArea) = (extents[0]?.count ?? 0, extents[1]?.count ?? 0)
    (discHeight, cupHeight) = (extents[0]?.rows.count ?? 0, extents[1]?.rows.count ?? 0)
    (discWidth, cupWidth) = (extents[0]?.columns.count ?? 0, extents[1]?.columns.count ?? 0)
  }
}

/// A square part of a photograph, which may reach beyond its edge.
public struct FundusRegion: Sendable, Equatable, Codable {
  /// The first column.
  public var x: Int
  /// The first row.
  public var y: Int
  /// Rows and columns.
  public var side: Int

  /// The sides of a region by the largest extent of the disc in it; what the simulator draws on average.
  public static let discShare = 2.2

  /// A region.
  public init(x: Int, y: Int, side: Int) { (self.x, self.y, self.side) = (x, y, side) }

  /// The square around a disc.
  ///
  /// - Parameters:
  ///   - centre: Column and row of its middle.
  ///   - diameter: Its largest extent, pixels.
  public init(around centre: (x: Double, y: Double), diameter: Double) {
    let side = max(16, Int((Self.discShare * diameter).rounded()))
    self.init(
      x: Int((centre.x - Double(side) / 2).rounded()),
      y: Int((centre.y - Double(side) / 2).rounded()), side: side)
  }

  /// The square around the disc of a labelled photograph; nil without a disc.
  public init?(around labels: [UInt8], width: Int) {
    var (left, right, top, bottom) = (width, -1, 0, -1)
    for (pixel, label) in labels.enumerated() where label > 0 {
      let (row, column) = (pixel / width, pixel % width)
      if bottom < 0 { top = row }
      bottom = row
      (left, right) = (min(left, column), max(right, column))
    }
    guard bottom >= 0 else { return nil }
    self.init(
      around: (Double(left + right + 1) / 2, Double(top + bottom + 1) / 2),
      diameter: Double(max(right - left, bottom - top) + 1))
  }

  /// The part of a picture, `[side, side, channels]`; beyond the edge the edge's pixels are repeated.
  public func cut<Value>(_ values: [Value], height: Int, width: Int, channels: Int) -> [Value] {
    var result: [Value] = []
    result.reserveCapacity(side * side * channels)
    for row in y..<y + side {
      let line = min(max(row, 0), height - 1) * width
      for column in x..<x + side {
        let pixel = (line + min(max(column, 0), width - 1)) * channels
        result += values[pixel..<pixel + channels]
      }
    }
    return result
  }
}
