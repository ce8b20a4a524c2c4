/// The steps of a plan with every address fixed, and the memory behind the addresses.
///
/// Used on the engine thread alone.
final class PlanProgram {
  private let arena: Storage
  private let calls: [Call]
  private let inputs: [UnsafeMutablePointer<Float>]
  private let outputs: [UnsafeMutablePointer<Float>]
  /// What the addresses outside the arena belong to.
  private let held: [Storage]

  /// A step with its addresses.
  private struct Call {
    let operation: any Operation
    let pass: ForwardPass
    /// Forms of computed inputs, to be made before the step.
    let computed: [(preparation: Preparation, input: Int)]
    let shapes: [Shape]

    func prepare() {
      for form in computed {
        guard let target = pass.prepared[form.input] else { continue }
        operation.prepare(
          form.preparation, ofInput: form.input, shapes,
          from: pass.inputs[form.input].pointer, into: target)
      }
    }
  }

  /// Takes the memory of a layout and lays out the weights.
  ///
  /// Constants that are read in a laid-out form alone are not held: if nobody else holds them either,
  /// their memory is free as soon as `layout` is.
  init(_ layout: PlanLayout, _ workers: WorkerPool) {
    let arena = Storage(count: layout.arenaCount)
    let base = arena.pointer
    var held: [ObjectIdentifier: Storage] = [:]
    func hold(_ storage: Storage) -> UnsafeMutablePointer<Float> {
      held[ObjectIdentifier(storage)] = storage
      return storage.pointer
    }
    calls = layout.instructions.map { instruction in
      var prepared: [UnsafeMutablePointer<Float>?] = []
      var computed: [(preparation: Preparation, input: Int)] = []
      let buffers = instruction.operands.indices.map { index -> Buffer in
        let (form, shape) = (instruction.forms[index], instruction.shapes[index])
        guard case .constant(let tensor) = instruction.operands[index] else {
          guard let place = instruction.inputs[index] else {
            preconditionFailure("\(instruction.operation.kind): input \(index) has no place")
          }
          prepared.append(form?.place.map { base + $0 })
          if let form { computed.append((form.preparation, index)) }
          return Buffer(base + place.start, shape, rowStride: place.rowStride)
        }
        let storage = Tensor.preparedForm(
          of: tensor, at: index, instruction.shapes, for: instruction.operation, .forward)
        prepared.append(storage.map(hold))
        // Whoever reads the form alone gets the form's address for the values too: a valid one.
        guard form?.preparation.replacesValues ?? false, let storage else {
          return Buffer(hold(tensor.storage), shape)
        }
        return Buffer(storage.pointer, shape)
      }
      return Call(
        operation: instruction.operation,
        pass: ForwardPass(
          inputs: buffers,
          output: Buffer(
            base + instruction.output.start, instruction.outputShape,
            rowStride: instruction.output.rowStride),
          saved: base + instruction.saved, scratch: base + instruction.scratch,
          prepared: prepared, workers: workers), computed: computed, shapes: instruction.shapes)
    }
    inputs = layout.inputs.map { base + $0.place }
    outputs = layout.outputs.map { base + $0.place }
    self.arena = arena
    self.held = Array(held.values)
  }

  /// Runs all steps.
  func run(
    _ sources: [UnsafeBufferPointer<Float>], into results: [UnsafeMutableBufferPointer<Float>]
  ) {
    for index in inputs.indices {
      guard let source = sources[index].baseAddress else { continue }
      inputs[index].update(from: source, count: sources[index].count)
    }
    for call in calls {
      if !call.computed.isEmpty {
        Engine.shared.timed(call.operation.kind, .preparing, call.shapes) { call.prepare() }
      }
      Engine.shared.timed(call.operation.kind, .forward, call.shapes) {
        call.operation.forward(call.pass)
      }
    }
    for index in outputs.indices {
      results[index].baseAddress?.update(from: outputs[index], count: results[index].count)
    }
  }
}
