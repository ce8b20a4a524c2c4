/// Adds to a transposed convolution's result, and applies a ReLU to the sum, while it is in the cache.
struct FuseEnlargedSum: PlanRewrite {
  func apply(to graph: inout PlanGraph) {
    let producers = graph.producers()
    for index in graph.steps.indices {
      let uses = graph.useCounts()
      let sum = graph.steps[index]
      guard let binary = sum.operation as? Binary, binary.function == .add else { continue }
      for place in sum.operands.indices {
        guard let source = value(sum, place), uses[source] == 1, producers[source] >= 0,
          let skip = value(sum, 1 - place),
          graph.shapes[source] == graph.shapes[sum.output],
          graph.shapes[skip] == graph.shapes[sum.output]
        else { continue }
        let step = graph.steps[producers[source]]
        guard let convolution = step.operation as? TransposedConvolution else { continue }
        let rectified = graph.steps.first {
          ($0.operation as? Unary)?.function == .relu && value($0, 0) == sum.output
        }
        let isRectified = rectified != nil && uses[sum.output] == 1
        guard
          let fused = EnlargedSum(
            convolution, weight: graph.shapes(of: step)[1], isRectified: isRectified)
        else { continue }
        graph.steps[index].operation = fused
        graph.steps[index].operands =
          Array(step.operands.prefix(2)) + [.value(skip)] + step.operands.dropFirst(2)
        if isRectified, let rectified { graph.replace(rectified.output, with: sum.output) }
        break
      }
    }
    graph.removeUnused()
  }
}
