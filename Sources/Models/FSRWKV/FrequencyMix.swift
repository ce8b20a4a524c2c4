import Foundation
public import Layers
public import Randomness
public import TensorCore

/// Where a block stands in its level, on which its initial values depend.
public struct LevelPosition: Sendable {
  /// The block's index in its level.
  public let index: Int
  /// The level's number of blocks.
  public let count: Int

  /// A position in a level.
  public init(index: Int, of count: Int) {
    self.index = index
    self.count = count
  }

  /// 0 for the first block of a level, 1 for the last; 0 for a level of one block, where the authors'
  /// program divides by zero.
  var progress: Double { count > 1 ? Double(index) / Double(count - 1) : 0 }

  /// 1 for the first block of a level, falling to 1 / count.
  var rest: Double { 1 - Double(index) / Double(max(1, count)) }

  /// `(c / channels)^exponent + offset` for each channel, as a `[1, 1, channels]` parameter.
  func mix(_ channels: Int, exponent: Double, offset: Double = 0) -> Parameter {
    Parameter([1, 1, channels]) { values in
      for c in 0..<channels {
        values[c] = Float(pow(Double(c) / Double(channels), exponent) + offset)
      }
    }
  }
}

/// Mixes tokens: attention with linear cost after a frequency-aware shift.
///
/// With `s = S(x)` ("wavelet shift"): `k, v, r` from `x·m + s·(1 − m)`, each with its own m, then
/// `W_o (σ(r) · WKV(k, v))`. Source: FS-RWKV, arXiv 2510.08951.
public final class FrequencySpatialMix: Module {
  private let decay: Parameter
  private let first: Parameter
  private let mixKey: Parameter
  private let mixValue: Parameter
  private let mixReceptance: Parameter
  private let key: Linear
  private let value: Linear
  private let receptance: Linear
  private let output: Linear

  /// A layer with initial weights.
  ///
  /// - Parameters:
  ///   - channels: Channels of input and output.
  ///   - position: Determines decay, bonus and mixtures.
  ///   - generator: Draws the linear maps in the order of the state dictionary.
  public init(channels: Int, position: LevelPosition, using generator: inout SeededGenerator) {
    let (r, q) = (position.progress, position.rest)
    decay = Parameter([channels]) { values in
      for c in 0..<channels {
        let part = Double(c) / Double(max(1, channels - 1))
        values[c] = Float(-5 + 8 * pow(part, 0.7 + 1.3 * r))
      }
    }
    first = Parameter([channels]) { values in
      for c in 0..<channels { values[c] = Float(log(0.3) + 0.5 * Double((c + 1) % 3 - 1)) }
    }
    mixKey = position.mix(channels, exponent: q)
    mixValue = position.mix(channels, exponent: q, offset: 0.3 * r)
    mixReceptance = position.mix(channels, exponent: q / 2)
    func linear() -> Linear {
      Linear(inChannels: channels, outChannels: channels, hasBias: false, using: &generator)
    }
    key = linear()
    value = linear()
    receptance = linear()
    output = linear()
  }

  /// The parameters of attention and mixtures and the four linear maps.
  public var members: [Member] {
    [
      .parameter("spatial_decay", decay), .parameter("spatial_first", first),
      .parameter("spatial_mix_k", mixKey), .parameter("spatial_mix_v", mixValue),
      .parameter("spatial_mix_r", mixReceptance), .module("key", key), .module("value", value),
      .module("receptance", receptance), .module("output", output),
    ]
  }

  /// Mixes the tokens of images.
  ///
  /// - Parameters:
  ///   - x: `[N, H, W, C]`.
  ///   - scale: Multiplies the result, `[C]`.
  ///   - residual: Added to the scaled result, `[N, H, W, C]`.
  /// - Returns: `[N, H, W, C]`.
  public func callAsFunction(
    _ x: consuming Tensor, scale: Tensor? = nil, residual: Tensor? = nil
  ) -> Tensor {
    let images = x.shape
    let (height, width, channels) = (images[1], images[2], images[3])
    let tokens: Shape = [images[0], height * width, channels]
    let perToken = 1 / Float(height * width)
    let shifted = x.waveletShifted()
    let k = key(x.blended(with: shifted, weight: mixKey.tensor)).reshaped(to: tokens)
    let v = value(x.blended(with: shifted, weight: mixValue.tensor)).reshaped(to: tokens)
    let r = receptance(
      (consume x).blended(with: consume shifted, weight: mixReceptance.tensor),
      activation: .sigmoid)
    func row(_ parameter: Parameter) -> Tensor {
      parameter.tensor.scaled(by: perToken).reshaped(to: [1, channels])
    }
    let mixed = Tensor.bidirectionalWKV(
      decay: row(decay), bonus: row(first), key: consume k, value: consume v, height: height,
      width: width)
    return (consume mixed).reshaped(to: images).gatedProjection(
      gate: consume r, weight: output.weight.tensor, scale: scale, residual: residual)
  }
}

