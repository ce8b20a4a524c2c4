/// Where everything stands in a montage, in pixels.
struct MontageLayout {
  static let margin = 18
  private static let gap = 8
  /// The length that the longest side of the slices is enlarged to at most, or reduced to at least.
  private static let enlargedSide = 320.0
  private static let reducedSide = 640.0
  private static let leastColumnWidth = 180

  /// The columns from left to right.
  let columns: [Range<Int>]
  /// The size of the panels of each row.
  private let sizes: [(height: Int, width: Int)]
  private let rowTops: [Int]
  /// The number of lines above the columns.
  let headingLines: Int
  /// The top of the two scales.
  let scaleTop: Int
  /// The top of the first caption.
  let captionTop: Int
  /// The size of the picture.
  let width: Int
  /// The size of the picture.
  let height: Int

  init(_ montage: Montage) {
    sizes = Self.panelSizes(
      montage.slices.map { SliceLayout($0.plane, of: montage.input.geometry) })
    let columnWidth = max(Self.leastColumnWidth, sizes.map(\.width).max() ?? 0)
    columns = montage.panels.indices.map { column in
      let left = Self.margin + column * (columnWidth + Self.gap)
      return left..<left + columnWidth
    }
    headingLines = montage.notes.isEmpty ? 1 : 2
    var top = Self.margin + headingLines * MontageStyle.lineHeight
    if !montage.title.isEmpty { top += MontageStyle.lineHeight + 10 }
    var tops: [Int] = []
    for size in sizes {
      tops.append(top)
      top += size.height + Self.gap
    }
    rowTops = tops
    scaleTop = top + 8
    captionTop = scaleTop + MontageStyle.scaleHeight + 7 + 2 * MontageStyle.lineHeight + 12
    let texts = (montage.captions + [montage.title]).map {
      BitmapFont.width(of: $0) * MontageStyle.textScale
    }
    let contentWidth = (columns.last?.upperBound ?? 0) - Self.margin
    width = max(contentWidth, texts.max() ?? 0) + 2 * Self.margin
    let captionHeight = montage.captions.count * MontageStyle.lineHeight
    height = captionTop + (captionHeight > 0 ? captionHeight : -12) + Self.margin - 4
  }

  /// The left edge of texts.
  var left: Int { Self.margin }

  /// The size of the typeface for the labels in the panels.
  var labelScale: Int { (sizes.map(\.width).min() ?? 0) < 200 ? 1 : 2 }

  /// The place of a panel, in the middle of its column.
  func panel(row: Int, column: Int) -> PictureRect {
    let (height, width) = sizes[row]
    return PictureRect(
      x: columns[column].lowerBound + (columns[column].count - width) / 2, y: rowTops[row],
      width: width, height: height)
  }

  /// The size of the typeface at which a text fits a width, or the smallest.
  static func scale(of text: String, toFit width: Int) -> Int {
    BitmapFont.width(of: text) * MontageStyle.textScale <= width ? MontageStyle.textScale : 1
  }

  /// The size of each row's panels, all at one number of pixels per mm.
  ///
  /// The finest spacing takes a whole number of pixels, so that a slice with square pixels is shown
  /// without interpolation artefacts; only very large slices are reduced.
  private static func panelSizes(_ layouts: [SliceLayout]) -> [(height: Int, width: Int)] {
    let finest =
      layouts.flatMap { [$0.spacing.row, $0.spacing.column] }.min() ?? 1
    let longest =
      layouts.flatMap {
        [Double($0.height) * $0.spacing.row, Double($0.width) * $0.spacing.column]
      }.max() ?? 1
    let samples = longest / finest
    let zoom =
      samples > reducedSide
      ? reducedSide / samples : max(1, (enlargedSide / samples).rounded(.down))
    return layouts.map { layout in
      let height = Double(layout.height) * layout.spacing.row / finest * zoom
      let width = Double(layout.width) * layout.spacing.column / finest * zoom
      return (max(1, Int(height.rounded())), max(1, Int(width.rounded())))
    }
  }
}
