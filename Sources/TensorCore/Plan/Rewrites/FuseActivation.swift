/// Applies an activation in the matrix product, convolution or pooling before it, while the result is in
/// registers or in the cache.
struct FuseActivation: PlanRewrite {
  func apply(to graph: inout PlanGraph) {
    var index = 0
    var uses = graph.useCounts()
    while index < graph.steps.count {
      let step = graph.steps[index]
      index += 1
      guard let unary = step.operation as? Unary, let source = value(step, 0), uses[source] == 1,
        let at = graph.producer(of: source),
        let fused = Self.fused(graph.steps[at].operation, unary)
      else { continue }
      graph.steps[at].operation = fused
      graph.replace(step.output, with: source)
      index -= 1
      graph.steps.remove(at: index)
      uses = graph.useCounts()
    }
  }

  private static func fused(_ operation: any Operation, _ unary: Unary) -> (any Operation)? {
    switch operation {
    case let linear as Linear where linear.activation == .none:
      activations[unary.function].map { Linear(activation: $0, hasBias: linear.hasBias) }
    case let convolution as Convolution where unary.function == .relu:
      InferenceConvolution(convolution: convolution, reluSlope: leastSlope)
    case let convolution as Convolution where unary.function == .leakyReLU:
      InferenceConvolution(convolution: convolution, reluSlope: unary.parameter)
    case var pool as AveragePool where unary.function == .relu && !pool.isRectified:
      {
        pool.isRectified = true
        return pool
      }()
    default: nil
    }
  }

  /// In place of 0, with which oneDNN takes a maximum that drops NaN: a NaN must stay visible.
  private static let leastSlope: Float = 1e-30

  private static let activations: [UnaryFunction: Activation] = [
    .relu: .relu, .reluSquared: .reluSquared, .sigmoid: .sigmoid,
  ]
}
