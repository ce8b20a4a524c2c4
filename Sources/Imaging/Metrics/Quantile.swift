/// A quantile of ascending values, linear between order statistics.
///
/// - Parameters:
///   - fraction: In `0...1`.
///   - values: At least one.
/// - Returns: The quantile.
package func quantile(_ fraction: Double, ofSorted values: [Double]) -> Double {
  let position = fraction * Double(values.count - 1)
  let lower = Int(position)
  guard lower + 1 < values.count else { return values[lower] }
  return values[lower] + (position - Double(lower)) * (values[lower + 1] - values[lower])
}
