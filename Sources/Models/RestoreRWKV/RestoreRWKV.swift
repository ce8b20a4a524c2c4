public import Layers
public import Randomness
public import TensorCore

/// Restore-RWKV: a U-shaped network of blocks with linear-cost attention, for image restoration.
///
/// With d = ``RestoreRWKVConfiguration/channels``, for one image of height H and width W:
///
/// | stage | members | channels | size |
/// | --- | --- | --- | --- |
/// | embedding, 3×3 | `patch_embed` | d | H, W |
/// | encoder 1 | `encoder_level1` | d | H, W |
/// | down, encoder 2 | `down1_2`, `encoder_level2` | 2d | H/2, W/2 |
/// | down, encoder 3 | `down2_3`, `encoder_level3` | 4d | H/4, W/4 |
/// | down, deepest level | `down3_4`, `latent` | 8d | H/8, W/8 |
/// | up, join encoder 3, 1×1 | `up4_3`, `reduce_chan_level3`, `decoder_level3` | 4d | H/4, W/4 |
/// | up, join encoder 2, 1×1 | `up3_2`, `reduce_chan_level2`, `decoder_level2` | 2d | H/2, W/2 |
/// | up, join encoder 1 | `up2_1`, `decoder_level1` | 2d | H, W |
/// | refinement | `refinement` | 2d | H, W |
/// | output, 3×3, plus the input (of several slices, the middle one) | `output` | 1 | H, W |
///
/// Source: Yang et al., *Restore-RWKV: Efficient and Effective Medical Image Restoration with RWKV*,
/// arXiv 2407.11087, IEEE JBHI 30(1), 2026.
public final class RestoreRWKV: RestorationModel {
  /// `restore-rwkv`.
  public static let architecture = "restore-rwkv"

  /// The hyperparameters.
  public let configuration: RestoreRWKVConfiguration

  private let patchEmbed: Convolution
  private let encoder1: [RestoreBlock]
  private let down1To2: Downsample
  private let encoder2: [RestoreBlock]
  private let down2To3: Downsample
  private let encoder3: [RestoreBlock]
  private let down3To4: Downsample
  private let latent: [RestoreBlock]
  private let up4To3: Upsample
  private let reduce3: Convolution
  private let decoder3: [RestoreBlock]
  private let up3To2: Upsample
  private let reduce2: Convolution
  private let decoder2: [RestoreBlock]
  private let up2To1: Upsample
  private let decoder1: [RestoreBlock]
  private let refinement: [RestoreBlock]
  private let output: Convolution

  /// A network with initial weights.
  ///
  /// - Parameters:
  ///   - configuration: Checked first.
  ///   - generator: Draws the weights in the order of the state dictionary.
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  public init(
    _ configuration: RestoreRWKVConfiguration, using generator: inout SeededGenerator
  ) throws(ModelError) {
    try configuration.validate()
    self.configuration = configuration
    let d = configuration.channels
    func blocks(_ count: Int, channels: Int) -> [RestoreBlock] {
      (0..<count).map { _ in
        RestoreBlock(
          channels: channels, hiddenRate: configuration.hiddenRate,
          recurrences: configuration.recurrences, shift: configuration.shift,
          layerNormEps: configuration.layerNormEps,
          using: &generator)
      }
    }
    func convolution(
      _ inChannels: Int, _ outChannels: Int, size: Int
    ) -> Convolution {
      Convolution(
        inChannels: inChannels, outChannels: outChannels, kernel: [size, size],
        padding: [size / 2, size / 2], using: &generator)
    }
    patchEmbed = convolution(configuration.inChannels, d, size: 3)
    encoder1 = blocks(configuration.blocks[0], channels: d)
    down1To2 = Downsample(channels: d, using: &generator)
    encoder2 = blocks(configuration.blocks[1], channels: 2 * d)
    down2To3 = Downsample(channels: 2 * d, using: &generator)
    encoder3 = blocks(configuration.blocks[2], channels: 4 * d)
    down3To4 = Downsample(channels: 4 * d, using: &generator)
    latent = blocks(configuration.blocks[3], channels: 8 * d)
    up4To3 = Upsample(channels: 8 * d, using: &generator)
    reduce3 = convolution(8 * d, 4 * d, size: 1)
    decoder3 = blocks(configuration.blocks[2], channels: 4 * d)
    up3To2 = Upsample(channels: 4 * d, using: &generator)
    reduce2 = convolution(4 * d, 2 * d, size: 1)
    decoder2 = blocks(configuration.blocks[1], channels: 2 * d)
    up2To1 = Upsample(channels: 2 * d, using: &generator)
    decoder1 = blocks(configuration.blocks[0], channels: 2 * d)
    refinement = blocks(configuration.refinementBlocks, channels: 2 * d)
    output = convolution(2 * d, configuration.outChannels, size: 3)
  }

