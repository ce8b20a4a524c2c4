/// Multiplies tensors side by side without joining them first, where some of them are ReLUs that nobody
/// else reads: these need not be written then.
///
/// Without ReLUs the parts are computed at their places in the whole, and there is nothing to gain.
struct FuseJoinedReLU: PlanRewrite {
  func apply(to graph: inout PlanGraph) {
    let (uses, producers) = (graph.useCounts(), graph.producers())
    /// The step that computes what a step reads at a place, if nobody else reads it.
    func source(_ step: Trace.Step, _ place: Int) -> Trace.Step? {
      guard let value = value(step, place), uses[value] == 1, producers[value] >= 0 else {
        return nil
      }
      return graph.steps[producers[value]]
    }
    var fused: [(index: Int, step: Trace.Step)] = []
    for (index, step) in graph.steps.enumerated() {
      guard let linear = step.operation as? Linear, let join = source(step, 0),
        let concatenation = join.operation as? Concatenate,
        concatenation.axis == graph.shapes[join.output].rank - 1
      else { continue }
      let rectified = join.operands.indices.map { place -> Trace.Operand? in
        guard let part = source(join, place), let unary = part.operation as? Unary,
          unary.function == .relu
        else { return nil }
        return part.operands[0]
      }
      guard rectified.contains(where: { $0 != nil }) else { continue }
      let operation = JoinedLinear(linear: linear, isRectified: rectified.map { $0 != nil })
      let parts = zip(rectified, join.operands).map { $0 ?? $1 }
      fused.append(
        (
          index,
          Trace.Step(
            operation: operation, operands: parts + step.operands.dropFirst(), output: step.output)
        ))
    }
    for (index, step) in fused { graph.steps[index] = step }
    graph.removeUnused()
  }
}
