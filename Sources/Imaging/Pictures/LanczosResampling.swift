import Foundation

/// Brings a channels-last image to another size with Lanczos' kernel of three lobes, as image libraries
/// do: widened when reducing, so that nothing is skipped.
///
/// Source: Duchon, *Lanczos Filtering in One and Two Dimensions*, J. Appl. Meteorology 18, 1979.
public struct LanczosResampling: Sendable {
  /// Samples on either side of a position from which an enlarged image's value is made.
  public static let reach = 3

  private let taps: [(first: Int, weights: [Double])]

  /// The weights that make `newCount` samples of `count`.
  private init(from count: Int, to newCount: Int) {
    let step = Double(count) / Double(newCount)
    let scale = max(1, step)
    taps = (0..<newCount).map { index in
      let centre = (Double(index) + 0.5) * step
      let first = max(0, Int((centre - 3 * scale + 0.5).rounded(.down)))
      let last = min(count, Int((centre + 3 * scale + 0.5).rounded(.down)))
      let weights = (first..<max(first + 1, last)).map {
        Self.kernel((Double($0) + 0.5 - centre) / scale)
      }
      let sum = weights.reduce(0, +)
      return (first, weights.map { $0 / sum })
    }
  }

  private static func kernel(_ x: Double) -> Double {
    func sinc(_ x: Double) -> Double { x == 0 ? 1 : sin(.pi * x) / (.pi * x) }
    return abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0
  }

  /// Resamples an image.
  ///
  /// - Parameters:
  ///   - values: `[height, width, channels]`.
  ///   - height: Rows.
  ///   - width: Columns.
  ///   - channels: Channels.
  ///   - newHeight: Rows of the result.
  ///   - newWidth: Columns of the result.
  /// - Returns: `[newHeight, newWidth, channels]`.
  public static func resize(
    _ values: [Float], height: Int, width: Int, channels: Int, toHeight newHeight: Int,
    width newWidth: Int
  ) -> [Float] {
    let (rows, columns) = (Self(from: height, to: newHeight), Self(from: width, to: newWidth))
    var narrow = [Double](repeating: 0, count: height * newWidth * channels)
    for y in 0..<height {
      for (x, tap) in columns.taps.enumerated() {
        for (offset, weight) in tap.weights.enumerated() {
          for c in 0..<channels {
            narrow[(y * newWidth + x) * channels + c] +=
              weight * Double(values[(y * width + tap.first + offset) * channels + c])
          }
        }
      }
    }
    var result = [Double](repeating: 0, count: newHeight * newWidth * channels)
    let row = newWidth * channels
    for (y, tap) in rows.taps.enumerated() {
      for (offset, weight) in tap.weights.enumerated() {
        let source = (tap.first + offset) * row
        for x in 0..<row { result[y * row + x] += weight * narrow[source + x] }
      }
    }
    return result.map(Float.init)
  }
}
