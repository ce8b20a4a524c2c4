import Kernels

/// The numbers of one Adam or AdamW step.
///
/// Source: Kingma and Ba, ICLR 2015; Loshchilov and Hutter, ICLR 2019.
public struct AdamStep: Sendable {
  /// How far the weights move.
  public var learningRate: Double
  /// Decay of the first and second moments.
  public var betas: (Double, Double)
  /// Added to the root of the second moment.
  public var epsilon: Double
  /// Strength of the decay of weights.
  public var weightDecay: Double
  /// Whether the decay shrinks the weights (AdamW) instead of adding to the gradient.
  public var isDecoupled: Bool
  /// The number of this step, from 1.
  public var number: Int
  /// The gradient is multiplied by this first (clipping, averaging).
  public var gradientScale: Double

  /// A step with the given numbers.
  public init(
    learningRate: Double, betas: (Double, Double), epsilon: Double, weightDecay: Double,
    isDecoupled: Bool, number: Int, gradientScale: Double
  ) {
    self.learningRate = learningRate
    self.betas = betas
    self.epsilon = epsilon
    self.weightDecay = weightDecay
    self.isDecoupled = isDecoupled
    self.number = number
    self.gradientScale = gradientScale
  }

  /// Changes weights and both moments in place.
  ///
  /// - Parameters:
  ///   - weights: As many values as each of the other arguments.
  ///   - first: The mean of past gradients.
  ///   - second: The mean of their squares.
  ///   - gradient: Of the loss with respect to the weights.
  public func apply(
    to weights: UnsafeMutableBufferPointer<Float>, first: Tensor, second: Tensor, gradient: Tensor
  ) {
    precondition(
      weights.count == gradient.count && first.shape == gradient.shape
        && second.shape == gradient.shape,
      "adam: \(weights.count) weights, moments \(first.shape), \(second.shape), "
        + "gradient \(gradient.shape)")
    var step = k_adam()
    step.learning_rate = Float(learningRate)
    step.beta1 = Float(betas.0)
    step.beta2 = Float(betas.1)
    step.epsilon = Float(epsilon)
    step.weight_decay = Float(weightDecay)
    step.decoupled = isDecoupled
    step.bias_correction1 = Float(1 - power(betas.0))
    step.bias_correction2 = Float(1 - power(betas.1))
    step.gradient_scale = Float(gradientScale)
    guard let w = weights.baseAddress else { return }
    let (m, v, g) = (first.storage.pointer, second.storage.pointer, gradient.storage.pointer)
    Engine.shared.perform {
      withUnsafePointer(to: step) { step in
        Engine.shared.workers.run(count: weights.count, grain: ElementChunks.elements) { range in
          let offset = range.lowerBound
          k_adam_step(w + offset, m + offset, v + offset, g + offset, step, range.count)
        }
      }
    }
  }

  // By multiplication: the library's power may differ in the last bit from one system to another.
  private func power(_ beta: Double) -> Double {
    var (result, base, exponent) = (1.0, beta, number)
    while exponent > 0 {
      if exponent & 1 == 1 { result *= base }
      base *= base
      exponent >>= 1
    }
    return result
  }
}

extension Tensor {
  /// Σ x², summed in double precision; not tracked.
  public var sumOfSquares: Double { k_sum_of_squares(storage.pointer, count) }

  /// Whether no element is infinite or NaN.
  public var isFinite: Bool { k_all_finite(storage.pointer, count) }
}
