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

  /// One parameter's share of a step; all four tensors have one shape.
  public struct Group: Sendable {
    /// The weights, changed in place.
    public var weights: Tensor
    /// The mean of past gradients, changed in place.
    public var first: Tensor
    /// The mean of their squares, changed in place.
    public var second: Tensor
    /// Of the loss with respect to the weights.
    public var gradient: Tensor

    /// A parameter's weights, moments and gradient.
    public init(weights: Tensor, first: Tensor, second: Tensor, gradient: Tensor) {
      precondition(
        [first, second, gradient].allSatisfy { $0.shape == weights.shape },
        "adam: weights \(weights.shape), moments \(first.shape), \(second.shape), "
          + "gradient \(gradient.shape)")
      (self.weights, self.first, self.second, self.gradient) = (weights, first, second, gradient)
    }
  }

  /// Changes weights and both moments of many parameters in place, in one loop over all of them.
  public func apply(to groups: [Group]) {
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
    Engine.shared.perform {
      let pieces = Pieces(groups.map(\.weights.count))
      withUnsafePointer(to: step) { step in
        Engine.shared.workers.run(chunks: pieces.count) { piece in
          pieces.forEach(in: piece) { index, range in
            let (group, offset) = (groups[index], range.lowerBound)
            k_adam_step(
              group.weights.storage.pointer + offset, group.first.storage.pointer + offset,
              group.second.storage.pointer + offset, group.gradient.storage.pointer + offset,
              step, range.count)
          }
        }
      }
      for group in groups {
        for tensor in [group.weights, group.first, group.second] { tensor.storage.markChanged() }
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

/// Many arrays as one, cut into pieces of one size: small arrays share a piece, large ones have several.
struct Pieces {
  /// Where each array begins, and where the last one ends.
  private let starts: [Int]

  init(_ counts: [Int]) {
    starts = counts.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1) }
  }

  var count: Int { ((starts.last ?? 0) + ElementChunks.elements - 1) / ElementChunks.elements }

  /// Calls `body` with each array that reaches into a piece, and with which of its elements.
  func forEach(in piece: Int, _ body: (_ array: Int, _ range: Range<Int>) -> Void) {
    let begin = piece * ElementChunks.elements
    let end = min(begin + ElementChunks.elements, starts.last ?? 0)
    // The last array that begins at or before the piece.
    var (low, high) = (0, starts.count - 1)
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= begin { low = middle } else { high = middle }
    }
    var array = low
    while array < starts.count - 1, starts[array] < end {
      let range = max(begin, starts[array])..<min(end, starts[array + 1])
      if !range.isEmpty {
        body(array, range.lowerBound - starts[array]..<range.upperBound - starts[array])
      }
      array += 1
    }
  }
}

extension Tensor {
  /// Σ x², summed in double precision; not tracked.
  public var sumOfSquares: Double { Tensor.sumOfSquares(of: [self]) }

  /// Σ x² over all elements of some tensors, summed in double precision; not tracked.
  public static func sumOfSquares(of tensors: [Tensor]) -> Double {
    Engine.shared.perform {
      let pieces = Pieces(tensors.map(\.count))
      var sums = [Double](repeating: 0, count: pieces.count)
      sums.withUnsafeMutableBufferPointer { sums in
        // Each piece is written by one thread only.
        nonisolated(unsafe) let sums = sums
        Engine.shared.workers.run(chunks: pieces.count) { piece in
          pieces.forEach(in: piece) { index, range in
            sums[piece] += k_sum_of_squares(
              tensors[index].storage.pointer + range.lowerBound, range.count)
          }
        }
      }
      return sums.reduce(0, +)
    }
  }

  /// Whether no element is infinite or NaN.
  public var isFinite: Bool { k_all_finite(storage.pointer, count) }
}
