public import Layers
public import Randomness
public import TensorCore

/// Joins what was read from the memory with everything else that is known about an object.
///
/// `a = conv([sensory; mask; others])`, then a feature fuser of the pixel features and `readout + a`.
///
/// State dictionary: `fuser`, `conv`.
public final class PixelFuser: Module {
  private let fuser: FeatureFuser
  private let conv: Convolution

  /// A fuser with initial weights.
  public init(
    pixelChannels: Int, valueChannels: Int, outChannels: Int, sensoryChannels: Int,
    using generator: inout SeededGenerator
  ) {
    fuser = FeatureFuser(
      frameChannels: pixelChannels, objectChannels: valueChannels, outChannels: outChannels,
      using: &generator)
    conv = .square(1, sensoryChannels + 2, valueChannels, using: &generator)
  }

  /// The fuser and the map of sensory memory and masks.
  public var members: [Member] { [.module("fuser", fuser), .module("conv", conv)] }

  /// Fuses, with D = B · N objects.
  ///
  /// - Parameters:
  ///   - pixels: `[B, h, w, P]`.
  ///   - readout: `[D, h, w, V]`.
  ///   - sensory: `[D, h, w, S]`.
  ///   - mask: The object's last mask, `[D, h, w, 1]`.
  ///   - others: The sum of the other objects' masks, `[D, h, w, 1]`.
  /// - Returns: `[D, h, w, out]`.
  public func callAsFunction(
    pixels: Tensor, readout: Tensor, sensory: Tensor, mask: Tensor, others: Tensor
  ) -> Tensor {
    let added = conv(.concatenate([sensory, mask, others], axis: -1))
    return fuser(pixels, readout + added)
  }
}
