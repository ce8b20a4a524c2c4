extension Montage {
  /// Draws the picture.
  ///
  /// - Returns: An 8-bit RGB image.
  public func image() -> PNGImage {
    precondition(!slices.isEmpty, "Montage: no slices")
    let layout = MontageLayout(self)
    var canvas = Canvas(width: layout.width, height: layout.height, background: MontageStyle.paper)
    drawHeadings(on: &canvas, layout)
    for (row, slice) in slices.enumerated() {
      for (column, panel) in panels.enumerated() {
        draw(slice, panel, in: layout.panel(row: row, column: column), on: &canvas)
      }
      let first = layout.panel(row: row, column: 0)
      canvas.draw(
        label(of: slice), x: first.x + 6, y: first.y + 6, scale: layout.labelScale,
        colour: .white, outline: .black)
    }
    drawScales(on: &canvas, layout)
    for (line, caption) in captions.enumerated() {
      canvas.draw(
        caption, x: layout.left, y: layout.captionTop + line * MontageStyle.lineHeight,
        scale: MontageStyle.textScale, colour: MontageStyle.ink)
    }
    return canvas.image
  }

  /// One panel of one slice with a voxel a pixel, without letters and frame.
  ///
  /// - Parameters:
  ///   - slice: The slice.
  ///   - panel: One of ``panels``.
  ///   - reduction: How many voxels along each side become one pixel, their mean; at least 1.
  /// - Returns: An 8-bit grey image, or a palette image of a difference. Its pixels are square only if
  ///   those of the slice are.
  public func image(of slice: Slice, _ panel: Panel, reducedBy reduction: Int = 1) -> PNGImage {
    precondition(reduction > 0, "Montage: reduction \(reduction)")
    let pixels = self.slice(slice, of: panel)
    let (height, width) = (max(1, pixels.height / reduction), max(1, pixels.width / reduction))
    let values = Resampling.resize(pixels, height: height, width: width)
    if panel.isDifference {
      let scale = DifferenceScale(limit: differenceLimit)
      return PNGImage(
        indices: values.map { scale.index(of: $0) }, height: height, width: width,
        palette: DifferenceScale.palette)
    }
    let span = window.upperBound - window.lowerBound
    let greys = values.map {
      UInt16(PictureColour(brightness: ($0 - window.lowerBound) / span).red)
    }
    return PNGImage(samples: greys, height: height, width: width, colour: .grey, bitDepth: 8)
  }

  /// What a slice is called: its plane and its number.
  public func label(of slice: Slice) -> String {
    let layout = SliceLayout(slice.plane, of: input.geometry)
    // Without orientation the names of planes would be guesses.
    let name = layout.edges == nil ? "slice" : slice.plane.rawValue
    return "\(name) \(slice.index + 1)/\(layout.count)"
  }

  // MARK: - Texts

  private func drawHeadings(on canvas: inout Canvas, _ layout: MontageLayout) {
    if !title.isEmpty {
      canvas.draw(
        title, x: layout.left, y: MontageLayout.margin, scale: MontageStyle.textScale,
        colour: MontageStyle.ink)
    }
    for (column, panel) in panels.enumerated() {
      let rect = layout.panel(row: 0, column: column)
      let columnRect = layout.columns[column]
      let lines = [
        (headings[panel] ?? "", MontageStyle.ink), (notes[panel] ?? "", MontageStyle.faintInk),
      ]
      for (line, (text, colour)) in lines.enumerated() where !text.isEmpty {
        let scale = MontageLayout.scale(of: text, toFit: columnRect.count)
        let x = columnRect.lowerBound + (columnRect.count - BitmapFont.width(of: text) * scale) / 2
        let top = rect.y - (layout.headingLines - line) * MontageStyle.lineHeight
        canvas.draw(text, x: x, y: top, scale: scale, colour: colour)
      }
    }
  }

  // MARK: - Panels

  private func draw(
    _ slice: Slice, _ panel: Panel, in rect: PictureRect, on canvas: inout Canvas
  ) {
    let pixels = Resampling.resize(
      self.slice(slice, of: panel), height: rect.height, width: rect.width)
    if panel.isDifference {
      let scale = DifferenceScale(limit: differenceLimit)
      canvas.draw(pixels, in: rect) { scale.colour(of: $0) }
    } else {
      let span = window.upperBound - window.lowerBound
      canvas.draw(pixels, in: rect) {
        PictureColour(brightness: ($0 - window.lowerBound) / span)
      }
    }
    canvas.frame(rect, MontageStyle.line)
    guard let edges = SliceLayout(slice.plane, of: input.geometry).edges else { return }
    let (ink, outline): (PictureColour, PictureColour) =
      panel.isDifference ? (.black, .white) : (.white, .black)
    let middle = rect.y + (rect.height - BitmapFont.capitalHeight * MontageStyle.textScale) / 2
    let glyph = BitmapFont.glyphWidth * MontageStyle.textScale
    for (edge, x) in [(edges.left, rect.x + 5), (edges.right, rect.x + rect.width - glyph - 5)] {
      canvas.draw(
        String(edge.rawValue), x: x, y: middle, scale: MontageStyle.textScale, colour: ink,
        outline: outline)
    }
  }

  // MARK: - Scales

  private func drawScales(on canvas: inout Canvas, _ layout: MontageLayout) {
    let greys = panels.filter { !$0.isDifference }.count
    drawScale(
      under: layout.columns[0].lowerBound..<layout.columns[greys - 1].upperBound,
      labels: [scaleLabel(window.lowerBound), scaleLabel(window.upperBound)],
      on: &canvas, layout
    ) { PictureColour(brightness: $0) }
    let scale = DifferenceScale(limit: differenceLimit)
    let limit = scaleLabel(differenceLimit)
    drawScale(
      under: layout.columns[greys].lowerBound..<layout.columns[panels.count - 1].upperBound,
      labels: ["-\(limit)", "0", "+\(limit)"], on: &canvas, layout
    ) { scale.colour(of: (2 * $0 - 1) * differenceLimit) }
  }

  /// Draws a bar with its colours from left to right, numbers under it and the unit.
  private func drawScale(
    under range: Range<Int>, labels: [String], on canvas: inout Canvas, _ layout: MontageLayout,
    _ colour: (Double) -> PictureColour
  ) {
    let width = min(range.count, MontageStyle.scaleWidth)
    let rect = PictureRect(
      x: range.lowerBound + (range.count - width) / 2, y: layout.scaleTop, width: width,
      height: MontageStyle.scaleHeight)
    let ramp = (0..<width).map { Double($0) / Double(max(1, width - 1)) }
    canvas.draw((0..<rect.height).flatMap { _ in ramp }, in: rect, colour)
    canvas.frame(rect, MontageStyle.line)
    let top = rect.y + rect.height + 7
    for (index, label) in labels.enumerated() {
      let center = rect.x + index * (width - 1) / (labels.count - 1)
      let half = BitmapFont.width(of: label) * MontageStyle.textScale / 2
      canvas.fill(
        PictureRect(x: center, y: rect.y + rect.height, width: 1, height: 4), MontageStyle.line)
      canvas.draw(
        label, x: center - half, y: top, scale: MontageStyle.textScale, colour: MontageStyle.ink)
    }
    let unitScale = MontageLayout.scale(of: unit, toFit: range.count)
    canvas.draw(
      unit, x: range.lowerBound + (range.count - BitmapFont.width(of: unit) * unitScale) / 2,
      y: top + MontageStyle.lineHeight, scale: unitScale, colour: MontageStyle.faintInk)
  }
}

/// The colours and sizes of the picture, in pixels.
enum MontageStyle {
  static let paper = PictureColour.white
  static let ink = PictureColour(28, 32, 38)
  static let faintInk = PictureColour(96, 104, 116)
  static let line = PictureColour(168, 174, 184)
  static let textScale = 2
  static let lineHeight = 24
  static let scaleWidth = 300
  static let scaleHeight = 12
}
