/// Moves a convolution's result between channels and pixels before it is written.
struct FusePixelShuffle: PlanRewrite {
  func apply(to graph: inout PlanGraph) {
    let uses = graph.useCounts()
    for index in graph.steps.indices {
      let step = graph.steps[index]
      guard let move = Self.move(step.operation), let source = value(step, 0), uses[source] == 1,
        graph.shapes[source].rank == 4, let at = graph.producer(of: source),
        let convolution = graph.steps[at].operation as? Convolution,
        let fused = ShuffledConvolution(convolution, move)
      else { continue }
      graph.steps[index].operation = fused
      graph.steps[index].operands = graph.steps[at].operands
    }
  }

  private static func move(_ operation: any Operation) -> ShuffledConvolution.Move? {
    switch operation {
    case let shuffle as PixelShuffle: .toPixels(factor: shuffle.factor)
    case let unshuffle as PixelUnshuffle: .toChannels(factor: unshuffle.factor)
    default: nil
    }
  }
}
