/// Surrounds a tensor with a constant.
struct Pad: Operation {
  let before: [Int]
  let after: [Int]
  let value: Float

  var kind: OperationKind { .pad }
  var backwardReads: BackwardReads { .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let shape = inputs[0]
    precondition(
      before.count == shape.rank && after.count == shape.rank
        && (before + after).allSatisfy { $0 >= 0 },
      "pad: \(before) before and \(after) after do not fit \(shape)")
    return Shape(zip(shape.dimensions, zip(before, after)).map { $0 + $1.0 + $1.1 })
  }

  func forward(_ pass: ForwardPass) {
    PaddedBlock(inner: pass.inputs[0].shape, outer: pass.output.shape, offsets: before).insert(
      pass.inputs[0].pointer, into: pass.output.pointer, around: value, workers: pass.workers)
  }

  func backward(_ pass: BackwardPass) {
    guard let gradient = pass.inputGradients[0] else { return }
    PaddedBlock(inner: gradient.shape, outer: pass.outputGradient.shape, offsets: before).extract(
      pass.outputGradient.pointer, into: gradient.pointer, workers: pass.workers)
  }
}

extension Tensor {
  /// This tensor with `before[i]` and `after[i]` elements of `value` added at the ends of axis `i`.
  public func padded(before: [Int], after: [Int], value: Float = 0) -> Tensor {
    if before.count == shape.rank, after.count == shape.rank,
      (before + after).allSatisfy({ $0 == 0 })
    {
      return self
    }
    return Tensor.apply(Pad(before: before, after: after, value: value), [self])
  }
}
