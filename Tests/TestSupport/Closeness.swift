public import TensorCore

/// Where two arrays that should agree differ most.
///
/// Tests write `#expect(Mismatch(actual, expected, relative: 1e-5) == nil)`: a failure then prints
/// the worst index and both values.
public struct Mismatch: Equatable, Sendable, CustomStringConvertible {
  /// What differs, in words.
  public let description: String

  /// The worst difference of two tensors, or nil if shapes agree and every element is close.
  ///
  /// Elements are close if they differ by at most `absolute + relative · scale`, where the scale is
  /// the largest magnitude that occurs in `expected`: sums of many terms are only as precise as their
  /// largest terms. NaN is close to nothing; infinities are close to themselves.
  public init?(
    _ actual: Tensor, _ expected: Tensor, absolute: Float = 0, relative: Float = 0
  ) {
    guard actual.shape == expected.shape else {
      self.init("shape \(actual.shape) instead of \(expected.shape)")
      return
    }
    self.init(
      actual.values, expected.values, absolute: absolute, relative: relative,
      nameOfIndex: { expected.shape.index(of: $0) })
  }

  /// The worst difference of two arrays, or nil if counts agree and every element is close.
  public init?(
    _ actual: [Float], _ expected: [Float], absolute: Float = 0, relative: Float = 0
  ) {
    self.init(
      actual, expected, absolute: absolute, relative: relative, nameOfIndex: { "[\($0)]" })
  }

  private init(_ description: String) { self.description = description }

  private init?(
    _ actual: [Float], _ expected: [Float], absolute: Float, relative: Float,
    nameOfIndex: (Int) -> String
  ) {
    guard actual.count == expected.count else {
      self.init("\(actual.count) elements instead of \(expected.count)")
      return
    }
    let scale = expected.lazy.map(\.magnitude).filter(\.isFinite).max() ?? 0
    let allowed = absolute + relative * scale
    var worst: (index: Int, excess: Float)?
    for (index, (a, b)) in zip(actual, expected).enumerated() where a != b {
      let difference = (a - b).magnitude
      guard !(difference <= allowed) else { continue }
      let excess = difference.isNaN ? .infinity : difference
      if worst.map({ excess > $0.excess }) ?? true { worst = (index, excess) }
    }
    guard let worst else { return nil }
    self.init(
      "at \(nameOfIndex(worst.index)): \(actual[worst.index]) instead of "
        + "\(expected[worst.index]), allowed difference \(allowed)")
  }
}

extension Shape {
  /// The position of an element in brackets, as in `[1, 0, 3]`.
  fileprivate func index(of element: Int) -> String {
    let position = zip(strides, dimensions).map { stride, size in element / stride % size }
    return "[" + position.map(String.init).joined(separator: ", ") + "]"
  }
}
