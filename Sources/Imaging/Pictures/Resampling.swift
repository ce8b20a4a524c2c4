/// Brings a slice to another number of rows and columns, for the screen.
///
/// Linear between samples when enlarging, the mean over the covered samples when reducing; samples
/// are squares, whose outer edges stay where they are. Equal sizes change nothing.
package struct Resampling {
  /// For each output sample the first input sample and the weights from there on.
  private let taps: [(first: Int, weights: [Double])]

  /// The weights of one axis.
  init(from count: Int, to newCount: Int) {
    let step = Double(count) / Double(newCount)
    taps = (0..<newCount).map { index in
      step > 1
        ? Self.mean(from: Double(index) * step, to: Double(index + 1) * step, count: count)
        : Self.linear(at: (Double(index) + 0.5) * step - 0.5, count: count)
    }
  }

  private static func linear(at position: Double, count: Int) -> (first: Int, weights: [Double]) {
    let clamped = min(max(position, 0), Double(count - 1))
    let first = min(Int(clamped), max(0, count - 2))
    let part = clamped - Double(first)
    return part == 0 ? (first, [1]) : (first, [1 - part, part])
  }

  private static func mean(
    from start: Double, to end: Double, count: Int
  ) -> (first: Int, weights: [Double]) {
    let first = min(Int(start), count - 1)
    let last = min(Int(end.rounded(.up)), count) - 1
    let weights = (first...max(first, last)).map { sample in
      max(0, min(end, Double(sample + 1)) - max(start, Double(sample)))
    }
    let sum = weights.reduce(0, +)
    return (first, weights.map { $0 / sum })
  }

  /// Resamples both axes of a slice.
  ///
  /// - Parameters:
  ///   - slice: The slice.
  ///   - height: The new number of rows.
  ///   - width: The new number of columns.
  /// - Returns: The samples, shape `[height, width]`.
  package static func resize(_ slice: ImageSlice, height: Int, width: Int) -> [Double] {
    let rows = Resampling(from: slice.height, to: height)
    let columns = Resampling(from: slice.width, to: width)
    var narrow = [Double](repeating: 0, count: slice.height * width)
    for y in 0..<slice.height {
      for (x, tap) in columns.taps.enumerated() {
        for (offset, weight) in tap.weights.enumerated() {
          narrow[y * width + x] +=
            weight * Double(slice.pixels[y * slice.width + tap.first + offset])
        }
      }
    }
    var result = [Double](repeating: 0, count: height * width)
    for (y, tap) in rows.taps.enumerated() {
      for (offset, weight) in tap.weights.enumerated() {
        let source = (tap.first + offset) * width
        for x in 0..<width { result[y * width + x] += weight * narrow[source + x] }
      }
    }
    return result
  }
}
