/// Joins tensors one after another along one axis.
struct Concatenate: Operation {
  let axis: Int

  var kind: OperationKind { .concatenate }
  var backwardReads: BackwardReads { .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape {
    for shape in inputs {
      precondition(
        shape.rank == inputs[0].rank && axis < shape.rank
          && shape.replacing(axis: axis, with: 0) == inputs[0].replacing(axis: axis, with: 0),
        "concatenate: \(inputs[0]) and \(shape) differ beside axis \(axis)")
    }
    return inputs[0].replacing(axis: axis, with: inputs.reduce(0) { $0 + $1[axis] })
  }

  func forward(_ pass: ForwardPass) {
    let shapes = pass.inputs.map(\.shape)
    for (input, part) in zip(pass.inputs, parts(of: pass.output.shape, shapes)) {
      StridedCopy(
        sizes: [part.rows, part.run], source: [part.run, 1], target: [part.stride, 1]
      ).run(from: input.pointer, to: pass.output.pointer + part.offset, workers: pass.workers)
    }
  }

  func backward(_ pass: BackwardPass) {
    let whole = pass.outputGradient
    for (gradient, part) in zip(pass.inputGradients, parts(of: whole.shape, pass.shapes)) {
      guard let gradient else { continue }
      StridedCopy(
        sizes: [part.rows, part.run], source: [part.stride, 1], target: [part.run, 1]
      ).run(from: whole.pointer + part.offset, to: gradient.pointer, workers: pass.workers)
    }
  }

  /// Where each input lies in the output: `rows` runs of `run` elements, `stride` apart.
  private func parts(
    of output: Shape, _ inputs: [Shape]
  ) -> [(rows: Int, run: Int, stride: Int, offset: Int)] {
    let rows = output.dimensions[..<axis].reduce(1, *)
    let unit = output.dimensions[(axis + 1)...].reduce(1, *)
    var offset = 0
    return inputs.map { input in
      defer { offset += input[axis] * unit }
      return (rows, input[axis] * unit, output[axis] * unit, offset)
    }
  }
}

extension Tensor {
  /// The tensors one after another along an axis; all other axes have to agree.
  public static func concatenate(_ tensors: [Tensor], axis: Int) -> Tensor {
    precondition(!tensors.isEmpty, "concatenate: no tensors")
    if tensors.count == 1 { return tensors[0] }
    return apply(Concatenate(axis: tensors[0].shape.normalized(axis: axis)), tensors)
  }

  /// Tensors of one shape side by side along a new axis.
  ///
  /// `axis` is the new axis' position in the result; negative positions count from the innermost.
  public static func stack(_ tensors: [Tensor], axis: Int) -> Tensor {
    precondition(!tensors.isEmpty, "stack: no tensors")
    let shape = tensors[0].shape
    let axis = axis < 0 ? axis + shape.rank + 1 : axis
    precondition((0...shape.rank).contains(axis), "stack: axis \(axis) is outside \(shape)")
    let sizes = shape.dimensions[..<axis] + [1] + shape.dimensions[axis...]
    return concatenate(tensors.map { $0.reshaped(to: Shape(Array(sizes))) }, axis: axis)
  }
}
