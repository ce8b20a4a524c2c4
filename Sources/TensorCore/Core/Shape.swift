/// The sizes of a dense tensor's axes, outermost first.
///
/// Images are `[N, H, W, C]`, volumes `[N, D, H, W, C]`, tokens `[N, T, C]`; a scalar has rank 0.
public struct Shape: Hashable, Sendable {
  /// The size of each axis, outermost first; each at least 0.
  public let dimensions: [Int]

  /// The product of all sizes: 1 for a scalar.
  public let count: Int

  /// A shape with the given sizes.
  ///
  /// Stops if a size is negative or the product does not fit into an `Int`.
  public init(_ dimensions: [Int]) {
    var count = 1
    for dimension in dimensions {
      precondition(dimension >= 0, "shape: negative size in \(dimensions)")
      let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
      precondition(!overflow, "shape: \(dimensions) has more elements than Int can count")
      count = product
    }
    self.dimensions = dimensions
    self.count = count
  }

  /// The shape of a scalar, `[]`.
  public static let scalar = Shape([])

  /// The number of axes.
  public var rank: Int { dimensions.count }

  /// The size of the innermost axis, 1 for a scalar: the channels of a channels-last tensor.
  public var channels: Int { dimensions.last ?? 1 }

  /// The product of all sizes but the innermost: the number of rows of a channels-last tensor.
  public var rows: Int { channels == 0 ? 0 : count / channels }

  /// The size of one axis; negative axes count from the innermost, −1.
  public subscript(axis: Int) -> Int { dimensions[normalized(axis: axis)] }

  /// The axis as an index in `0..<rank`; negative axes count from the innermost, −1.
  public func normalized(axis: Int) -> Int {
    let index = axis < 0 ? axis + rank : axis
    precondition(dimensions.indices.contains(index), "axis \(axis) is outside shape \(self)")
    return index
  }

  /// Elements between neighbours along each axis of a dense tensor.
  public var strides: [Int] {
    var strides = [Int](repeating: 1, count: rank)
    for axis in stride(from: rank - 2, through: 0, by: -1) {
      strides[axis] = strides[axis + 1] * dimensions[axis + 1]
    }
    return strides
  }

  /// The same shape with one axis changed to `size`.
  public func replacing(axis: Int, with size: Int) -> Shape {
    var sizes = dimensions
    sizes[normalized(axis: axis)] = size
    return Shape(sizes)
  }

  /// The shape that two operands broadcast to, or nil if they do not fit (NumPy's rule).
  public func broadcast(with other: Shape) -> Shape? {
    if self == other { return self }
    let rank = max(rank, other.rank)
    var sizes = [Int](repeating: 1, count: rank)
    for offset in 1...max(rank, 1) where offset <= rank {
      let a = offset <= self.rank ? dimensions[self.rank - offset] : 1
      let b = offset <= other.rank ? other.dimensions[other.rank - offset] : 1
      guard a == b || a == 1 || b == 1 else { return nil }
      sizes[rank - offset] = a == 1 ? b : a
    }
    return Shape(sizes)
  }
}

extension Shape: ExpressibleByArrayLiteral, CustomStringConvertible {
  /// A shape written as a list of sizes.
  public init(arrayLiteral elements: Int...) { self.init(elements) }

  /// The sizes in brackets, as in `[2, 64, 64, 48]`.
  public var description: String {
    "[" + dimensions.map(String.init).joined(separator: ", ") + "]"
  }
}
