/// Resampling of an array `[D0, D1, D2]` to other numbers of voxels over the same field of view.
///
/// Linear between voxels where an axis grows. Where it shrinks, the triangle is as wide as the new
/// voxels, so that no detail is aliased. Outer faces stay in place; the edges' values go on beyond.
public enum GridResampling {
  /// Resamples along all axes.
  ///
  /// - Parameters:
  ///   - values: `[D0, D1, D2]`.
  ///   - size: D0, D1, D2.
  ///   - target: The new sizes, each at least 1.
  /// - Returns: `[target]`; the values themselves if the sizes are equal.
  public static func resampled(_ values: [Float], size: [Int], to target: [Int]) -> [Float] {
    precondition(
      size.count == 3 && target.count == 3 && target.allSatisfy { $0 >= 1 }
        && values.count == size.reduce(1, *),
      "GridResampling: \(values.count) values of \(size) to \(target)")
    var (values, size) = (values, size)
    // Axes that shrink first: less work for the others.
    for axis in (0..<3).sorted(by: { target[$0] * size[$1] < target[$1] * size[$0] })
    where size[axis] != target[axis] {
      values = resampled(values, size: size, axis: axis, to: target[axis])
      size[axis] = target[axis]
    }
    return values
  }

  private static func resampled(
    _ values: [Float], size: [Int], axis: Int, to target: Int
  ) -> [Float] {
    let outer = size[..<axis].reduce(1, *)
    let inner = size[(axis + 1)...].reduce(1, *)
    let taps = taps(from: size[axis], to: target)
    var result = [Float](repeating: 0, count: outer * target * inner)
    result.withUnsafeMutableBufferPointer { result in
      values.withUnsafeBufferPointer { values in
        for block in 0..<outer {
          for (index, taps) in taps.enumerated() {
            let to = (block * target + index) * inner
            for (source, weight) in taps {
              let from = (block * size[axis] + source) * inner
              for place in 0..<inner { result[to + place] += weight * values[from + place] }
            }
          }
        }
      }
    }
    return result
  }

  /// For each new position the old ones that it is made of, with weights that add up to 1.
  private static func taps(from count: Int, to target: Int) -> [[(source: Int, weight: Float)]] {
    let ratio = Double(count) / Double(target)
    let reach = max(1, ratio)
    return (0..<target).map { index in
      let position = (Double(index) + 0.5) * ratio - 0.5
      var weights: [Int: Double] = [:]
      for source in Int((position - reach).rounded(.up))...Int((position + reach).rounded(.down)) {
        let weight = 1 - abs(Double(source) - position) / reach
        if weight > 0 { weights[min(max(source, 0), count - 1), default: 0] += weight }
      }
      let sum = weights.values.reduce(0, +)
      return weights.sorted { $0.key < $1.key }.map { ($0.key, Float($0.value / sum)) }
    }
  }
}
