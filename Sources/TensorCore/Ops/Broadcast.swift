/// Repeats a tensor along axes of size 1, and along new outer axes.
struct Broadcast: Operation {
  let shape: Shape

  var kind: OperationKind { .broadcast }
  var backwardReads: BackwardReads { .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape {
    precondition(
      inputs[0].broadcast(with: shape) == shape, "broadcast: \(inputs[0]) does not fit \(shape)")
    return shape
  }

  /// The input's size along an axis of the output.
  private func size(ofAxis axis: Int, _ input: Shape) -> Int {
    let inputAxis = axis - (shape.rank - input.rank)
    return inputAxis < 0 ? 1 : input.dimensions[inputAxis]
  }

  private func reduction(to input: Shape) -> AxisReduction {
    AxisReduction(shape) { size(ofAxis: $0, input) == 1 }
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    pass == .forward ? 0 : reduction(to: inputs[0]).scratchCount
  }

  func forward(_ pass: ForwardPass) {
    let input = pass.inputs[0]
    let strides = [Int](repeating: 0, count: shape.rank - input.shape.rank) + input.shape.strides
    StridedCopy(
      sizes: shape.dimensions,
      source: strides.indices.map { size(ofAxis: $0, input.shape) == 1 ? 0 : strides[$0] },
      target: shape.strides
    ).run(from: input.pointer, to: pass.output.pointer, workers: pass.workers)
  }

  func backward(_ pass: BackwardPass) {
    guard let gradient = pass.inputGradients[0] else { return }
    reduction(to: gradient.shape).run(
      .sum, from: pass.outputGradient.pointer, to: gradient.pointer, scratch: pass.scratch,
      workers: pass.workers)
  }
}

extension Tensor {
  /// This tensor repeated along axes of size 1 and along new outer axes (NumPy's rule).
  public func broadcast(to shape: Shape) -> Tensor {
    shape == self.shape ? self : Tensor.apply(Broadcast(shape: shape), [self])
  }
}