/// Mixes channels after a frequency-aware shift: `σ(W_r x_r) · W_v (max(W_k x_k, 0)²)` with
/// `x_k, x_r = x·m + S(x)·(1 − m)`.
///
/// Source: FS-RWKV, arXiv 2510.08951.
public final class FrequencyChannelMix: Module {
  private let mixKey: Parameter
  private let mixReceptance: Parameter
  private let key: Linear
  private let receptance: Linear
  private let value: Linear

  /// A layer with initial weights.
  ///
  /// - Parameters:
  ///   - channels: Channels of input and output.
  ///   - hiddenRate: Hidden channels for each channel.
  ///   - position: Determines the mixtures.
  ///   - generator: Draws the linear maps in the order of the state dictionary.
  public init(
    channels: Int, hiddenRate: Int, position: LevelPosition,
    using generator: inout SeededGenerator
  ) {
    let hidden = channels * hiddenRate
    mixKey = position.mix(channels, exponent: position.rest)
    mixReceptance = position.mix(channels, exponent: position.rest)
    key = Linear(inChannels: channels, outChannels: hidden, hasBias: false, using: &generator)
    receptance = Linear(
      inChannels: channels, outChannels: channels, hasBias: false, using: &generator)
    value = Linear(inChannels: hidden, outChannels: channels, hasBias: false, using: &generator)
  }

  /// The two mixtures and the three linear maps.
  public var members: [Member] {
    [
      .parameter("spatial_mix_k", mixKey), .parameter("spatial_mix_r", mixReceptance),
      .module("key", key), .module("receptance", receptance), .module("value", value),
    ]
  }

  /// Mixes the channels of images; arguments as for ``FrequencySpatialMix``.
  public func callAsFunction(
    _ x: consuming Tensor, scale: Tensor? = nil, residual: Tensor? = nil
  ) -> Tensor {
    let shifted = x.waveletShifted()
    let k = x.blended(with: shifted, weight: mixKey.tensor)
    let r = (consume x).blended(with: consume shifted, weight: mixReceptance.tensor)
    return k.feedForward(
      key: key.weight.tensor, receptance: receptance.weight.tensor, value: value.weight.tensor,
      gate: r, scale: scale, residual: residual)
  }
}

/// One block: `x ← x + γ₁ · SpatialMix(LN₁(x))`, then `x ← x + γ₂ · ChannelMix(LN₂(x))`.
///
/// Source: FS-RWKV, arXiv 2510.08951.
public final class FrequencyBlock: Module {
  private let gamma1: Parameter
  private let gamma2: Parameter
  private let norm1: LayerNorm
  private let norm2: LayerNorm
  private let spatialMix: FrequencySpatialMix
  private let channelMix: FrequencyChannelMix

  /// A block with initial weights.
  ///
  /// - Parameters:
  ///   - channels: Channels of input and output.
  ///   - hiddenRate: Hidden channels of the channel mix for each channel.
  ///   - layerNormEps: Added to the variance in layer norms.
  ///   - position: The block's place in its level.
  ///   - generator: Draws the weights in the order of the state dictionary.
  public init(
    channels: Int, hiddenRate: Int, layerNormEps: Float, position: LevelPosition,
    using generator: inout SeededGenerator
  ) {
    gamma1 = Parameter([channels], repeating: 1)
    gamma2 = Parameter([channels], repeating: 1)
    norm1 = LayerNorm(channels: channels, eps: layerNormEps)
    norm2 = LayerNorm(channels: channels, eps: layerNormEps)
    spatialMix = FrequencySpatialMix(channels: channels, position: position, using: &generator)
    channelMix = FrequencyChannelMix(
      channels: channels, hiddenRate: hiddenRate, position: position, using: &generator)
  }

  /// The two scales, the norms and the mixes.
  public var members: [Member] {
    [
      .parameter("gamma1", gamma1), .parameter("gamma2", gamma2), .module("ln1", norm1),
      .module("ln2", norm2), .module("att", spatialMix), .module("ffn", channelMix),
    ]
  }

  /// Maps `[N, H, W, C]` to the same shape.
  public func callAsFunction(_ x: consuming Tensor) -> Tensor {
    let mixed = spatialMix(norm1(x), scale: gamma1.tensor, residual: consume x)
    return channelMix(norm2(mixed), scale: gamma2.tensor, residual: mixed)
  }
}
