/// The most probable class of each position of `[…, classes]`, the first of equal ones.
///
/// - Parameters:
///   - values: Probabilities or log-odds, position by position.
///   - classes: How many each position has, 1 to 256.
/// - Returns: Nil if a value is not finite: no comparison with it means anything, and a picture without
///   anything found would look like a result.
package func mostProbableClasses(
  _ values: UnsafeBufferPointer<Float>, classes: Int
) -> [UInt8]? {
  var result: [UInt8] = []
  result.reserveCapacity(values.count / classes)
  for first in stride(from: 0, to: values.count, by: classes) {
    var best = 0
    for label in 0..<classes {
      guard values[first + label].isFinite else { return nil }
      if values[first + label] > values[first + best] { best = label }
    }
    result.append(UInt8(best))
  }
  return result
}
