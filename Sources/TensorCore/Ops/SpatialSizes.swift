/// Helpers for operations on the one to three spatial axes of `[N, ..., C]`.
enum SpatialSizes {
  /// The sizes between the batch axis and the channels; stops unless there are one to three.
  static func of(_ shape: Shape, _ name: String) -> [Int] {
    precondition(
      (3...5).contains(shape.rank),
      "\(name): \(shape) is not [N, W, C], [N, H, W, C] or [N, D, H, W, C]")
    return Array(shape.dimensions[1..<shape.rank - 1])
  }

  /// One number for each spatial axis; a single one is repeated.
  static func expanded(_ values: [Int], to rank: Int, _ name: String, _ what: String) -> [Int] {
    precondition(
      values.count == 1 || values.count == rank,
      "\(name): \(values.count) values for \(what), \(rank) spatial axes")
    return values.count == rank ? values : [Int](repeating: values[0], count: rank)
  }

  /// Preceded by as many `filler` values as make three.
  static func three(_ values: [Int], filler: Int) -> (Int, Int, Int) {
    let padded = [Int](repeating: filler, count: 3 - values.count) + values
    return (padded[0], padded[1], padded[2])
  }
}
