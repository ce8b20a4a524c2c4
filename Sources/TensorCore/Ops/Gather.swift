/// Takes entries along one axis by index; an index may occur any number of times.
struct Gather: Operation {
  let indices: [Int]
  let axis: Int

  var kind: OperationKind { .gather }
  var backwardReads: BackwardReads { .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let size = inputs[0][axis]
    precondition(
      indices.allSatisfy { (0..<size).contains($0) },
      "gather: an index is outside axis \(axis) of \(inputs[0])")
    return inputs[0].replacing(axis: axis, with: indices.count)
  }

  func forward(_ pass: ForwardPass) {
    IndexedCopy(indices, axis, indexed: pass.inputs[0].shape).gather(
      from: pass.inputs[0].pointer, into: pass.output.pointer, workers: pass.workers)
  }

  func backward(_ pass: BackwardPass) {
    guard let gradient = pass.inputGradients[0] else { return }
    IndexedCopy(indices, axis, indexed: gradient.shape).scatterAdd(
      pass.outputGradient.pointer, into: gradient.pointer, workers: pass.workers)
  }
}

/// Adds entries along one axis into zeros at given indices: the transpose of a gather.
struct ScatterAdd: Operation {
  let indices: [Int]
  let axis: Int
  let size: Int

  var kind: OperationKind { .scatterAdd }
  var backwardReads: BackwardReads { .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape {
    precondition(
      indices.count == inputs[0][axis] && indices.allSatisfy { (0..<size).contains($0) },
      "scatterAdd: \(indices.count) indices below \(size) do not fit axis \(axis) of \(inputs[0])")
    return inputs[0].replacing(axis: axis, with: size)
  }

  func forward(_ pass: ForwardPass) {
    IndexedCopy(indices, axis, indexed: pass.output.shape).scatterAdd(
      pass.inputs[0].pointer, into: pass.output.pointer, workers: pass.workers)
  }

  func backward(_ pass: BackwardPass) {
    guard let gradient = pass.inputGradients[0] else { return }
    IndexedCopy(indices, axis, indexed: pass.outputGradient.shape).gather(
      from: pass.outputGradient.pointer, into: gradient.pointer, workers: pass.workers)
  }
}

/// Entries of `run` contiguous elements, by index within each of `outer` groups of `size` entries.
private struct IndexedCopy {
  let indices: [Int]
  let outer: Int
  let size: Int
  let run: Int

  init(_ indices: [Int], _ axis: Int, indexed shape: Shape) {
    self.indices = indices
    outer = shape.dimensions[..<axis].reduce(1, *)
    size = shape.dimensions[axis]
    run = shape.dimensions[(axis + 1)...].reduce(1, *)
  }

  func gather(
    from source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>,
    workers: WorkerPool
  ) {
    let grain = max(1, (1 << 15) / max(1, run))
    workers.run(count: outer * indices.count, grain: grain) { entries in
      for entry in entries {
        let (group, position) = entry.quotientAndRemainder(dividingBy: indices.count)
        (target + entry * run).update(
          from: source + (group * size + indices[position]) * run, count: run)
      }
    }
  }

  /// Groups are independent, and within a group so are ranges of a run: entries are added in order,
  /// whatever the number of threads.
  func scatterAdd(
    _ source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, workers: WorkerPool
  ) {
    let width = min(max(1, run), 256)
    let parts = (run + width - 1) / width
    workers.run(chunks: outer * parts) { chunk in
      let (group, part) = chunk.quotientAndRemainder(dividingBy: parts)
      let columns = part * width..<min(run, (part + 1) * width)
      let to = target + group * size * run
      for entry in 0..<size {
        (to + entry * run + columns.lowerBound).update(repeating: 0, count: columns.count)
      }
      for (position, index) in indices.enumerated() {
        let from = source + (group * indices.count + position) * run
        for column in columns { to[index * run + column] += from[column] }
      }
    }
  }
}

extension Tensor {
  /// The entries with the given indices along one axis, in their order; indices may repeat.
  public func gathered(_ indices: [Int], axis: Int) -> Tensor {
    Tensor.apply(Gather(indices: indices, axis: shape.normalized(axis: axis)), [self])
  }

  /// A tensor of zeros with `count` entries along one axis, to which entry `i` of this tensor is added
  /// at index `indices[i]`.
  public func scatterAdded(_ indices: [Int], axis: Int, count: Int) -> Tensor {
    Tensor.apply(
      ScatterAdd(indices: indices, axis: shape.normalized(axis: axis), size: count), [self])
  }
}