  /// The stages, by the authors' names and in their order.
  public var members: [Member] {
    var members: [Member] = [.module("patch_embed", patchEmbed)]
    members += Member.modules("encoder_level1", encoder1)
    members += [.module("down1_2", down1To2)] + Member.modules("encoder_level2", encoder2)
    members += [.module("down2_3", down2To3)] + Member.modules("encoder_level3", encoder3)
    members += [.module("down3_4", down3To4)] + Member.modules("latent", latent)
    members += [.module("up4_3", up4To3), .module("reduce_chan_level3", reduce3)]
    members += Member.modules("decoder_level3", decoder3)
    members += [.module("up3_2", up3To2), .module("reduce_chan_level2", reduce2)]
    members += Member.modules("decoder_level2", decoder2)
    members += [.module("up2_1", up2To1)] + Member.modules("decoder_level1", decoder1)
    members += Member.modules("refinement", refinement)
    members += [.module("output", output)]
    return members
  }

  /// Channels of the input.
  public var inChannels: Int { configuration.inChannels }

  /// Channels of the output.
  public var outChannels: Int { configuration.outChannels }

  /// 8: three levels are below full resolution.
  public var sizeMultiple: Int { 8 }

  /// 149.1 · 10⁹ for the paper's configuration at 256×256.
  public func multiplyAdds(height: Int, width: Int) -> Int {
    let (d, hidden) = (configuration.channels, configuration.hiddenRate)
    func blocks(_ count: Int, channels c: Int, pixels: Int) -> Int {
      // Four maps of the attention, the receptance and two maps with the hidden channels, two shifts.
      count * pixels * ((5 + 2 * hidden) * c * c + 2 * 25 * c)
    }
    let pixels = (0..<4).map { height * width >> (2 * $0) }
    let counts = configuration.blocks
    var sum = 9 * pixels[0] * d * (configuration.inChannels + 2 * configuration.outChannels)
    for level in 0..<3 {
      let (c, upper) = (d << level, level == 0 ? 2 * d : d << level)
      sum += blocks(counts[level], channels: c, pixels: pixels[level])
      sum += blocks(counts[level], channels: upper, pixels: pixels[level])
      // Down from this level, up to it, and the 1×1 that joins both.
      sum += 9 * pixels[level] * c * c / 2
      sum += 9 * pixels[level + 1] * 2 * c * 4 * c
      if level > 0 { sum += pixels[level] * 2 * c * c }
    }
    sum += blocks(counts[3], channels: 8 * d, pixels: pixels[3])
    return sum + blocks(configuration.refinementBlocks, channels: 2 * d, pixels: pixels[0])
  }

  /// Maps `[N, H, W, inChannels]`, H and W multiples of 8, to `[N, H, W, outChannels]`.
  public func forward(_ x: Tensor) -> Tensor { forward(x, bandRows: nil) }

  /// The same with blocks that work band by band.
  private func forward(_ x: Tensor, bandRows: Int?) -> Tensor {
    func run(_ blocks: [RestoreBlock], _ x: consuming Tensor) -> Tensor {
      self.run(blocks, consume x, bandRows: bandRows)
    }
    let e1 = run(encoder1, patchEmbed(x))
    let e2 = run(encoder2, down1To2(e1))
    let e3 = run(encoder3, down2To3(e2))
    var y = up4To3(run(latent, down3To4(e3)))
    y = reduce3(.concatenate([y, consume e3], axis: -1))
    y = up3To2(run(decoder3, consume y))
    y = reduce2(.concatenate([y, consume e2], axis: -1))
    y = up2To1(run(decoder2, consume y))
    y = .concatenate([y, consume e1], axis: -1)
    y = run(refinement, run(decoder1, consume y))
    return output(y) + x.middleChannels(configuration.outChannels)
  }

  /// Runs blocks one after the other; each input is let go of as soon as its block is done with it.
  private func run(
    _ blocks: [RestoreBlock], _ x: consuming Tensor, bandRows: Int?
  ) -> Tensor {
    for block in blocks {
      if let bandRows {
        x = block.inBands(of: bandRows, consume x)
      } else {
        x = block(consume x)
      }
    }
    return x
  }
}

extension RestoreRWKV: BandedModel {
  /// As ``forward(_:)``, but what is not recurrent exists only for a band of rows at a time.
  public func forwardInBands(of rows: Int, _ x: Tensor) -> Tensor {
    forward(x, bandRows: rows)
  }
}
