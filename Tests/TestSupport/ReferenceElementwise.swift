import Foundation

extension Reference {
  /// A function of one number and a parameter p.
  public struct UnaryFunction: Sendable, CustomStringConvertible {
    /// What it is called.
    public let description: String
    /// Whether it takes numbers above zero only.
    public let needsPositive: Bool
    /// f(x, p).
    public let value: @Sendable (Double, Double) -> Double

    /// f′(x) by a central difference, good to about 1e-9 away from kinks.
    public func slope(at x: Double, _ p: Double) -> Double {
      let step = 1e-5 * max(1, abs(x))
      return (value(x + step, p) - value(x - step, p)) / (2 * step)
    }

    private init(
      _ name: String, positive: Bool = false,
      _ value: @escaping @Sendable (Double, Double) -> Double
    ) {
      self.description = name
      self.needsPositive = positive
      self.value = value
    }

    /// Every function of the kernels, in the order of `k_unary`.
    public static let all: [Self] = [
      Self("negate") { x, _ in -x },
      Self("absolute") { x, _ in abs(x) },
      Self("square") { x, _ in x * x },
      Self("square root", positive: true) { x, _ in x.squareRoot() },
      Self("reciprocal square root", positive: true) { x, _ in 1 / x.squareRoot() },
      Self("reciprocal", positive: true) { x, _ in 1 / x },
      Self("exp") { x, _ in exp(x) },
      Self("log", positive: true) { x, _ in log(x) },
      Self("sin") { x, _ in sin(x) },
      Self("cos") { x, _ in cos(x) },
      Self("tanh") { x, _ in tanh(x) },
      Self("sigmoid") { x, _ in 1 / (1 + exp(-x)) },
      Self("softplus") { x, _ in x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)) },
      Self("relu") { x, _ in x < 0 ? 0 : x },
      Self("relu squared") { x, _ in x < 0 ? 0 : x * x },
      Self("leaky relu") { x, p in x > 0 ? x : p * x },
      Self("elu") { x, p in x > 0 ? x : p * (exp(x) - 1) },
      Self("silu") { x, _ in x / (1 + exp(-x)) },
      Self("gelu") { x, _ in x * 0.5 * (1 + erf(x / 2.0.squareRoot())) },
    ]
  }

  /// A function of two numbers.
  public struct BinaryFunction: Sendable, CustomStringConvertible {
    /// What it is called.
    public let description: String
    /// f(a, b).
    public let value: @Sendable (Double, Double) -> Double
    /// ∂f/∂a and ∂f/∂b.
    public let slopes: @Sendable (Double, Double) -> (Double, Double)

    private init(
      _ name: String, _ value: @escaping @Sendable (Double, Double) -> Double,
      slopes: @escaping @Sendable (Double, Double) -> (Double, Double)
    ) {
      self.description = name
      self.value = value
      self.slopes = slopes
    }

    /// Every function of the kernels, in the order of `k_binary`.
    public static let all: [Self] = [
      Self("add", { $0 + $1 }, slopes: { _, _ in (1, 1) }),
      Self("subtract", { $0 - $1 }, slopes: { _, _ in (1, -1) }),
      Self("multiply", { $0 * $1 }, slopes: { ($1, $0) }),
      Self("divide", { $0 / $1 }, slopes: { (1 / $1, -$0 / ($1 * $1)) }),
      Self(
        "maximum", { $0.isNaN || $1.isNaN ? .nan : max($0, $1) },
        slopes: { $0 == $1 ? (0.5, 0.5) : $0 > $1 ? (1, 0) : (0, 1) }),
      Self(
        "minimum", { $0.isNaN || $1.isNaN ? .nan : min($0, $1) },
        slopes: { $0 == $1 ? (0.5, 0.5) : $0 < $1 ? (1, 0) : (0, 1) }),
    ]
  }
}
