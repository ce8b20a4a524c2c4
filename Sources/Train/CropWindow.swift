import Imaging
package import Randomness

/// A square part of a slice, seen in one of the eight symmetries of the square.
package struct CropWindow {
  private let crop: Int
  private let height: Int
  private let width: Int
  private let top: Int
  private let left: Int
  private let turn: Int

  /// Draws place and symmetry.
  package init(crop: Int, height: Int, width: Int, flips: Bool, _ generator: inout SeededGenerator)
  {
    self.crop = crop
    self.height = height
    self.width = width
    top = generator.nextInt(below: max(1, height - crop + 1))
    left = generator.nextInt(below: max(1, width - crop + 1))
    turn = flips ? generator.nextInt(below: 8) : 0
  }

  /// The window out of a slice, `[crop, crop]`.
  func values(of slice: [Float]) -> [Float] {
    [Float](unsafeUninitializedCapacity: crop * crop) { values, filled in
      copy(slice, into: UnsafeMutableBufferPointer(rebasing: values[..<(crop * crop)]))
      filled = crop * crop
    }
  }

  /// Copies the window out of a slice, which is reflected at its edges if it is too small, to one of the
  /// channels of `[crop, crop, channels]`.
  func copy(
    _ slice: [Float], into pixels: UnsafeMutableBufferPointer<Float>, channel: Int = 0,
    of channels: Int = 1
  ) {
    for row in 0..<crop {
      for column in 0..<crop {
        var (y, x) = turn & 4 == 0 ? (row, column) : (column, row)
        if turn & 1 != 0 { y = crop - 1 - y }
        if turn & 2 != 0 { x = crop - 1 - x }
        pixels[(row * crop + column) * channels + channel] =
          slice[Self.mirrored(top + y, height) * width + Self.mirrored(left + x, width)]
      }
    }
  }

  /// A position beyond the last one reflected back inside.
  static func mirrored(_ position: Int, _ count: Int) -> Int {
    let period = 2 * count
    let offset = position % period
    return offset < count ? offset : period - 1 - offset
  }
}

/// A square part of a slice, interpolated to a finer grid.
///
/// A smaller part and a margin around it are enlarged with Lanczos' kernel, nearly what filling k-space
/// with zeros does, and the middle of that is kept.
package struct MagnifiedCrop {
  /// Side of the part that is cut out of the slice.
  package let sourceSide: Int
  private let side: Int
  private let magnifiedSide: Int

  /// - Parameters:
  ///   - side: Of the result, pixels.
  ///   - factor: At least 1; taken to the nearest ratio of whole numbers of pixels.
  package init(side: Int, factor: Double) {
    self.side = side
    sourceSide = Int((Double(side) / factor).rounded(.up)) + 2 * LanczosResampling.reach
    magnifiedSide = Int((Double(sourceSide) * factor).rounded())
  }

  /// Cuts a crop out of a slice.
  ///
  /// - Parameters:
  ///   - slice: The slice.
  ///   - window: A window of ``sourceSide`` on it.
  /// - Returns: `[side, side]`, at least 0.
  package func cut(_ slice: [Float], by window: CropWindow) -> [Float] {
    let magnified = LanczosResampling.resize(
      window.values(of: slice), height: sourceSide, width: sourceSide, channels: 1,
      toHeight: magnifiedSide, width: magnifiedSide)
    let margin = (magnifiedSide - side) / 2
    return (margin..<margin + side).flatMap { row in
      // The kernel's negative lobes: a magnitude has none.
      magnified[(row * magnifiedSide + margin)...].prefix(side).map { max(0, $0) }
    }
  }
}
