public import Layers
public import Randomness
public import TensorCore

/// NAFNet: a U-shaped network without nonlinear functions, for image restoration.
///
/// With w = ``NAFNetConfiguration/width``, on level i (from 0):
///
/// | stage | members | channels | size |
/// | --- | --- | --- | --- |
/// | first, 3×3 | `intro` | w | H, W |
/// | encoder, then 2×2 stride 2 | `encoders.i`, `downs.i` | 2ⁱ w | H/2ⁱ, W/2ⁱ |
/// | deepest level | `middle_blks` | 2ᴸ w | H/2ᴸ, W/2ᴸ |
/// | 1×1 and pixel shuffle, plus the encoder's map | `ups.i.0`, `decoders.i` | | |
/// | last, 3×3, plus the input | `ending` | that of the image | H, W |
///
/// The input is padded with zeros at the bottom and right to a multiple of 2ᴸ.
///
/// Source: Chen et al., *Simple Baselines for Image Restoration*, ECCV 2022, arXiv 2204.04676.
public final class NAFNet: RestorationModel {
  /// `nafnet`.
  public static let architecture = "nafnet"

  /// The hyperparameters.
  public let configuration: NAFNetConfiguration

  private let intro: any ConvolutionLayer
  private let ending: any ConvolutionLayer
  private let encoders: [[NAFBlock]]
  private let downs: [Convolution]
  private let middle: [NAFBlock]
  private let ups: [Convolution]
  private let decoders: [[NAFBlock]]

  /// A network with initial weights.
  ///
  /// - Parameters:
  ///   - configuration: Checked first.
  ///   - generator: Draws the weights from the input to the output.
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  public init(
    _ configuration: NAFNetConfiguration, using generator: inout SeededGenerator
  ) throws(ModelError) {
    try configuration.validate()
    self.configuration = configuration
    let levels = configuration.encoderBlocks.count
    func blocks(_ count: Int, level: Int) -> [NAFBlock] {
      (0..<count).map { _ in
        NAFBlock(
          channels: configuration.width << level,
          depthwiseExpansion: configuration.depthwiseExpansion,
          feedForwardExpansion: configuration.feedForwardExpansion,
          convolution: configuration.convolution, eps: configuration.layerNormEps,
          using: &generator)
      }
    }
    intro = configuration.convolution.layer(at: configuration.intro, using: &generator)
    var encoders: [[NAFBlock]] = []
    var downs: [Convolution] = []
    for level in 0..<levels {
      let channels = configuration.width << level
      encoders.append(blocks(configuration.encoderBlocks[level], level: level))
      downs.append(
        Convolution(
          inChannels: channels, outChannels: 2 * channels, kernel: [2, 2], stride: [2, 2],
          using: &generator))
    }
    middle = blocks(configuration.middleBlocks, level: levels)
    var ups: [Convolution] = []
    var decoders: [[NAFBlock]] = []
    for index in 0..<levels {
      let channels = configuration.width << (levels - index)
      ups.append(
        Convolution(
          inChannels: channels, outChannels: 2 * channels, kernel: [1, 1], hasBias: false,
          using: &generator))
      decoders.append(blocks(configuration.decoderBlocks[index], level: levels - index - 1))
    }
    ending = configuration.convolution.layer(at: configuration.ending, using: &generator)
    (self.encoders, self.downs, self.ups, self.decoders) = (encoders, downs, ups, decoders)
  }

  /// The stages under the authors' names.
  public var members: [Member] {
    var members: [Member] = [.module("intro", intro), .module("ending", ending)]
    for (index, blocks) in encoders.enumerated() {
      members += Member.modules("encoders.\(index)", blocks)
    }
    for (index, blocks) in decoders.enumerated() {
      members += Member.modules("decoders.\(index)", blocks)
    }
    members += Member.modules("middle_blks", middle)
    members += ups.enumerated().map { .module("ups.\($0).0", $1) }
    return members + Member.modules("downs", downs)
  }

  /// Channels of the image.
  public var inChannels: Int { configuration.imageChannels }

  /// Channels of the image.
  public var outChannels: Int { configuration.imageChannels }

  /// 1: sizes are padded inside, with zeros as the authors do.
  public var sizeMultiple: Int { 1 }

  private var paddedMultiple: Int { 1 << encoders.count }

  /// Those of the convolutions at the padded size, for one image.
  public func multiplyAdds(height: Int, width: Int) -> Int {
    let multiple = paddedMultiple
    let rows = (height + multiple - 1) / multiple * multiple
    let columns = (width + multiple - 1) / multiple * multiple
    func blocks(_ count: Int, level: Int) -> Int {
      let c = configuration.width << level
      let inner = c * configuration.depthwiseExpansion
      let hidden = c * configuration.feedForwardExpansion
      let perPixel = c * inner + 9 * inner + inner / 2 * c + c * hidden + hidden / 2 * c
      return count * (rows * columns >> (2 * level)) * perPixel
    }
    var sum = 2 * 9 * rows * columns * configuration.width * configuration.imageChannels
    let levels = encoders.count
    for level in 0..<levels {
      let (c, pixels) = (configuration.width << level, rows * columns >> (2 * level))
      sum += blocks(configuration.encoderBlocks[level], level: level)
      sum += blocks(configuration.decoderBlocks[levels - 1 - level], level: level)
      // The 2×2 down from this level and the 1×1 up to it.
      sum += pixels / 4 * (4 * c * 2 * c + 2 * c * 4 * c)
    }
    return sum + blocks(configuration.middleBlocks, level: levels)
  }

  /// Maps `[N, H, W, C]` of any size to the same shape.
  public func forward(_ x: Tensor) -> Tensor {
    let (height, width) = (x.shape[1], x.shape[2])
    let multiple = paddedMultiple
    let below = (multiple - height % multiple) % multiple
    let right = (multiple - width % multiple) % multiple
    let padded =
      below + right == 0
      ? x : x.padded(before: [0, 0, 0, 0], after: [0, below, right, 0])
    var y = intro(padded)
    var skips: [Tensor] = []
    for (blocks, down) in zip(encoders, downs) {
      y = blocks.reduce(y) { $1($0) }
      skips.append(y)
      y = down(y)
    }
    y = middle.reduce(y) { $1($0) }
    for (up, blocks) in zip(ups, decoders) {
      y = blocks.reduce(up(y).pixelShuffled(by: 2) + skips.removeLast()) { $1($0) }
    }
    return (ending(y) + padded).cropped(height: height, width: width)
  }
}
