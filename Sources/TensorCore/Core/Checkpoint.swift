/// What is known of a checkpointed part while it is computed for the first time.
struct CheckpointedPart {
  /// Whether it reads a tracked tensor besides its inputs, such as a parameter.
  var readsTracked = false
}

extension Engine {
  /// Whether an operation on tracked inputs is to be remembered for backward.
  ///
  /// Not inside a checkpointed part: it will be computed again then.
  func remembers(_ inputs: [Tensor]) -> Bool {
    guard checkpointedPart != nil else { return true }
    for input in inputs {
      guard let node = input.node else { continue }
      precondition(
        node.isLeaf,
        "checkpoint: the part reads a tracked tensor \(input.shape) that is not among its inputs")
      checkpointedPart?.readsTracked = true
    }
    return false
  }
}

extension Tensor {
  /// Computes a part of a network without remembering its intermediate results.
  ///
  /// Backward computes the part again from its inputs, so that of all its tensors only the inputs take
  /// memory in between. Values and gradients are those of `body(inputs)`, to the bit.
  ///
  /// - Parameters:
  ///   - inputs: Everything tracked that the part reads, parameters aside.
  ///   - body: Computes the part. Runs a second time during backward, and must do the same then: it
  ///     may read parameters, but must not draw random numbers or change anything.
  /// - Returns: The result of `body`.
  ///
  /// Source: Chen et al., *Training Deep Nets with Sublinear Memory Cost*, arXiv 1604.06174.
  public static func checkpointed(
    _ inputs: [Tensor], _ body: @escaping ([Tensor]) -> Tensor
  ) -> Tensor {
    let engine = Engine.shared
    return engine.perform {
      let outer = engine.checkpointedPart
      engine.checkpointedPart = CheckpointedPart()
      let output = body(inputs.map { $0.detached() })
      let readsTracked = engine.checkpointedPart?.readsTracked ?? false
      engine.checkpointedPart = outer
      let isTracked = readsTracked || inputs.contains(where: \.isTracked)
      guard isTracked, engine.remembers(inputs) else {
        if readsTracked { engine.checkpointedPart?.readsTracked = true }
        return output
      }
      return Tensor(
        storage: output.storage, shape: output.shape,
        node: Node(recomputing: body, from: inputs))
    }
  }

  /// Like ``checkpointed(_:_:)``, for a part with one input; plainly `body(self)` if `isOn` is false.
  public func checkpointed(
    if isOn: Bool = true, _ body: @escaping (Tensor) -> Tensor
  ) -> Tensor {
    isOn ? .checkpointed([self]) { body($0[0]) } : body(self)
  }
}
