/// Normalises rows just before the depthwise kernel after the norm reads them.
struct FuseNormShift: PlanRewrite {
  func apply(to graph: inout PlanGraph) {
    let uses = graph.useCounts()
    for index in graph.steps.indices {
      let step = graph.steps[index]
      guard step.operation is DepthwiseConvolution, let source = value(step, 0),
        uses[source] == 1, let at = graph.producer(of: source),
        let norm = graph.steps[at].operation as? LayerNorm
      else { continue }
      graph.steps[index].operation = NormalizedShift(norm: norm)
      graph.steps[index].operands = graph.steps[at].operands + [step.operands[1]]
    }
  }
}
