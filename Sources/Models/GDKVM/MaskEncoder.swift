import Layers
import Randomness
import TensorCore

/// Encodes a frame together with an object's mask to the value that is written to the memory.
///
/// Input: the frame, the object's soft mask and the clamped sum of the others' masks, at full
/// resolution. A residual network's features at 1/16 and the pixel features are fused to the value.
///
/// State dictionary: the residual network's names, `fuser`, `sensory_updater`.
final class MaskEncoder: Module {
  private let encoder: ResidualEncoder
  private let fuser: FeatureFuser
  private let updater: SensoryUpdater

  init(_ configuration: GDKVMConfiguration, using generator: inout SeededGenerator) {
    encoder = ResidualEncoder(
      configuration.maskEncoder, inChannels: configuration.inChannels + 2,
      width: configuration.maskEncoderWidth, eps: configuration.batchNormEps, using: &generator)
    // The fuser's x is the frame's pixel features, its y the encoded mask.
    fuser = FeatureFuser(
      frameChannels: configuration.pixelChannels, objectChannels: encoder.outChannels[2],
      outChannels: configuration.valueChannels, using: &generator)
    updater = SensoryUpdater(
      valueChannels: configuration.valueChannels,
      sensoryChannels: configuration.sensoryChannels, using: &generator)
  }

  var members: [Member] {
    encoder.members + [.module("fuser", fuser), .module("sensory_updater", updater)]
  }

  /// Encodes.
  ///
  /// - Parameters:
  ///   - frame: Normalised, `[B, H, W, C]`.
  ///   - pixels: Pixel features, `[B, h, w, P]`.
  ///   - masks: One per object, `[D, H, W, 2]`: its mask and those of the others.
  ///   - sensory: `[D, h, w, S]`.
  /// - Returns: The value, `[D, h, w, V]`, and the new sensory memory.
  func callAsFunction(
    frame: Tensor, pixels: Tensor, masks: Tensor, sensory: Tensor
  ) -> (value: Tensor, sensory: Tensor) {
    let input = Tensor.concatenate(
      [frame.repeated(toItems: masks.shape[0]), masks], axis: -1)
    let value = fuser(pixels, encoder(input)[2])
    return (value, updater(value: value, sensory: sensory))
  }
}

/// Predicts masks from the sensory memory alone, for an auxiliary loss: one logit per pixel, the inner
/// product of pixel features with a map of the memory.
///
/// State dictionary: `sensory_aux.projection`.
final class AuxiliaryHead: Module {
  private let projection: Convolution

  init(sensoryChannels: Int, pixelChannels: Int, using generator: inout SeededGenerator) {
    projection = .square(1, sensoryChannels, pixelChannels + 1, using: &generator)
  }

  var members: [Member] { [.module("sensory_aux.projection", projection)] }

  /// Maps pixel features `[B, h, w, P]` and sensory memory `[D, h, w, S]` to logits `[D, h, w, 1]`.
  func callAsFunction(pixels: Tensor, sensory: Tensor) -> Tensor {
    let s = projection(sensory)
    let channels = pixels.shape.channels
    let product = pixels.repeated(toItems: sensory.shape[0]) * s.sliced(axis: -1, 0..<channels)
    return product.sum(axes: [3], keepingAxes: true)
      + s.sliced(axis: -1, channels..<channels + 1)
  }
}
