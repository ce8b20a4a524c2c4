public import Randomness
public import TensorCore

/// Halves height and width and doubles the channels: a 3×3 convolution to half the channels, then
/// each 2×2 patch of pixels becomes four channels.
///
/// State dictionary: `body.0.weight` `[C/2, C, 3, 3]`.
public final class Downsample: Module {
  private let convolution: Convolution

  /// A layer for an even number of channels.
  ///
  /// - Parameters:
  ///   - channels: Channels of the input, even; the output has twice as many.
  ///   - generator: Draws the weights.
  public init(channels: Int, using generator: inout SeededGenerator) {
    precondition(channels % 2 == 0, "downsample: \(channels) channels is not an even number")
    convolution = Convolution(
      inChannels: channels, outChannels: channels / 2, kernel: [3, 3], padding: [1, 1],
      hasBias: false, using: &generator)
  }

  /// The convolution.
  public var members: [Member] { [.module("body.0", convolution)] }

  /// Maps `[N, H, W, C]` to `[N, H/2, W/2, 2C]`; channel `c·4 + 2·dy + dx` comes from pixel `(dy, dx)`.
  public func callAsFunction(_ x: Tensor) -> Tensor { convolution(x).pixelUnshuffled(by: 2) }
}

/// Doubles height and width and halves the channels: a 3×3 convolution to twice the channels, then
/// four channels become each 2×2 patch of pixels.
///
/// State dictionary: `body.0.weight` `[2C, C, 3, 3]`.
public final class Upsample: Module {
  private let convolution: Convolution

  /// A layer for an even number of channels.
  ///
  /// - Parameters:
  ///   - channels: Channels of the input, even; the output has half as many.
  ///   - generator: Draws the weights.
  public init(channels: Int, using generator: inout SeededGenerator) {
    precondition(channels % 2 == 0, "upsample: \(channels) channels is not an even number")
    convolution = Convolution(
      inChannels: channels, outChannels: 2 * channels, kernel: [3, 3], padding: [1, 1],
      hasBias: false, using: &generator)
  }

  /// The convolution.
  public var members: [Member] { [.module("body.0", convolution)] }

  /// Maps `[N, H, W, C]` to `[N, 2H, 2W, C/2]`; channel `c·4 + 2·dy + dx` becomes pixel `(dy, dx)`.
  public func callAsFunction(_ x: Tensor) -> Tensor { convolution(x).pixelShuffled(by: 2) }
}
