public import Layers
public import Randomness
public import TensorCore

/// Doubles the resolution of an object's features and joins those of the frame.
///
/// `z = upsampled(x) + skip` (bilinear, corners not aligned), and the result is
/// `linear_proj(z) + gelu(conv2(gelu(conv1 z)))`, the projection only where the channels change.
///
/// State dictionary: `conv1`, `conv2`, `linear_proj`.
public final class MaskUpsample: Module {
  private let conv1: Convolution
  private let conv2: Convolution
  private let projection: Convolution?
  private let scale: Int

  /// A block with initial weights.
  public init(
    inChannels: Int, outChannels: Int, scale: Int = 2, using generator: inout SeededGenerator
  ) {
    conv1 = .square(3, inChannels, outChannels, using: &generator)
    conv2 = .square(3, outChannels, outChannels, using: &generator)
    projection =
      inChannels == outChannels ? nil : .square(1, inChannels, outChannels, using: &generator)
    self.scale = scale
  }

  /// The convolutions and, where the channels change, the projection.
  public var members: [Member] {
    [.module("conv1", conv1), .module("conv2", conv2)]
      + (projection.map { [.module("linear_proj", $0)] } ?? [])
  }

  /// Maps `[D, h, w, in]` and a frame's features `[B, 2h, 2w, in]` to `[D, 2h, 2w, out]`.
  public func callAsFunction(_ x: Tensor, skip: Tensor) -> Tensor {
    let up = x.resized(
      to: [x.shape[1] * scale, x.shape[2] * scale], mode: .linear(alignCorners: false))
    let z = up + skip.repeated(toItems: x.shape[0])
    return (projection?(z) ?? z) + conv2(conv1(z).gelu()).gelu()
  }
}

/// Decodes an object's features to a logit at a quarter of the resolution, and updates its sensory
/// memory.
///
/// State dictionary: `linear_proj_f8`, `linear_proj_f4`, `upsample_16_to_8`, `upsample_8_to_4`, `pred`,
/// `sensory_updater`.
final class MaskDecoder: Module {
  private let skip8: Convolution
  private let skip4: Convolution
  private let to8: MaskUpsample
  private let to4: MaskUpsample
  private let prediction: Convolution
  private let updater: MultiscaleSensoryUpdater

  init(
    frameChannels: [Int], channels: [Int], sensoryChannels: Int,
    using generator: inout SeededGenerator
  ) {
    skip8 = .square(1, frameChannels[1], channels[0], using: &generator)
    skip4 = .square(1, frameChannels[0], channels[1], using: &generator)
    to8 = MaskUpsample(inChannels: channels[0], outChannels: channels[1], using: &generator)
    to4 = MaskUpsample(inChannels: channels[1], outChannels: channels[2], using: &generator)
    prediction = .square(1, channels[2], 1, using: &generator)
    updater = MultiscaleSensoryUpdater(
      channels: [channels[0], channels[1], channels[2] + 1], middleChannels: sensoryChannels,
      sensoryChannels: sensoryChannels, using: &generator)
  }

  var members: [Member] {
    [
      .module("linear_proj_f8", skip8), .module("linear_proj_f4", skip4),
      .module("upsample_16_to_8", to8), .module("upsample_8_to_4", to4),
      .module("pred", prediction), .module("sensory_updater", updater),
    ]
  }

  /// What the decoder takes of frames' features at 1/8 and 1/4; depends on the frames alone.
  func skips(f8: Tensor, f4: Tensor) -> (s8: Tensor, s4: Tensor) { (skip8(f8), skip4(f4)) }

  /// Decodes.
  ///
  /// - Parameters:
  ///   - x: `[D, h, w, C]`.
  ///   - s8: From ``skips(f8:f4:)``, `[B, 2h, 2w, ·]`.
  ///   - s4: Likewise, `[B, 4h, 4w, ·]`.
  ///   - sensory: `[D, h, w, S]`.
  /// - Returns: The new sensory memory and logits `[D, 4h, 4w, 1]`.
  func callAsFunction(
    _ x: Tensor, s8: Tensor, s4: Tensor, sensory: Tensor
  ) -> (sensory: Tensor, logits: Tensor) {
    let v8 = to8(x, skip: s8)
    let v4 = to4(v8, skip: s4)
    let logits = prediction(v4)
    let new = updater(
      v16: x, v8: v8, v4: .concatenate([v4, logits], axis: -1), sensory: sensory)
    return (new, logits)
  }
}
