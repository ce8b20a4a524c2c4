public import Layers
public import Randomness
public import TensorCore

/// The gated update of the sensory memory, the short-term state of each object.
///
/// With `v = transform([g; h])` in three parts, `f = σ(v₁)`, `u = σ(v₂)`, `n = tanh(v₃)`, the new state
/// is `f·h·(1 − u) + u·n`.
private struct SensoryGate {
  /// 3×3, from input and state to three times the state.
  let transform: Convolution

  init(inputChannels: Int, sensoryChannels: Int, using generator: inout SeededGenerator) {
    transform = .square(
      3, inputChannels + sensoryChannels, 3 * sensoryChannels, using: &generator)
    // Xavier's normal rule: variance 2 / (fan-in + fan-out), in 3×3 windows.
    let fans = 9 * (inputChannels + sensoryChannels) + 9 * 3 * sensoryChannels
    let deviation = (2 / Float(fans)).squareRoot()
    transform.weight.update { generator.fillNormal($0, standardDeviation: deviation) }
  }

  func callAsFunction(_ input: Tensor, _ state: Tensor) -> Tensor {
    let channels = state.shape.channels
    let v = transform(.concatenate([input, state], axis: -1))
    let gates = v.sliced(axis: -1, 0..<2 * channels).sigmoid()
    let forget = gates.sliced(axis: -1, 0..<channels)
    let update = gates.sliced(axis: -1, channels..<2 * channels)
    let new = v.sliced(axis: -1, 2 * channels..<3 * channels).hyperbolicTangent()
    // f·h·(1 − u) + u·n = f·h + u·(n − f·h).
    let kept = forget * state
    return kept + update * (new - kept)
  }
}

/// Updates the sensory memory by the value that was written to the long-term memory.
///
/// State dictionary: `transform`.
public final class SensoryUpdater: Module {
  private let gate: SensoryGate

  /// An updater with initial weights.
  public init(
    valueChannels: Int, sensoryChannels: Int, using generator: inout SeededGenerator
  ) {
    gate = SensoryGate(
      inputChannels: valueChannels, sensoryChannels: sensoryChannels, using: &generator)
  }

  /// The map to the gates.
  public var members: [Member] { [.module("transform", gate.transform)] }

  /// Maps a value `[D, h, w, V]` and a state `[D, h, w, S]` to the new state.
  public func callAsFunction(value: Tensor, sensory: Tensor) -> Tensor { gate(value, sensory) }
}

/// Updates the sensory memory by the decoder's features of three resolutions.
///
/// `g = g16_conv(v16) + g8_conv(v8 ↓ 2) + g4_conv(v4 ↓ 4)`, where ↓ is the mean over areas.
///
/// State dictionary: `g16_conv`, `g8_conv`, `g4_conv`, `transform`.
public final class MultiscaleSensoryUpdater: Module {
  private let maps: [Convolution]
  private let gate: SensoryGate

  /// An updater with initial weights.
  ///
  /// - Parameters:
  ///   - channels: Channels of the features at 1/16, 1/8 and 1/4 (with the logit).
  ///   - middleChannels: Channels of their sum.
  ///   - sensoryChannels: Channels of the state.
  ///   - generator: Draws the weights.
  public init(
    channels: [Int], middleChannels: Int, sensoryChannels: Int,
    using generator: inout SeededGenerator
  ) {
    maps = channels.map { .square(1, $0, middleChannels, using: &generator) }
    gate = SensoryGate(
      inputChannels: middleChannels, sensoryChannels: sensoryChannels, using: &generator)
  }

  /// The three maps and the map to the gates.
  public var members: [Member] {
    zip(["g16_conv", "g8_conv", "g4_conv"], maps).map { .module($0, $1) }
      + [.module("transform", gate.transform)]
  }

  /// Updates the state.
  ///
  /// - Parameters:
  ///   - v16: `[D, h, w, ·]`.
  ///   - v8: `[D, 2h, 2w, ·]`.
  ///   - v4: `[D, 4h, 4w, ·]`, the logit in the last channel.
  ///   - sensory: `[D, h, w, S]`.
  /// - Returns: As `sensory`.
  public func callAsFunction(v16: Tensor, v8: Tensor, v4: Tensor, sensory: Tensor) -> Tensor {
    let g =
      maps[0](v16) + maps[1](v8.averagePooled(kernel: [2]))
      + maps[2](v4.averagePooled(kernel: [4]))
    return gate(g, sensory)
  }
}
