/// Why a computation cannot be planned.
public enum PlanError: Error, Equatable, Sendable {
  /// The computation looks at values of tensors that depend on its input, so another input could take
  /// another way; `after` is the operation that it applied last.
  case readsValues(after: OperationKind?)
  /// The computation returned something that does not depend on its inputs.
  case constantOutput
}

extension PlanError: CustomStringConvertible {
  /// What is wrong, in a sentence.
  public var description: String {
    switch self {
    case .readsValues(let kind):
      "the computation reads values of tensors that depend on its input"
        + (kind.map { " (after \($0))" } ?? "") + "; it runs without a plan only"
    case .constantOutput: "the computation's output does not depend on its input"
    }
  }
}
