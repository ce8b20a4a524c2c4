import TensorCore

/// Bands of rows that cover images `[N, H, W, C]`, each with a halo of the rows around it.
///
/// What looks at most `halo` rows up and down gives in a band exactly what it gives in the image; only
/// the halo's own results are wrong, and they are cut off.
struct RowBands {
  /// Rows of the image that a band computes, and those that it needs for that.
  struct Band {
    let rows: Range<Int>
    let haloed: Range<Int>

    /// The band's own part of a tensor that has the haloed rows.
    func core(of tensor: Tensor) -> Tensor {
      rows == haloed
        ? tensor
        : tensor.sliced(
          axis: 1, rows.lowerBound - haloed.lowerBound..<rows.upperBound - haloed.lowerBound)
    }
  }

  let bands: [Band]

  init(height: Int, rows: Int, halo: Int) {
    precondition(rows >= 1, "row bands: \(rows) rows, at least 1 is needed")
    bands = stride(from: 0, to: height, by: rows).map { first in
      let last = min(height, first + rows)
      return Band(rows: first..<last, haloed: max(0, first - halo)..<min(height, last + halo))
    }
  }

  /// Images whose bands are computed one after the other.
  ///
  /// - Parameters:
  ///   - shape: Of the whole, `[N, H, W, C]`.
  ///   - band: Computes the rows of a band, `[N, rows, W, C]`.
  /// - Returns: The whole.
  func assembled(_ shape: Shape, _ band: (Band) -> Tensor) -> Tensor {
    let row = shape[2] * shape[3]
    let first = band(bands[0])
    // A plan computes the parts at their places in the whole.
    guard first.hasValues else {
      return .concatenate([first] + bands.dropFirst().map(band), axis: 1)
    }
    return Tensor(shape) { whole in
      guard let target = whole.baseAddress else { return }
      for next in bands {
        let part = next.rows.lowerBound == 0 ? first : band(next)
        let count = next.rows.count * row
        precondition(part.count == shape[0] * count, "row bands: \(part.shape) of \(shape)")
        part.withValues { values in
          guard let source = values.baseAddress else { return }
          for image in 0..<shape[0] {
            (target + (image * shape[1] + next.rows.lowerBound) * row)
              .update(from: source + image * count, count: count)
          }
        }
      }
    }
  }
}
