public import Layers
public import Randomness
public import TensorCore

/// Mixes channels: `σ(W_r s) · W_v (max(W_k s, 0)²)` with `s = shift(x)`.
///
/// Source: Restore-RWKV §3 (channel mix).
public final class ChannelMix: Module {
  private let shift: TokenShift
  private let key: Linear
  private let receptance: Linear
  private let value: Linear

  /// A layer with initial weights.
  ///
  /// - Parameters:
  ///   - channels: Channels of input and output.
  ///   - hiddenRate: Hidden channels for each channel.
  ///   - shift: What tokens take from their neighbours first.
  ///   - generator: Draws the weights in the order of the state dictionary.
  public init(
    channels: Int, hiddenRate: Int, shift: TokenShiftKind = .omni,
    using generator: inout SeededGenerator
  ) {
    let hidden = channels * hiddenRate
    self.shift = TokenShift(shift, channels: channels, using: &generator)
    key = Linear(inChannels: channels, outChannels: hidden, hasBias: false, using: &generator)
    receptance = Linear(
      inChannels: channels, outChannels: channels, hasBias: false, using: &generator)
    value = Linear(inChannels: hidden, outChannels: channels, hasBias: false, using: &generator)
  }

  /// The shift and the three linear maps.
  public var members: [Member] {
    [
      .module("omni_shift", shift), .module("key", key), .module("receptance", receptance),
      .module("value", value),
    ]
  }

  /// Mixes the channels of images.
  ///
  /// - Parameters:
  ///   - x: `[N, H, W, C]`.
  ///   - scale: Multiplies the result, `[C]`; nil for 1.
  ///   - residual: Added to the scaled result, `[N, H, W, C]`; nil for 0.
  /// - Returns: `[N, H, W, C]`.
  public func callAsFunction(
    _ x: consuming Tensor, scale: Tensor? = nil, residual: Tensor? = nil
  ) -> Tensor {
    shift(consume x).feedForward(
      key: key.weight.tensor, receptance: receptance.weight.tensor, value: value.weight.tensor,
      scale: scale, residual: residual)
  }

  /// `x + scale · mix(norm(x))` band by band, with the same result as all at once.
  ///
  /// - Parameters:
  ///   - x: `[N, H, W, C]`.
  ///   - norm: The norm before this layer.
  ///   - scale: Multiplies the result, `[C]`.
  ///   - rows: Rows of a band.
  /// - Returns: `[N, H, W, C]`.
  func addingInBands(
    to x: Tensor, norm: LayerNorm, scale: Tensor, rows: Int
  ) -> Tensor {
    let bands = RowBands(height: x.shape[1], rows: rows, halo: TokenShift.reach)
    return bands.assembled(x.shape) { band in
      band.core(of: shift(norm(x.sliced(axis: 1, band.haloed)))).feedForward(
        key: key.weight.tensor, receptance: receptance.weight.tensor, value: value.weight.tensor,
        scale: scale, residual: x.sliced(axis: 1, band.rows))
    }
  }
}
