public import Randomness
public import TensorCore

/// A linear map of the channels, `x · weightᵀ + bias`.
///
/// State dictionary: `weight` `[out, in]`, `bias` `[out]` if there is one.
public final class Linear: Module {
  /// `[out, in]`.
  public let weight: Parameter
  /// `[out]`, nil for a layer without one.
  public let bias: Parameter?

  /// A layer with initial values uniform within ±1/√`inChannels`.
  ///
  /// - Parameters:
  ///   - inChannels: Channels of the input.
  ///   - outChannels: Channels of the output.
  ///   - hasBias: Whether a bias is added.
  ///   - generator: Draws the weights, then the bias.
  public init(
    inChannels: Int, outChannels: Int, hasBias: Bool = true,
    using generator: inout SeededGenerator
  ) {
    weight = .uniform([outChannels, inChannels], fanIn: inChannels, using: &generator)
    bias = hasBias ? .uniform([outChannels], fanIn: inChannels, using: &generator) : nil
  }

  /// The weight and the bias.
  public var members: [Member] {
    [.parameter("weight", weight)] + (bias.map { [.parameter("bias", $0)] } ?? [])
  }

  /// Maps `[…, in]` to `[…, out]` and applies a function to the result while it is in registers.
  public func callAsFunction(_ x: Tensor, activation: Activation = .none) -> Tensor {
    x.linear(weight.tensor, bias: bias?.tensor, activation: activation)
  }
}
