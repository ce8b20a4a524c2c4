/// What a computation does to tensors of given shapes, found by running it without computing.
///
/// Inputs of a traced computation have shapes but no values. An operation on such a tensor is recorded
/// and gives another one; an operation on parameters and constants alone runs at once, so that whatever
/// follows from the weights is folded into a constant by the tracing itself. A computation that looks
/// at the values of a traced tensor cannot be replayed for others; the trace notes that.
final class Trace {
  /// An input of a recorded operation.
  enum Operand {
    /// The number of a traced tensor.
    case value(Int)
    /// A tensor with values.
    case constant(Tensor)
  }

  /// A recorded operation.
  struct Step {
    var operation: any Operation
    var operands: [Operand]
    var output: Int
  }

  private(set) var steps: [Step] = []
  /// The shape of each traced tensor.
  private(set) var shapes: [Shape] = []
  /// Whether values were read, or an operation's statistics; then why there can be no plan.
  private(set) var failure: PlanError?
  /// Parameters whose values the plan depends on, with their versions.
  private(set) var watched: [ObjectIdentifier: (storage: Storage, version: Int)] = [:]

  /// A traced tensor that nothing produces.
  func input(_ shape: Shape) -> Tensor { tensor(shape) }

  /// Records an operation with at least one traced input.
  func record(_ operation: some Operation, _ inputs: [Tensor]) -> Tensor {
    watch(inputs)
    let output = tensor(operation.outputShape(inputs.map(\.shape)))
    let operands = inputs.map { input -> Operand in
      guard let value = input.storage.traced?.value else { return .constant(input.detached()) }
      return .value(value)
    }
    steps.append(Step(operation: operation, operands: operands, output: shapes.count - 1))
    return output
  }

  /// To be called when somebody wants values that do not exist.
  func noteRead() {
    failure = failure ?? .readsValues(after: steps.last?.operation.kind)
  }

  /// Stands for what an operation saved, which a plan does not hand out.
  func statistics(count: Int) -> Storage { Storage(count: count, traced: self, value: -1) }

  /// Notes parameters whose values matter.
  func watch(_ tensors: [Tensor]) {
    for tensor in tensors where tensor.storage.keepsPreparations {
      let storage = tensor.storage
      watched[ObjectIdentifier(storage)] = (storage, storage.version)
    }
  }

  private func tensor(_ shape: Shape) -> Tensor {
    shapes.append(shape)
    return Tensor(
      storage: Storage(count: shape.count, traced: self, value: shapes.count - 1), shape: shape,
      node: nil)
  }
}
