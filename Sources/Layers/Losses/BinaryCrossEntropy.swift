public import TensorCore

extension Tensor {
  /// Mean binary cross-entropy of logits against truth values or probabilities in 0...1.
  ///
  /// Computed as `softplus(x) − x · t`, which neither overflows nor loses what a sigmoid near 0 or 1
  /// would.
  ///
  /// - Parameter target: The shape of the logits; independent classes along any axis.
  /// - Returns: A scalar.
  public func binaryCrossEntropy(target: Tensor) -> Tensor {
    precondition(
      shape == target.shape, "binary cross-entropy: logits \(shape), target \(target.shape)")
    return (softplus() - self * target).mean()
  }
}
