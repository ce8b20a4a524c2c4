import Randomness
public import TensorCore

/// Compares gradients with central differences along random directions.
///
/// The loss is the sum of the outputs times fixed random weights: a plain sum would be blind, for
/// example the sum of a softmax does not depend on its input. Each input is moved on its own, so an
/// error in a small gradient is not hidden by a large one.
public struct GradientCheck: Sendable {
  /// The number of random directions for each input.
  public var directions: Int
  /// The step of the central difference, relative to each input's scale (root mean square).
  public var step: Float
  /// The allowed error relative to the typical size of a directional derivative.
  public var tolerance: Double
  /// Determines directions and weights.
  public var seed: UInt64

  /// A check with the engine's usual step and tolerance for `Float`.
  public init(
    directions: Int = 3, step: Float = 1e-2, tolerance: Double = 2e-3, seed: UInt64 = 1
  ) {
    self.directions = directions
    self.step = step
    self.tolerance = tolerance
    self.seed = seed
  }

  /// A directional derivative that the gradient gets wrong.
  public struct Failure: Equatable, Sendable, CustomStringConvertible {
    /// The index of the input.
    public let input: Int
    /// The derivative by central difference.
    public let numeric: Double
    /// The derivative by the gradient.
    public let analytic: Double
    /// The difference that would have been allowed.
    public let allowed: Double

    /// Input, both derivatives and the allowed difference.
    public var description: String {
      "input \(input): central difference \(numeric), gradient \(analytic), allowed \(allowed)"
    }
  }

  /// All directional derivatives that are wrong; empty if the gradient passes.
  ///
  /// - Parameters:
  ///   - inputs: Where to differentiate; values at kinks or within a step of them mislead.
  ///   - function: Any computation on tensors; called several times.
  /// - Returns: In the order of the inputs, at most ``directions`` for each.
  public func failures(
    at inputs: [Tensor], of function: ([Tensor]) -> Tensor
  ) -> [Failure] {
    var generator = SeededGenerator(seed: seed)
    let leaves = inputs.map { $0.tracked() }
    let output = function(leaves)
    let weights = Tensor.random(output.shape, using: &generator)
    let gradients = Tensor.gradients(of: [output], upstream: [weights])
    let noise = 0x1p-22 * Self.products(output, weights).map { $0 * $0 }.reduce(0, +).squareRoot()
    var failures: [Failure] = []
    for (index, input) in inputs.enumerated() {
      let scale = (input.values.map { $0 * $0 }.reduce(0, +) / Float(max(1, input.count)))
        .squareRoot()
      let step = step * (scale > 0 ? scale : 1)
      for _ in 0..<directions {
        let direction = Tensor.random(input.shape, using: &generator)
        let numeric =
          zip(
            Self.products(function(inputs.moved(index, by: step, along: direction)), weights),
            Self.products(function(inputs.moved(index, by: -step, along: direction)), weights)
          )
          .map { $0 - $1 }.reduce(0, +) / Double(2 * step)
        let terms = gradients[leaves[index]].map { Self.products($0, direction) } ?? []
        let analytic = terms.reduce(0, +)
        // The expected square of a derivative along a random direction is the sum of squares: a
        // derivative that happens to be near zero is judged by what it might have been.
        let typical = terms.map { $0 * $0 }.reduce(0, +).squareRoot()
        let size = Swift.max(typical, numeric.magnitude, analytic.magnitude)
        let allowed = tolerance * size + noise / Double(2 * step)
        if !((numeric - analytic).magnitude <= allowed) {
          failures.append(
            Failure(input: index, numeric: numeric, analytic: analytic, allowed: allowed))
        }
      }
    }
    return failures
  }

  private static func products(_ a: Tensor, _ b: Tensor) -> [Double] {
    zip(a.values, b.values).map { Double($0) * Double($1) }
  }
}

extension [Tensor] {
  /// The same tensors, with one of them moved by a step along a direction.
  fileprivate func moved(_ index: Int, by step: Float, along direction: Tensor) -> [Tensor] {
    var moved = self
    moved[index] = Tensor(
      self[index].shape, zip(self[index].values, direction.values).map { $0 + step * $1 })
    return moved
  }
}
