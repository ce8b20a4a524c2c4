/// The same elements, in the same order, with other axis sizes; nothing is computed or copied.
struct Reshape: Operation {
  let shape: Shape

  var kind: OperationKind { .reshape }
  var aliasesInput: Bool { true }
  var backwardReads: BackwardReads { .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape {
    precondition(
      inputs[0].count == shape.count, "reshape: \(inputs[0]) to \(shape), element counts differ")
    return shape
  }

  func forward(_ pass: ForwardPass) {}
  func backward(_ pass: BackwardPass) {}
}

extension Tensor {
  /// The same elements with other axis sizes, sharing the memory.
  public func reshaped(to shape: Shape) -> Tensor {
    shape == self.shape ? self : Tensor.apply(Reshape(shape: shape), [self])
  }
}
