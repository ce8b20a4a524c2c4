/// Of which mirror images of a slice the results are averaged.
///
/// A network that saw slices flipped and turned in training errs differently on each; the mean errs less.
public enum SliceSymmetries: Sendable, CaseIterable {
  /// The slice as it is.
  case identity
  /// Its four flips.
  case flips
  /// The eight symmetries of the square: the flips, and those of the slice with rows and columns exchanged.
  case square

  /// The symmetries, the slice as it is first.
  var all: [SliceSymmetry] {
    let flips = (0..<(self == .identity ? 1 : 4)).map {
      SliceSymmetry(flipsRows: $0 & 1 != 0, flipsColumns: $0 & 2 != 0)
    }
    guard self == .square else { return flips }
    return flips
      + flips.map { flip in
        var turned = flip
        turned.transposes = true
        return turned
      }
  }
}

/// One symmetry of a slice.
struct SliceSymmetry {
  /// Whether the last row comes first.
  var flipsRows = false
  /// Whether the last column comes first.
  var flipsColumns = false
  /// Whether rows and columns are exchanged after that.
  var transposes = false

  /// Rows and columns of the mirror image.
  func size(_ height: Int, _ width: Int) -> (height: Int, width: Int) {
    transposes ? (width, height) : (height, width)
  }

  /// The pixel of the slice that each place of the mirror image shows, row by row.
  func order(_ height: Int, _ width: Int) -> [Int] {
    let mirrored = size(height, width)
    return (0..<mirrored.height).flatMap { first in
      (0..<mirrored.width).map { second in
        let (row, column) = transposes ? (second, first) : (first, second)
        return (flipsRows ? height - 1 - row : row) * width
          + (flipsColumns ? width - 1 - column : column)
      }
    }
  }
}
