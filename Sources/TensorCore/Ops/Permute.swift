/// Reorders the axes: axis `i` of the output is axis `axes[i]` of the input.
struct Permute: Operation {
  let axes: [Int]

  var kind: OperationKind { .permute }
  var backwardReads: BackwardReads { .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let shape = inputs[0]
    precondition(
      axes.sorted() == Array(0..<shape.rank), "permute: axes \(axes) do not reorder \(shape)")
    return Shape(axes.map { shape.dimensions[$0] })
  }

  func forward(_ pass: ForwardPass) {
    let strides = pass.inputs[0].shape.strides
    StridedCopy(
      sizes: pass.output.shape.dimensions, source: axes.map { strides[$0] },
      target: pass.output.shape.strides
    ).run(from: pass.inputs[0].pointer, to: pass.output.pointer, workers: pass.workers)
  }

  func backward(_ pass: BackwardPass) {
    guard let gradient = pass.inputGradients[0] else { return }
    let strides = pass.outputGradient.shape.strides
    var sourceStrides = strides
    for (index, axis) in axes.enumerated() { sourceStrides[axis] = strides[index] }
    StridedCopy(
      sizes: gradient.shape.dimensions, source: sourceStrides, target: gradient.shape.strides
    ).run(from: pass.outputGradient.pointer, to: gradient.pointer, workers: pass.workers)
  }
}

extension Tensor {
  /// The axes in another order: axis `i` of the result is axis `axes[i]` of this tensor.
  ///
  /// Each axis occurs once; negative axes count from the innermost, −1.
  public func permuted(_ axes: [Int]) -> Tensor {
    let axes = axes.map { shape.normalized(axis: $0) }
    if axes == Array(0..<shape.rank) { return self }
    // Where only axes of size 1 move, the order of the elements stays.
    let moving = axes.filter { shape.dimensions[$0] != 1 }
    if moving == moving.sorted(), axes.count == shape.rank, Set(axes).count == shape.rank {
      return reshaped(to: Shape(axes.map { shape.dimensions[$0] }))
    }
    return Tensor.apply(Permute(axes: axes), [self])
  }

  /// The two innermost axes swapped: `[..., M, N]` becomes `[..., N, M]`.
  public func transposed() -> Tensor {
    precondition(shape.rank >= 2, "transposed: shape \(shape) has fewer than two axes")
    return permuted(Array(0..<shape.rank - 2) + [shape.rank - 1, shape.rank - 2])
  }
}
