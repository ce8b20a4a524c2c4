public import Layers
public import Randomness
import Synchronization
public import TensorCore

/// One block: `x ← x + γ₁ · SpatialMix(LN₁(x))`, then `x ← x + γ₂ · ChannelMix(LN₂(x))`.
///
/// Images `[N, H, W, C]` are at the same time tokens `[N, T, C]` with `t = row · W + column`, so
/// nothing is moved between the two views.
///
/// Source: Restore-RWKV §3.
public final class RestoreBlock: CheckpointedModule {
  /// The spatial mix, `att` in the state dictionary.
  public let spatialMix: SpatialMix
  /// The channel mix, `ffn` in the state dictionary.
  public let channelMix: ChannelMix
  /// The norm before the spatial mix.
  public let norm1: LayerNorm
  /// The norm before the channel mix.
  public let norm2: LayerNorm

  private let gamma1: Parameter
  private let gamma2: Parameter
  private let checkpoints = Atomic<Bool>(false)

  /// Whether backward computes the block again instead of remembering what is inside.
  public var checkpointsActivations: Bool {
    get { checkpoints.load(ordering: .acquiring) }
    set { checkpoints.store(newValue, ordering: .releasing) }
  }

  /// A block with initial weights.
  ///
  /// - Parameters:
  ///   - channels: Channels of input and output.
  ///   - hiddenRate: Hidden channels of the channel mix for each channel.
  ///   - recurrences: Passes of the attention.
  ///   - shift: What tokens take from their neighbours before each mix.
  ///   - layerNormEps: Added to the variance in layer norms.
  ///   - generator: Draws the weights in the order of the state dictionary.
  public init(
    channels: Int, hiddenRate: Int, recurrences: Int, shift: TokenShiftKind = .omni,
    layerNormEps: Float,
    using generator: inout SeededGenerator
  ) {
    gamma1 = Parameter([channels], repeating: 1)
    gamma2 = Parameter([channels], repeating: 1)
    norm1 = LayerNorm(channels: channels, eps: layerNormEps)
    norm2 = LayerNorm(channels: channels, eps: layerNormEps)
    spatialMix = SpatialMix(
      channels: channels, recurrences: recurrences, shift: shift, using: &generator)
    channelMix = ChannelMix(
      channels: channels, hiddenRate: hiddenRate, shift: shift, using: &generator)
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
    guard checkpointsActivations else { return mixed(consume x) }
    return x.checkpointed { self.mixed($0) }
  }

  private func mixed(_ x: consuming Tensor) -> Tensor {
    let mixed = spatialMix(norm1(x), scale: gamma1.tensor, residual: consume x)
    return channelMix(norm2(mixed), scale: gamma2.tensor, residual: mixed)
  }

  /// The same, band by band of `rows` rows, for images too large to be mixed at once.
  func inBands(of rows: Int, _ x: consuming Tensor) -> Tensor {
    let mixed = spatialMix.addingInBands(
      to: consume x, norm: norm1, scale: gamma1.tensor, rows: rows)
    return channelMix.addingInBands(to: mixed, norm: norm2, scale: gamma2.tensor, rows: rows)
  }
}
