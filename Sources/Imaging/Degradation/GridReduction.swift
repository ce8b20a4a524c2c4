/// A slice on a coarser grid, as a scanner with larger pixels would have made it.
///
/// Of the spatial frequencies of n pixels those stay that m pixels can show, `|k| < m/2`: nothing is interpolated,
/// and what remains fills the k-space of the coarser grid.
///
/// Source: as ``KSpaceTruncation``, without the zeros.
public struct GridReduction: Sendable, Equatable {
  /// Pixels along an axis in parts of those that there are, (0, 1].
  public let part: Double

  /// A reduction.
  ///
  /// - Parameter part: In (0, 1]; 1 leaves all pixels.
  public init(part: Double) {
    precondition(part > 0 && part <= 1, "GridReduction: part \(part)")
    self.part = part
  }

  /// The pixels that an axis has afterwards, at least one.
  ///
  /// - Parameter count: Before.
  /// - Returns: After.
  public func reduced(_ count: Int) -> Int { max(1, Int((Double(count) * part).rounded())) }

  /// Reduces one slice.
  ///
  /// - Parameters:
  ///   - image: `[height, width]`.
  ///   - height: Rows.
  ///   - width: Columns.
  /// - Returns: Magnitudes, `[reduced(height), reduced(width)]`.
  public func applied(to image: [Float], height: Int, width: Int) -> [Float] {
    guard part < 1 else { return image }
    let unit = SliceSpectrum.unit(of: image)
    let large = SliceSpectrum(of: image, height: height, width: width, dividedBy: unit)
    let (newHeight, newWidth) = (reduced(height), reduced(width))
    var small = SliceSpectrum(height: newHeight, width: newWidth)
    let scale = Float(newHeight * newWidth) / Float(height * width)
    let (rows, columns) = (frequencies(height), frequencies(width))
    for (y, oldY) in rows {
      for (x, oldX) in columns {
        let (to, from) = (2 * (y * newWidth + x), 2 * (oldY * width + oldX))
        small.values[to] = scale * large.values[from]
        small.values[to + 1] = scale * large.values[from + 1]
      }
    }
    // Frequencies come in pairs of opposite sign, so that a real image stays real.
    let values = small.image()
    return (0..<newHeight * newWidth).map { unit * abs(values[2 * $0]) }
  }

  /// Where the frequencies that stay stand, after and before, in the transform's order.
  private func frequencies(_ count: Int) -> [(Int, Int)] {
    let new = reduced(count)
    guard new < count else { return (0..<count).map { ($0, $0) } }
    let highest = (new - 1) / 2
    return (-highest...highest).map { ($0 < 0 ? $0 + new : $0, $0 < 0 ? $0 + count : $0) }
  }
}
