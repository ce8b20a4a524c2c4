/// Applies an activation in the matrix product before it, while the result is in registers.
struct FuseActivation: PlanRewrite {
  func apply(to graph: inout PlanGraph) {
    var index = 0
    var uses = graph.useCounts()
    while index < graph.steps.count {
      let step = graph.steps[index]
      index += 1
      guard let unary = step.operation as? Unary,
        let activation = Self.activations[unary.function], let source = value(step, 0),
        uses[source] == 1, let at = graph.producer(of: source),
        let linear = graph.steps[at].operation as? Linear, linear.activation == .none
      else { continue }
      graph.steps[at].operation = Linear(activation: activation, hasBias: linear.hasBias)
      graph.replace(step.output, with: source)
      index -= 1
      graph.steps.remove(at: index)
      uses = graph.useCounts()
    }
  }

  private static let activations: [UnaryFunction: Activation] = [
    .relu: .relu, .reluSquared: .reluSquared, .sigmoid: .sigmoid,
  ]
}
