/// Folds the weight of a layer norm into the depthwise kernel after it.
///
/// The bias stays in the norm, divided by the weight: beyond the image the kernel reads zeros, not the
/// bias. Where a weight is tiny beside the others, that quotient would be large, and nothing is folded.
struct FoldNormWeight: PlanRewrite {
  /// The smallest weight, relative to the largest one, by which a bias is divided.
  static let smallest: Float = 1e-2

  func apply(to graph: inout PlanGraph) {
    let uses = graph.useCounts()
    for index in graph.steps.indices {
      let step = graph.steps[index]
      guard step.operation is DepthwiseConvolution, let source = value(step, 0),
        uses[source] == 1, case .constant(let kernel) = step.operands[1],
        let at = graph.producer(of: source),
        let norm = graph.steps[at].operation as? LayerNorm, norm.parameters.hasWeight,
        case .constant(let weight) = graph.steps[at].operands[1]
      else { continue }
      let magnitudes = weight.absolute().values
      guard let largest = magnitudes.max(), let least = magnitudes.min(),
        least > Self.smallest * largest
      else { continue }
      graph.steps[at].operation = LayerNorm(
        eps: norm.eps,
        parameters: NormParameters(hasWeight: false, hasBias: norm.parameters.hasBias))
      if norm.parameters.hasBias {
        guard case .constant(let bias) = graph.steps[at].operands[2] else { continue }
        graph.steps[at].operands[2] = .constant(bias / weight)
      }
      graph.steps[at].operands.remove(at: 1)
      graph.steps[index].operands[1] = .constant(
        kernel * weight.reshaped(to: [weight.count, 1, 1, 1]))
    }
  }
}
