public import TensorCore

/// What the network knows of a frame before it looks at any object, for B clips.
public struct GDKVMFeatures: Sendable {
  /// The normalised frame, `[B, H, W, C]`.
  let frame: Tensor
  /// Pixel features, `[B, h, w, P]`, at 1/16.
  let pixels: Tensor
  /// Keys, a softmax over their channels, `[B, h, w, K]`.
  public let key: Tensor
  /// What the decoder takes at 1/8 and 1/4.
  let skip8: Tensor
  let skip4: Tensor

  /// The number of clips.
  var batch: Int { frame.shape[0] }

  /// The features of clips `range`.
  public func clips(_ range: Range<Int>) -> GDKVMFeatures {
    GDKVMFeatures(
      frame: frame.sliced(axis: 0, range), pixels: pixels.sliced(axis: 0, range),
      key: key.sliced(axis: 0, range), skip8: skip8.sliced(axis: 0, range),
      skip4: skip4.sliced(axis: 0, range))
  }
}

/// Everything that a stream carries from frame to frame, of a size that does not grow; D = B · N.
public struct GDKVMState: Sendable {
  /// The key-value memory, `[D, K, V]`.
  public let memory: Tensor
  /// The short-term memory, `[D, h, w, S]`.
  public let sensory: Tensor
  /// The sum of the object tokens of all frames, `[D, Q, E + 1]`.
  public let summary: Tensor
  /// Soft masks of the objects, `[B, H, W, N]`.
  public let masks: Tensor
  /// The pixel features of the last frame, `[B, h, w, P]`.
  let pixels: Tensor
}

/// The segmentation of one frame.
public struct GDKVMFrame: Sendable {
  /// Log-odds of background and objects, `[B, H, W, N + 1]`.
  public let logits: Tensor
  /// Probabilities of the objects, `[B, H, W, N]`.
  public let masks: Tensor
  /// The value written to the memory, `[D, h, w, V]`.
  public let value: Tensor
  /// Logits of the auxiliary head at 1/16, `[B, h, w, N]`; nil unless asked for.
  public let sensoryLogits: Tensor?
  /// Logits before and after each block of the object transformer at 1/16, `[B, h, w, N]` each.
  public let queryLogits: [Tensor]
}
