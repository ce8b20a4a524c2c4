/// Folds the scale of a fused block into the last of its weights.
struct FoldLayerScale: PlanRewrite {
  func apply(to graph: inout PlanGraph) {
    for index in graph.steps.indices {
      var step = graph.steps[index]
      let places: (weight: Int, scale: Int)
      switch step.operation {
      case let block as FeedForward:
        guard let scale = block.scaleIndex else { continue }
        places = (3, scale)
        step.operation = FeedForward(
          hasGateInput: block.hasGateInput, hasScale: false, hasResidual: block.hasResidual)
      case let block as GatedProjection:
        guard let scale = block.scaleIndex else { continue }
        places = (2, scale)
        step.operation = GatedProjection(hasScale: false, hasResidual: block.hasResidual)
      default: continue
      }
      let constants = constants(of: step)
      guard let weight = constants[places.weight], let scale = constants[places.scale] else {
        continue
      }
      step.operands[places.weight] = .constant(weight * scale.reshaped(to: [scale.count, 1]))
      step.operands.remove(at: places.scale)
      graph.steps[index] = step
    }
  }
}
