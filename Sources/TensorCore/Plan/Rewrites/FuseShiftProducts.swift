/// Multiplies rows of a shifted image as soon as they are shifted, so that the image is never written.
///
/// Where several products read one shift, their results stand behind each other in one tensor, of which
/// each is a part.
struct FuseShiftProducts: PlanRewrite {
  /// Smaller images stay in the cache anyway, and have few bands to share among threads.
  private static let leastElements = 1 << 19

  func apply(to graph: inout PlanGraph) {
    var index = 0
    while index < graph.steps.count {
      fuse(graph.steps[index], at: index, in: &graph)
      index += 1
    }
  }

  private func fuse(_ shift: Trace.Step, at index: Int, in graph: inout PlanGraph) {
    let norm = (shift.operation as? NormalizedShift)?.norm
    guard norm != nil || shift.operation is DepthwiseConvolution,
      value(shift, 0) != nil, graph.shapes[shift.output].count >= Self.leastElements,
      !graph.outputs.contains(shift.output)
    else { return }
    let users = graph.steps.indices.filter { reads(graph.steps[$0], shift.output) > 0 }
    let products = users.map { graph.steps[$0] }
    guard let first = products.first,
      products.allSatisfy({ isFusable($0, shift.output, before: index, in: graph) }),
      products.allSatisfy({ graph.shapes[$0.output] == graph.shapes[first.output] })
    else { return }
    let operations = products.compactMap { $0.operation as? any RowwiseOperation }
    var fused = Trace.Step(
      operation: ShiftedProducts(
        norm: norm, products: operations, inputCounts: products.map { $0.operands.count - 1 }),
      operands: shift.operands + products.flatMap { $0.operands.dropFirst() },
      output: first.output)
    guard products.count > 1 else {
      graph.steps[index] = fused
      graph.steps.remove(at: users[0])
      return
    }
    let shape = graph.shapes[first.output]
    fused.output = graph.newValue(Shape([products.count] + shape.dimensions))
    for (place, user) in users.enumerated().reversed() {
      let part = graph.newValue(Shape([1] + shape.dimensions))
      let ranges = [place..<place + 1] + shape.dimensions.map { 0..<$0 }
      graph.steps[user].operation = Reshape(shape: shape)
      graph.steps[user].operands = [.value(part)]
      graph.steps.insert(
        Trace.Step(
          operation: Slice(ranges: ranges), operands: [.value(fused.output)], output: part),
        at: user)
    }
    graph.steps[index] = fused
  }

  private func reads(_ step: Trace.Step, _ value: Int) -> Int {
    step.operands.count {
      if case .value(value) = $0 { true } else { false }
    }
  }

  /// Whether a step is a product of the shifted rows, and all else that it reads is there by then.
  private func isFusable(
    _ step: Trace.Step, _ shifted: Int, before index: Int, in graph: PlanGraph
  ) -> Bool {
    guard step.operation is any RowwiseOperation, value(step, 0) == shifted,
      reads(step, shifted) == 1
    else { return false }
    return step.operands.allSatisfy { operand in
      guard case .value(let value) = operand, value != shifted else { return true }
      return (graph.producer(of: value) ?? -1) < index
    }
  }
}
