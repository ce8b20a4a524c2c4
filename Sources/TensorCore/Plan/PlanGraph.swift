/// The operations of a plan and how tensors flow between them.
///
/// Tensors are numbered; number `n` has shape `shapes[n]`. Steps stand in the order in which they run.
struct PlanGraph {
  var steps: [Trace.Step]
  var shapes: [Shape]
  let inputs: [Int]
  var outputs: [Int]

  /// A graph of what a trace recorded between its inputs and outputs.
  init(_ trace: Trace, inputs: [Int], outputs: [Int]) {
    steps = trace.steps
    shapes = trace.shapes
    self.inputs = inputs
    self.outputs = outputs
    removeUnused()
  }

  /// A further tensor, which no step computes yet.
  mutating func newValue(_ shape: Shape) -> Int {
    shapes.append(shape)
    return shapes.count - 1
  }

  /// The step that computes a tensor; nil for inputs.
  func producer(of value: Int) -> Int? { steps.firstIndex { $0.output == value } }

  /// How often a tensor is read, results of the plan included.
  func useCounts() -> [Int] {
    var counts = [Int](repeating: 0, count: shapes.count)
    for step in steps {
      for case .value(let value) in step.operands { counts[value] += 1 }
    }
    for output in outputs { counts[output] += 1 }
    return counts
  }

  /// The shapes of a step's inputs.
  func shapes(of step: Trace.Step) -> [Shape] {
    step.operands.map { operand in
      switch operand {
      case .value(let value): shapes[value]
      case .constant(let tensor): tensor.shape
      }
    }
  }

  /// Removes steps whose results nobody reads.
  mutating func removeUnused() {
    var isNeeded = [Bool](repeating: false, count: shapes.count)
    for output in outputs { isNeeded[output] = true }
    var kept: [Trace.Step] = []
    for step in steps.reversed() where isNeeded[step.output] {
      kept.append(step)
      for case .value(let value) in step.operands { isNeeded[value] = true }
    }
    steps = kept.reversed()
  }

  /// The step that computes each tensor; −1 for inputs and removed tensors.
  func producers() -> [Int] {
    var producers = [Int](repeating: -1, count: shapes.count)
    for (index, step) in steps.enumerated() { producers[step.output] = index }
    return producers
  }

  /// Lets everybody who reads one tensor read another one instead.
  mutating func replace(_ value: Int, with other: Int) {
    for step in steps.indices {
      for index in steps[step].operands.indices {
        if case .value(value) = steps[step].operands[index] {
          steps[step].operands[index] = .value(other)
        }
      }
    }
    for index in outputs.indices where outputs[index] == value { outputs[index] = other }
  }
}

/// A change of a graph that leaves its results as they are, up to rounding.
protocol PlanRewrite: Sendable {
  /// Changes the graph wherever the rule applies.
  func apply(to graph: inout PlanGraph)
}

extension PlanRewrite {
  /// The constant operands of a step; nil where an operand is computed.
  func constants(of step: Trace.Step) -> [Tensor?] {
    step.operands.map { operand in
      if case .constant(let tensor) = operand { tensor } else { nil }
    }
  }

  /// The number of the tensor that a step reads at a place; nil for a constant.
  func value(_ step: Trace.Step, _ place: Int) -> Int? {
    guard place < step.operands.count, case .value(let value) = step.operands[place] else {
      return nil
    }
    return value
  }
}
