public import TensorCore

/// A measure of how far a prediction is from its target, averaged over all elements.
public enum RestorationLoss: Sendable, Equatable {
  /// Mean of |x − t|.
  case l1
  /// Mean of √((x − t)² + ε²).
  case charbonnier(epsilon: Float)

  /// The loss that a configuration names.
  public init(_ section: TrainingConfiguration.LossSection) {
    self = section.name == "l1" ? .l1 : .charbonnier(epsilon: Float(section.epsilon))
  }

  /// The loss, a scalar.
  ///
  /// - Parameters:
  ///   - prediction: Any shape.
  ///   - target: The same shape.
  /// - Returns: A tracked scalar if the prediction is tracked.
  public func callAsFunction(_ prediction: Tensor, _ target: Tensor) -> Tensor {
    precondition(
      prediction.shape == target.shape, "loss: \(prediction.shape), target \(target.shape) differ")
    let difference = prediction - target
    switch self {
    case .l1: return difference.absolute().mean()
    case .charbonnier(let epsilon):
      return difference.squared().scaled(by: 1, adding: epsilon * epsilon).squareRoot().mean()
    }
  }
}
