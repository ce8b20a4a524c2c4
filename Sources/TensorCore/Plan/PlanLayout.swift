/// Where everything that a plan's steps touch will be, before any memory is taken.
struct PlanLayout {
  /// A step that computes, with the places of all that it touches in the arena, in floats.
  struct Instruction {
    let operation: any Operation
    let operands: [Trace.Operand]
    let shapes: [Shape]
    let outputShape: Shape
    /// The place of each operand that is computed; constants have none.
    let inputs: [Place?]
    let output: Place
    let saved: Int
    let scratch: Int
    /// The re-laid-out form of each operand, where the operation asks for one.
    let forms: [Form?]
  }

  /// Where a tensor begins in the arena, and the distance of its rows, in floats.
  struct Place {
    let start: Int
    let rowStride: Int
  }

  /// A re-laid-out form of an operand.
  struct Form {
    let preparation: Preparation
    /// Where it is made anew in each replay; nil for a constant's, which is made once.
    let place: Int?
  }

  let instructions: [Instruction]
  /// The place and shape of each input of the plan.
  let inputs: [(place: Int, shape: Shape)]
  /// The place and shape of each result.
  let outputs: [(place: Int, shape: Shape)]
  /// Floats of the arena.
  let arenaCount: Int
  /// Bytes of everything that the plan holds once it has run, parameters of the model aside.
  let memoryBytes: Int

  /// Lays out a graph for the engine's present number of threads.
  init(_ graph: PlanGraph) {
    var blocks = PlanBlocks(graph)
    let running = graph.steps.indices.filter { !blocks.isDone(graph.steps[$0]) }
    let temporary = running.map { index -> (saved: Int, scratch: Int, forms: [Int?]) in
      let (step, shapes) = (graph.steps[index], graph.shapes(of: graph.steps[index]))
      let saved = blocks.add(step.operation.savedCount(shapes), during: index)
      let scratch = blocks.add(step.operation.scratchCount(shapes, .forward), during: index)
      let forms = step.operands.indices.map { place -> Int? in
        guard case .value = step.operands[place],
          let form = step.operation.preparation(ofInput: place, shapes, .forward)
        else { return nil }
        return blocks.add(form.count, during: index)
      }
      return (saved, scratch, forms)
    }
    let arena = ArenaLayout(blocks.list)
    func place(_ value: Int) -> Place {
      let (block, offset, rowStride) = blocks.place(of: value)
      return Place(start: arena.offsets[block] + offset, rowStride: rowStride)
    }
    instructions = zip(running, temporary).map { index, temporary in
      let (step, shapes) = (graph.steps[index], graph.shapes(of: graph.steps[index]))
      return Instruction(
        operation: step.operation, operands: step.operands, shapes: shapes,
        outputShape: graph.shapes[step.output],
        inputs: step.operands.map { operand in
          if case .value(let value) = operand { place(value) } else { nil }
        }, output: place(step.output), saved: arena.offsets[temporary.saved],
        scratch: arena.offsets[temporary.scratch],
        forms: step.operands.indices.map { operand in
          step.operation.preparation(ofInput: operand, shapes, .forward).map {
            Form(preparation: $0, place: temporary.forms[operand].map { arena.offsets[$0] })
          }
        })
    }
    inputs = graph.inputs.map { (place($0).start, graph.shapes[$0]) }
    outputs = graph.outputs.map { (place($0).start, graph.shapes[$0]) }
    arenaCount = max(1, arena.count)
    memoryBytes = Self.memoryBytes(arenaCount: arenaCount, instructions)
  }

  /// The arena, every form of a constant, and constants that are no parameters and are read plainly.
  private static func memoryBytes(arenaCount: Int, _ instructions: [Instruction]) -> Int {
    struct Key: Hashable {
      let storage: ObjectIdentifier
      let form: PreparationKey?
    }
    var counts: [Key: Int] = [:]
    for instruction in instructions {
      for (index, operand) in instruction.operands.enumerated() {
        guard case .constant(let tensor) = operand else { continue }
        let storage = ObjectIdentifier(tensor.storage)
        let form = instruction.forms[index]?.preparation
        if let form { counts[Key(storage: storage, form: form.key)] = form.count }
        if !(form?.replacesValues ?? false), !tensor.storage.keepsPreparations {
          counts[Key(storage: storage, form: nil)] = tensor.storage.count
        }
      }
    }
    return (counts.values + [arenaCount]).reduce(0) {
      $0 + BufferPool.capacity(forBytes: $1 * MemoryLayout<Float>.stride)
    }
  }
}
