public import TensorCore

/// Normalises each position over its channels, then scales and shifts each channel.
///
/// State dictionary: `weight` `[C]`, initially 1, and `bias` `[C]`, initially 0.
public final class LayerNorm: Module {
  /// The scale, `[C]`.
  public let weight: Parameter
  /// The shift, `[C]`.
  public let bias: Parameter
  /// Added to the variance.
  public let eps: Float

  /// A layer for a number of channels.
  public init(channels: Int, eps: Float) {
    weight = Parameter([channels], repeating: 1)
    bias = Parameter([channels], repeating: 0)
    self.eps = eps
  }

  /// The scale and the shift.
  public var members: [Member] { [.parameter("weight", weight), .parameter("bias", bias)] }

  /// Normalises `[…, C]`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    x.layerNormalized(weight: weight.tensor, bias: bias.tensor, eps: eps)
  }
}
