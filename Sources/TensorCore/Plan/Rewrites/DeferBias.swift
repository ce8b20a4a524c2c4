import OneDNNBridge

/// Leaves the bias of a convolution to those who read its result, where the convolution is faster without
/// and they add it at no cost: matrix products, and steps that go through its values for a ReLU anyway.
struct DeferBias: PlanRewrite {
  func apply(to graph: inout PlanGraph) {
    for index in graph.steps.indices {
      let step = graph.steps[index]
      guard let convolution = step.operation as? Convolution, convolution.hasBias,
        case .constant(let bias) = step.operands[2], !graph.outputs.contains(step.output),
        let readers = Self.readers(of: step.output, in: graph, bias),
        // Last, since it makes code for the shape.
        Self.isFasterBare(convolution, graph.shapes(of: step))
      else { continue }
      graph.steps[index].operation = Convolution(geometry: convolution.geometry, hasBias: false)
      graph.steps[index].operands.removeLast()
      for (index, reader) in readers { graph.steps[index] = reader }
    }
  }

  private static func isFasterBare(_ convolution: Convolution, _ shapes: [Shape]) -> Bool {
    let shape = convolution.shape(shapes)
    return Engine.shared.perform {
      ConvolutionPrimitives.shared[shape, ONEDNN_FORWARD].isFasterBare
    }
  }

  /// The steps that read a value, made to add a bias to it; nil if one of them cannot.
  private static func readers(
    of value: Int, in graph: PlanGraph, _ bias: Tensor
  ) -> [(index: Int, step: Trace.Step)]? {
    var readers: [(index: Int, step: Trace.Step)] = []
    for (index, step) in graph.steps.enumerated() {
      let places = step.operands.indices.filter { place in
        if case .value(value) = step.operands[place] { true } else { false }
      }
      guard let place = places.first else { continue }
      guard places.count == 1, let reader = Self.step(step, adding: bias, at: place) else {
        return nil
      }
      readers.append((index, reader))
    }
    return readers
  }

  /// A step that adds a bias to what it reads at a place.
  private static func step(_ step: Trace.Step, adding bias: Tensor, at place: Int) -> Trace.Step? {
    var step = step
    switch step.operation {
    case let linear as Linear:
      guard place == 0, case .constant(let weight) = step.operands[1] else { return nil }
      // W·(x + b) + c = W·x + (W·b + c).
      var product = bias.reshaped(to: [1, bias.count]).linear(weight)
        .reshaped(to: [weight.shape[0]])
      if linear.hasBias {
        guard case .constant(let own) = step.operands[2] else { return nil }
        product = product + own.reshaped(to: product.shape)
      }
      step.operation = Linear(activation: linear.activation, hasBias: true)
      step.operands = Array(step.operands.prefix(2)) + [.constant(product)]
    case var joined as JoinedLinear:
      guard joined.isRectified.indices.contains(place), joined.isRectified[place],
        !joined.hasShift[place]
      else { return nil }
      // Shifts stand in the order of their parts.
      let following = joined.hasShift[place...].count { $0 }
      step.operands.insert(.constant(bias), at: step.operands.count - following)
      joined.hasShift[place] = true
      step.operation = joined
    case var pool as AveragePool:
      // A mean over padding would not have the whole bias.
      guard place == 0, pool.isRectified, !pool.hasShift,
        pool.windows.padding.allSatisfy({ $0 == 0 })
      else { return nil }
      pool.hasShift = true
      step.operation = pool
      step.operands.append(.constant(bias))
    default: return nil
    }
    return step
  }
}
