import Foundation
public import Layers
public import Randomness
public import TensorCore

/// The linear key-value memory of each object, advanced frame by frame by the gated delta rule.
///
/// A frame has keys `K = [k₁ … k_P]`, one per pixel, and values `V`; the state is S `[K, V]`. The first
/// frame writes `S₀ = K V₀ᵀ`. After that, with gates that depend on the state alone,
///
///     β = σ(S W_bᵀ);   g = −exp(A_log) ⊙ softplus(S W_aᵀ + dt_bias);   α = exp(g)
///     S' = α ⊙ (S − β ⊙ (K Kᵀ S)) + β ⊙ (K Vᵀ);   readout R = S'ᵀ K
///
/// Each gate `[K, heads]` serves the V / heads channels of its head. Its cost per frame and its size do
/// not depend on how many frames there were.
///
/// State dictionary: `A_log`, `dt_bias` `[heads]`, `a_proj.weight`, `b_proj.weight` `[heads, V]`.
///
/// Source: GDKVM, ICCV 2025, gated delta rule; the corrected recurrence is the authors' re-release (v2).
public final class GatedDeltaMemory: Module {
  /// The form of the recurrence.
  public let variant: GatedDeltaVariant
  /// The number of heads of the gates.
  public let heads: Int

  private let decay: Parameter
  private let bias: Parameter
  private let alphaProjection: Linear
  private let betaProjection: Linear

  /// A memory with initial gates: rates uniform in (0, 16), steps log-uniform in (0.001, 0.1).
  ///
  /// - Parameters:
  ///   - valueChannels: V, a multiple of `heads`.
  ///   - heads: The number of heads.
  ///   - variant: The form of the recurrence.
  ///   - generator: Draws the parameters.
  public init(
    valueChannels: Int, heads: Int, variant: GatedDeltaVariant,
    using generator: inout SeededGenerator
  ) {
    precondition(
      heads > 0 && valueChannels % heads == 0,
      "gated delta memory: \(valueChannels) channels in \(heads) heads")
    self.variant = variant
    self.heads = heads
    decay = Parameter([heads]) {
      for index in $0.indices {
        $0[index] = Float(log(16 * max(1e-6, generator.nextUniformDouble())))
      }
    }
    bias = Parameter([heads]) {
      for index in $0.indices {
        let step = exp(generator.nextUniformDouble() * (log(0.1) - log(0.001)) + log(0.001))
        // The inverse of softplus.
        $0[index] = Float(step + log(-expm1(-max(step, 1e-4))))
      }
    }
    alphaProjection = Linear(
      inChannels: valueChannels, outChannels: heads, hasBias: false, using: &generator)
    betaProjection = Linear(
      inChannels: valueChannels, outChannels: heads, hasBias: false, using: &generator)
  }

  /// The gates' parameters.
  public var members: [Member] {
    [
      .parameter("A_log", decay), .parameter("dt_bias", bias),
      .module("a_proj", alphaProjection), .module("b_proj", betaProjection),
    ]
  }

  /// The gates α and β for a state `[D, K, V]`, `[D, K, heads]` each.
  public func gates(for state: Tensor) -> (alpha: Tensor, beta: Tensor) {
    let beta = betaProjection(state, activation: .sigmoid)
    let g = (alphaProjection(state) + bias.tensor).softplus() * -decay.tensor.exponential()
    return (variant == .v2 ? g.exponential() : g, beta)
  }

  /// Writes a frame.
  ///
  /// - Parameters:
  ///   - key: One row per pixel, a softmax over its channels, `[D, P, K]`.
  ///   - value: `[D, P, V]`.
  ///   - state: The memory, `[D, K, V]`; nil before the first frame.
  /// - Returns: The new memory, `[D, K, V]`.
  public func written(key: Tensor, value: Tensor, state: Tensor?) -> Tensor {
    let transposed = key.transposed()
    let new = transposed.matmul(value)
    guard let state else { return new }
    let (alpha, beta) = gates(for: state)
    let erased = transposed.matmul(key).matmul(state)
    let (items, keys, values) = (state.shape[0], state.shape[1], state.shape[2])
    // Heads hold neighbouring channels; the first published code tiled α instead.
    let blocks: Shape = [items, keys, heads, values / heads]
    let gate: Shape = [items, keys, heads, 1]
    let b = beta.reshaped(to: gate)
    let rest = state.reshaped(to: blocks) - b * erased.reshaped(to: blocks)
    let written = (b * new.reshaped(to: blocks)).reshaped(to: state.shape)
    switch variant {
    case .v2:
      return (alpha.reshaped(to: gate) * rest).reshaped(to: state.shape) + written
    case .v1:
      let tiles: Shape = [items, keys, values / heads, heads]
      let tiled = alpha.reshaped(to: [items, keys, 1, heads]) * rest.reshaped(to: tiles)
      return tiled.reshaped(to: state.shape) + written
    }
  }

  /// Reads the memory at keys `[D, P, K]`: `[D, P, V]`.
  public func read(state: Tensor, key: Tensor) -> Tensor { key.matmul(state) }
}
