/// Takes a block out of a tensor.
struct Slice: Operation {
  let ranges: [Range<Int>]

  var kind: OperationKind { .slice }
  var backwardReads: BackwardReads { .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let shape = inputs[0]
    precondition(
      ranges.count == shape.rank
        && zip(ranges, shape.dimensions).allSatisfy { $0.lowerBound >= 0 && $0.upperBound <= $1 },
      "slice: ranges \(ranges) are not inside \(shape)")
    return Shape(ranges.map(\.count))
  }

  func forward(_ pass: ForwardPass) {
    let strides = pass.inputs[0].shape.strides
    let start = zip(ranges, strides).reduce(0) { $0 + $1.0.lowerBound * $1.1 }
    StridedCopy(
      sizes: pass.output.shape.dimensions, source: strides, target: pass.output.shape.strides
    ).run(
      from: pass.inputs[0].pointer + start, to: pass.output.pointer, workers: pass.workers)
  }

  func backward(_ pass: BackwardPass) {
    guard let gradient = pass.inputGradients[0] else { return }
    PaddedBlock(
      inner: pass.outputGradient.shape, outer: gradient.shape, offsets: ranges.map(\.lowerBound)
    ).insert(
      pass.outputGradient.pointer, into: gradient.pointer, around: 0, workers: pass.workers)
  }
}

extension Tensor {
  /// The part of this tensor with indices in `range` along one axis.
  public func sliced(axis: Int, _ range: Range<Int>) -> Tensor {
    let axis = shape.normalized(axis: axis)
    var ranges = shape.dimensions.map { 0..<$0 }
    ranges[axis] = range
    return sliced(ranges)
  }

  /// The part of this tensor with indices in `ranges[i]` along axis `i`.
  public func sliced(_ ranges: [Range<Int>]) -> Tensor {
    if ranges == shape.dimensions.map({ 0..<$0 }) { return self }
    return Tensor.apply(Slice(ranges: ranges), [self])
  }

  /// Consecutive parts along one axis; their sizes have to add up to the axis.
  public func split(axis: Int, sizes: [Int]) -> [Tensor] {
    let axis = shape.normalized(axis: axis)
    precondition(
      sizes.reduce(0, +) == shape[axis] && sizes.allSatisfy { $0 >= 0 },
      "split: sizes \(sizes) do not add up to axis \(axis) of \(shape)")
    var start = 0
    return sizes.map { size in
      defer { start += size }
      return sliced(axis: axis, start..<start + size)
    }
  }
}
