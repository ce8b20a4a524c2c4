import Foundation

/// A slice as a scanner writes it that measures less of k-space than its pixels could show.
///
/// Of n spatial frequencies along an axis, those with `|k| ≤ p n/2` were measured, p being the part of the
/// axis; the rest is filled with zeros, so that the image is smooth on its own grid. A Gaussian roll-off
/// `exp(−t (2k/n)²)`, as filters against ringing have, lowers the measured ones by `exp(−t)` at the edge of
/// k-space. Many clinical images were interpolated or filtered in this or a similar way.
///
/// Source: Bernstein et al., *Handbook of MRI Pulse Sequences*, Academic Press 2004, section 13.1 (zero
/// filling, k-space filters).
public struct KSpaceFilling: Sendable, Equatable {
  /// Measured part of the frequencies along rows' and columns' axes, (0, 1].
  public let parts: SIMD2<Double>
  /// Exponent t of the roll-off, ≥ 0.
  public let rollOff: Double

  /// A filling.
  ///
  /// - Parameters:
  ///   - parts: Measured part along the vertical and the horizontal axis, each in (0, 1].
  ///   - rollOff: Exponent of the roll-off at the edge of k-space, finite and ≥ 0; 0 is none.
  public init(parts: SIMD2<Double>, rollOff: Double = 0) {
    precondition(
      parts.min() > 0 && parts.max() <= 1 && rollOff >= 0 && rollOff.isFinite,
      "KSpaceFilling: parts \(parts), roll-off \(rollOff)")
    self.parts = parts
    self.rollOff = rollOff
  }

  /// Makes a slice smooth on its grid.
  ///
  /// - Parameters:
  ///   - image: `[height, width]`.
  ///   - height: Rows.
  ///   - width: Columns.
  /// - Returns: Magnitudes, `[height, width]`.
  public func applied(to image: [Float], height: Int, width: Int) -> [Float] {
    let unit = SliceSpectrum.unit(of: image)
    var spectrum = SliceSpectrum(of: image, height: height, width: width, dividedBy: unit)
    spectrum.multiply(rows: weights(height, parts.x), columns: weights(width, parts.y))
    // The weights are even, so that a real image stays real.
    let values = spectrum.image()
    return image.indices.map { unit * abs(values[2 * $0]) }
  }

  private func weights(_ count: Int, _ part: Double) -> [Float] {
    SliceSpectrum.weights(count) { frequency in
      let place = frequency / (Double(count) / 2)
      return place > part + 1e-9 ? 0 : Float(exp(-rollOff * place * place))
    }
  }
}
