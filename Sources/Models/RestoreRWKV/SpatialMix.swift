public import Layers
public import Randomness
public import TensorCore

/// Mixes tokens: bidirectional attention of linear cost, along rows and along columns in turn.
///
/// `s = shift(x)` (Omni-Shift), `k = W_k s`, `v = W_v s`, `r = σ(W_r s)`; then `v ← WKV(k, v)` once for each
/// recurrence, with the same `k` and a decay and a bonus of its own; the result is `W_o (r · v)`. With no
/// recurrence nothing but the shift looks beyond a token.
///
/// Source: Restore-RWKV §3 (Re-WKV attention).
public final class SpatialMix: Module {
  /// How fast the weight of a token falls with its distance, `[recurrences, C]`.
  ///
  /// Divided by the number of tokens before use; negative values are allowed. Nil without recurrences.
  public let decay: Parameter?
  /// What a token's own weight has on top, `[recurrences, C]`; divided by the number of tokens.
  public let first: Parameter?

  private let shift: TokenShift
  private let key: Linear
  private let value: Linear
  private let receptance: Linear
  private let output: Linear

  /// A layer with initial weights.
  ///
  /// - Parameters:
  ///   - channels: Channels of input and output.
  ///   - recurrences: Passes of the attention, alternately along rows and along columns; 0 for none.
  ///   - shift: What tokens take from their neighbours first.
  ///   - generator: Draws the weights in the order of the state dictionary.
  public init(
    channels: Int, recurrences: Int, shift: TokenShiftKind = .omni,
    using generator: inout SeededGenerator
  ) {
    decay = recurrences > 0 ? .normal([recurrences, channels], using: &generator) : nil
    first = recurrences > 0 ? .normal([recurrences, channels], using: &generator) : nil
    self.shift = TokenShift(shift, channels: channels, using: &generator)
    func linear() -> Linear {
      Linear(
        inChannels: channels, outChannels: channels, hasBias: false, using: &generator)
    }
    key = linear()
    value = linear()
    receptance = linear()
    output = linear()
  }

  /// The parameters of the attention, the shift and the four linear maps.
  public var members: [Member] {
    var members: [Member] = []
    if let decay, let first {
      members = [.parameter("spatial_decay", decay), .parameter("spatial_first", first)]
    }
    members.append(.module("omni_shift", shift))
    // Without recurrences there are no keys.
    if decay != nil { members.append(.module("key", key)) }
    return members + [
      .module("value", value), .module("receptance", receptance), .module("output", output),
    ]
  }

  /// Mixes the tokens of images.
  ///
  /// - Parameters:
  ///   - x: `[N, H, W, C]`.
  ///   - scale: Multiplies the result, `[C]`; nil for 1.
  ///   - residual: Added to the scaled result, `[N, H, W, C]`; nil for 0.
  /// - Returns: `[N, H, W, C]`.
  public func callAsFunction(
    _ x: consuming Tensor, scale: Tensor? = nil, residual: Tensor? = nil
  ) -> Tensor {
    let (height, width) = (x.shape[1], x.shape[2])
    let images = x.shape
    let tokens: Shape = [images[0], height * width, images[3]]
    let perToken = 1 / Float(height * width)
    let s = shift(consume x)
    guard let decay, let first else {
      return value(s).gatedProjection(
        gate: receptance(s, activation: .sigmoid), weight: output.weight.tensor, scale: scale,
        residual: residual)
    }
    let k = key(s).reshaped(to: tokens)
    let v = value(s).reshaped(to: tokens)
    let r = receptance(consume s, activation: .sigmoid)
    let mixed = Tensor.bidirectionalWKV(
      decay: decay.tensor.scaled(by: perToken), bonus: first.tensor.scaled(by: perToken),
      key: consume k, value: consume v, height: height, width: width)
    return (consume mixed).reshaped(to: images).gatedProjection(
      gate: consume r, weight: output.weight.tensor, scale: scale, residual: residual)
  }

  /// `x + scale · mix(norm(x))` band by band, with the same result as all at once.
  ///
  /// The recurrences see the whole image; besides it only keys and values exist as a whole.
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
    let shape = x.shape
    let (height, width) = (shape[1], shape[2])
    let tokens: Shape = [shape[0], height * width, shape[3]]
    let perToken = 1 / Float(height * width)
    let bands = RowBands(height: height, rows: rows, halo: TokenShift.reach)
    func shifted(_ band: RowBands.Band) -> Tensor {
      band.core(of: self.shift(norm(x.sliced(axis: 1, band.haloed))))
    }
    var mixed: Tensor
    mixed = bands.assembled(shape) { value(shifted($0)) }.reshaped(to: tokens)
    if let decay, let first {
      let k = bands.assembled(shape) { key(shifted($0)) }.reshaped(to: tokens)
      for recurrence in 0..<decay.shape[0] {
        let own = recurrence..<recurrence + 1
        mixed = Tensor.bidirectionalWKV(
          decay: decay.tensor.sliced(axis: 0, own).scaled(by: perToken),
          bonus: first.tensor.sliced(axis: 0, own).scaled(by: perToken), key: k, value: mixed,
          height: height, width: width, startsWithColumns: !recurrence.isMultiple(of: 2))
      }
    }
    mixed = mixed.reshaped(to: shape)
    return bands.assembled(shape) { band in
      mixed.sliced(axis: 1, band.rows).gatedProjection(
        gate: receptance(shifted(band), activation: .sigmoid), weight: output.weight.tensor,
        scale: scale, residual: x.sliced(axis: 1, band.rows))
    }
  }
}
