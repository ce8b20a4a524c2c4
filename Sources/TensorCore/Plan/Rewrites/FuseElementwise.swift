/// Joins elementwise operations of which each is the only reader of the one before it.
struct FuseElementwise: PlanRewrite {
  func apply(to graph: inout PlanGraph) {
    let uses = graph.useCounts()
    var producers = graph.producers()
    var isMerged = [Bool](repeating: false, count: graph.steps.count)
    for index in graph.steps.indices {
      let step = graph.steps[index]
      for running in step.operands.indices {
        guard let link = Self.link(of: step, running: running, graph),
          case .value(let source) = step.operands[running], uses[source] == 1,
          producers[source] >= 0,
          let (links, operands, kind) = Self.chain(graph.steps[producers[source]], graph)
        else { continue }
        isMerged[producers[source]] = true
        var joined = operands
        if let input = link.input { joined.append(step.operands[input]) }
        graph.steps[index].operation = ElementwiseChain(
          links: links + [link.input == nil ? link : link.reading(joined.count - 1)], kind: kind)
        graph.steps[index].operands = joined
        producers[step.output] = index
        break
      }
    }
    graph.steps = zip(graph.steps, isMerged).filter { !$1 }.map(\.0)
  }

  /// A step as the beginning of a chain.
  private static func chain(
    _ step: Trace.Step, _ graph: PlanGraph
  ) -> (links: [ElementwiseChain.Link], operands: [Trace.Operand], kind: OperationKind)? {
    if let chain = step.operation as? ElementwiseChain {
      return (chain.links, step.operands, chain.kind)
    }
    for running in step.operands.indices {
      guard let link = link(of: step, running: running, graph) else { continue }
      guard let input = link.input else {
        return ([link], [step.operands[running]], step.operation.kind)
      }
      return (
        [link.reading(1)], [step.operands[running], step.operands[input]], step.operation.kind
      )
    }
    return nil
  }

  /// A step as a link behind the tensor that it reads at a place; nil if it is none.
  private static func link(
    of step: Trace.Step, running: Int, _ graph: PlanGraph
  ) -> ElementwiseChain.Link? {
    let shapes = graph.shapes(of: step)
    let shape = graph.shapes[step.output]
    guard case .value = step.operands[running], shapes[running] == shape else { return nil }
    switch step.operation {
    case let unary as Unary: return .unary(unary.code, parameter: unary.parameter)
    case let affine as Affine: return .affine(scale: affine.scale, offset: affine.offset)
    case let binary as Binary:
      let other = 1 - running
      if shapes[other] == shape {
        return .binary(binary.code, input: other, isLeft: other == 0)
      }
      if shapes[other].count == 1 {
        return .number(binary.code, input: other, isLeft: other == 0)
      }
      let isVector =
        shapes[other].count == shape.channels && shapes[other].channels == shape.channels
      guard isVector, other == 1 || binary.function == .add || binary.function == .multiply else {
        return nil
      }
      return .columns(binary.code, input: other)
    default: return nil
    }
  }
}
