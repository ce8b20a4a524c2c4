public import TensorCore

extension Tensor {
  /// Images `[N, H, W, C]` made smaller, each new pixel the mean of those that it touches.
  ///
  /// New pixel i covers the pixels from `⌊i·H/h⌋` to `⌈(i + 1)·H/h⌉`; where the sizes are no multiples,
  /// neighbours share pixels (the reference framework's "area" interpolation).
  ///
  /// - Parameter sizes: New height and width.
  /// - Returns: `[N, h, w, C]`.
  public func areaAveraged(to sizes: [Int]) -> Tensor {
    precondition(
      shape.rank == 4 && sizes.count == 2 && sizes.allSatisfy { $0 > 0 },
      "areaAveraged: \(shape) to \(sizes)")
    let (height, width) = (shape[1], shape[2])
    if sizes == [height, width] { return self }
    if height % sizes[0] == 0 && width % sizes[1] == 0 {
      return averagePooled(kernel: [height / sizes[0], width / sizes[1]])
    }
    func means(_ from: Int, _ to: Int) -> Tensor {
      Tensor([to, from]) { weights in
        weights.update(repeating: 0)
        for index in 0..<to {
          let (first, end) = (index * from / to, ((index + 1) * from + to - 1) / to)
          for source in first..<end { weights[index * from + source] = 1 / Float(end - first) }
        }
      }
    }
    return permuted([0, 3, 1, 2]).matmul(transposing: means(width, sizes[1])).transposed()
      .matmul(transposing: means(height, sizes[0])).permuted([0, 3, 2, 1])
  }
}
