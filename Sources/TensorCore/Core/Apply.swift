extension Tensor {
  /// Runs an operation at once and, if an input is tracked, remembers it for backward.
  ///
  /// This is the one way by which tensors come from tensors.
  public static func apply(_ operation: some Operation, _ inputs: [Tensor]) -> Tensor {
    applyKeepingSaved(operation, inputs).output
  }

  /// Like ``apply(_:_:)``, and also returns what forward saved for backward (a norm's statistics).
  static func applyKeepingSaved(
    _ operation: some Operation, _ inputs: [Tensor]
  ) -> (output: Tensor, saved: Storage?) {
    Engine.shared.perform {
      if let trace = Engine.shared.trace {
        if inputs.contains(where: { $0.storage.traced != nil }) {
          // Statistics that are handed out are values of the input.
          let saved = operation.savedCount(inputs.map(\.shape))
          return (
            trace.record(operation, inputs), saved > 0 ? trace.statistics(count: saved) : nil
          )
        }
        trace.watch(inputs)
      }
      let shapes = inputs.map(\.shape)
      let shape = operation.outputShape(shapes)
      let isTracked =
        !(operation is any NonDifferentiableOperation) && inputs.contains(where: \.isTracked)
        && Engine.shared.remembers(inputs)
      if isTracked { Engine.shared.record(operation.kind) }
      if operation.aliasesInput {
        let node = isTracked ? Node(operation, inputs) : nil
        return (Tensor(storage: inputs[0].storage, shape: shape, node: node), nil)
      }
      let output = Storage(count: shape.count)
      let savedCount = operation.savedCount(shapes)
      let saved = savedCount > 0 ? Storage(count: savedCount) : nil
      let keptCount = isTracked ? operation.keptCount(shapes) : 0
      let kept = keptCount > 0 ? Storage(count: keptCount) : nil
      let scratch = Storage(count: operation.scratchCount(shapes, .forward))
      let prepared = inputs.indices.map { index in
        preparedForm(of: inputs[index], at: index, shapes, for: operation, .forward)
      }
      Engine.shared.timed(operation.kind, .forward, shapes) {
        operation.forward(
          ForwardPass(
            inputs: inputs.map { Buffer($0.storage.pointer, $0.shape) },
            output: Buffer(output.pointer, shape),
            saved: saved?.pointer ?? scratch.pointer, scratch: scratch.pointer,
            prepared: prepared.map { $0?.pointer }, workers: Engine.shared.workers,
            kept: kept?.pointer))
      }
      withExtendedLifetime((scratch, prepared)) {}
      let node =
        isTracked
        ? Node(
          operation, inputs, output: Tensor(storage: output, shape: shape, node: nil), saved: saved,
          kept: kept)
        : nil
      return (Tensor(storage: output, shape: shape, node: node), saved)
    }
  }

  static func preparedForm(
    of input: Tensor, at index: Int, _ shapes: [Shape], for operation: some Operation, _ pass: Pass
  ) -> Storage? {
    guard let preparation = operation.preparation(ofInput: index, shapes, pass) else { return nil }
    if let kept = input.storage.prepared[preparation.key] { return kept }
    let form = Storage(count: preparation.count)
    Engine.shared.timed(operation.kind, .preparing, shapes) {
      operation.prepare(
        preparation, ofInput: index, shapes, from: input.storage.pointer, into: form.pointer)
    }
    if input.storage.keepsPreparations { input.storage.keep(form, as: preparation.key) }
    return form
  }
}
