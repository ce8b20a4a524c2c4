/// Folds a factor or a summand for each channel into the weights before it.
///
/// That is what a batch norm is at inference: `(conv(x, W) + b)·s + t = conv(x, s·W) + (s·b + t)`.
struct FoldChannelAffine: PlanRewrite {
  func apply(to graph: inout PlanGraph) {
    while foldOne(in: &graph) {}
  }

  private func foldOne(in graph: inout PlanGraph) -> Bool {
    let uses = graph.useCounts()
    for index in graph.steps.indices {
      let step = graph.steps[index]
      if let affine = step.operation as? Affine, let source = value(step, 0), uses[source] == 1,
        let at = graph.producer(of: source), graph.shapes[source].rank > 1,
        let folded = Self.scaledAndShifted(
          graph.steps[at], affine, channels: graph.shapes[source].channels)
      {
        graph.steps[at] = folded
        graph.replace(step.output, with: source)
        graph.steps.remove(at: index)
        return true
      }
      if step.operation is ChannelAffine, let source = value(step, 0), uses[source] == 1,
        case .constant(let scale) = step.operands[1],
        case .constant(let shift) = step.operands[2], let at = graph.producer(of: source),
        let scaled = Self.scaled(graph.steps[at], by: scale),
        let folded = Self.shifted(scaled, by: shift)
      {
        graph.steps[at] = folded
        graph.replace(step.output, with: source)
        graph.steps.remove(at: index)
        return true
      }
      guard let binary = step.operation as? Binary,
        binary.function == .multiply || binary.function == .add
          || binary.function == .subtract
      else { continue }
      // The constant may stand on either side, but x is not subtracted from it.
      let places = binary.function == .subtract ? [(0, 1)] : [(0, 1), (1, 0)]
      for (variable, constant) in places {
        guard let source = value(step, variable), uses[source] == 1,
          case .constant(let tensor) = step.operands[constant],
          let at = graph.producer(of: source), graph.shapes[source].rank > 1,
          graph.shapes[source] == graph.shapes[step.output]
        else { continue }
        let channels = graph.shapes[source].channels
        guard tensor.count == channels && tensor.shape.channels == channels || tensor.count == 1
        else { continue }
        let vector =
          tensor.count == 1
          ? tensor.reshaped(to: [1]).broadcast(to: [channels]) : tensor.reshaped(to: [channels])
        let folded =
          switch binary.function {
          case .multiply: Self.scaled(graph.steps[at], by: vector)
          case .subtract: Self.shifted(graph.steps[at], by: -vector)
          default: Self.shifted(graph.steps[at], by: vector)
          }
        guard let folded else { continue }
        graph.steps[at] = folded
        graph.replace(step.output, with: source)
        graph.steps.remove(at: index)
        return true
      }
    }
    return false
  }

  /// The step with one factor and one summand applied to all of its output.
  private static func scaledAndShifted(
    _ step: Trace.Step, _ affine: Affine, channels: Int
  ) -> Trace.Step? {
    var step = step
    if affine.scale != 1 {
      guard let scaled = scaled(step, by: Tensor([channels], repeating: affine.scale)) else {
        return nil
      }
      step = scaled
    }
    if affine.offset == 0 { return step }
    return shifted(step, by: Tensor([channels], repeating: affine.offset))
  }

  /// The step with its output multiplied by a factor for each channel.
  private static func scaled(_ step: Trace.Step, by factors: Tensor) -> Trace.Step? {
    var step = step
    guard step.operands.count > 1, case .constant(let weight) = step.operands[1] else {
      return nil
    }
    let axis: Int
    switch step.operation {
    case let linear as Linear where linear.activation == .none: axis = 0
    case is Convolution, is DepthwiseConvolution: axis = 0
    case let transposed as TransposedConvolution where transposed.geometry.groups == 1: axis = 1
    default: return nil
    }
    var sizes = [Int](repeating: 1, count: weight.shape.rank)
    sizes[axis] = factors.count
    step.operands[1] = .constant(weight * factors.reshaped(to: Shape(sizes)))
    if step.operands.count > 2 {
      guard case .constant(let bias) = step.operands[2] else { return nil }
      step.operands[2] = .constant(bias * factors.reshaped(to: bias.shape))
    }
    return step
  }

  /// The step with a summand for each channel added to its output.
  private static func shifted(_ step: Trace.Step, by summands: Tensor) -> Trace.Step? {
    var step = step
    switch step.operation {
    case let linear as Linear where linear.activation == .none:
      step.operation = Linear(activation: .none, hasBias: true)
    case let convolution as Convolution:
      step.operation = Convolution(geometry: convolution.geometry, hasBias: true)
    case let transposed as TransposedConvolution:
      step.operation = TransposedConvolution(
        geometry: transposed.geometry, outputPadding: transposed.outputPadding, hasBias: true)
    default: return nil
    }
    guard step.operands.count > 2 else {
      step.operands.append(.constant(summands))
      return step
    }
    guard case .constant(let bias) = step.operands[2] else { return nil }
    step.operands[2] = .constant(bias + summands.reshaped(to: bias.shape))
    return step
  }
}
