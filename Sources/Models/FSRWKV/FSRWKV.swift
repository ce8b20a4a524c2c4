public import Layers
public import Randomness
public import TensorCore

/// FS-RWKV: a U-shaped network of attention blocks with frequency-aware shifts, whose skips pass
/// through a spatial-frequency enhancement; for translation of 3 T to 7 T MRI.
///
/// With d = ``FSRWKVConfiguration/channels``, for one image of height H and width W:
///
/// | stage | members | channels | size |
/// | --- | --- | --- | --- |
/// | embedding, 3×3 | `patch_embed` | d | H, W |
/// | encoder 1 | `encoder_level1` | d | H, W |
/// | down, encoder 2 | `down1_2`, `encoder_level2` | 2d | H/2, W/2 |
/// | down, encoder 3 | `down2_3`, `encoder_level3` | 4d | H/4, W/4 |
/// | down, deepest level | `down3_4`, `latent` | 8d | H/8, W/8 |
/// | up, join enhanced encoder 3, 1×1 | `up4_3`, `enhance_level3`, `reduce_chan_level3`, `decoder_level3` | 4d | H/4, W/4 |
/// | up, join enhanced encoder 2, 1×1 | `up3_2`, `enhance_level2`, `reduce_chan_level2`, `decoder_level2` | 2d | H/2, W/2 |
/// | up, join enhanced encoder 1 | `up2_1`, `enhance_level1`, `decoder_level1` | 2d | H, W |
/// | refinement | `refinement` | 2d | H, W |
/// | output, 3×3, plus the input | `output` | 1 | H, W |
///
/// Source: FS-RWKV, arXiv 2510.08951, IEEE BIBM 2025.
public final class FSRWKV: RestorationModel {
  /// `fs-rwkv`.
  public static let architecture = "fs-rwkv"

  /// The hyperparameters.
  public let configuration: FSRWKVConfiguration

  private let patchEmbed: Convolution
  private let encoders: [[FrequencyBlock]]
  private let downs: [Downsample]
  private let latent: [FrequencyBlock]
  private let ups: [Upsample]
  private let enhancements: [FrequencyEnhancement]
  private let reductions: [Convolution]
  private let decoders: [[FrequencyBlock]]
  private let refinement: [FrequencyBlock]
  private let output: Convolution

  /// A network with initial weights.
  ///
  /// - Parameters:
  ///   - configuration: Checked first.
  ///   - generator: Draws the weights, encoder first.
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  public init(
    _ configuration: FSRWKVConfiguration, using generator: inout SeededGenerator
  ) throws(ModelError) {
    try configuration.validate()
    self.configuration = configuration
    let d = configuration.channels
    var norms = EnhancementNorms()
    norms.layerNormEps = configuration.layerNormEps
    norms.groupNormEps = configuration.groupNormEps
    norms.batchNormEps = configuration.batchNormEps
    norms.batchNormMomentum = configuration.batchNormMomentum
    func blocks(_ count: Int, channels: Int) -> [FrequencyBlock] {
      (0..<count).map { index in
        FrequencyBlock(
          channels: channels, hiddenRate: configuration.hiddenRate,
          layerNormEps: configuration.layerNormEps,
          position: LevelPosition(index: index, of: count), using: &generator)
      }
    }
    func convolution(_ inputs: Int, _ outputs: Int, size: Int) -> Convolution {
      Convolution(
        inChannels: inputs, outChannels: outputs, kernel: [size, size],
        padding: [size / 2, size / 2], using: &generator)
    }
    patchEmbed = convolution(configuration.inChannels, d, size: 3)
    encoders = (0..<3).map { blocks(configuration.blocks[$0], channels: d << $0) }
    downs = (0..<3).map { Downsample(channels: d << $0, using: &generator) }
    latent = blocks(configuration.blocks[3], channels: 8 * d)
    ups = (0..<3).map { Upsample(channels: 2 * d << $0, using: &generator) }
    enhancements = (0..<3).map {
      FrequencyEnhancement(channels: d << $0, norms: norms, using: &generator)
    }
    reductions = (1..<3).map { convolution(2 * d << $0, d << $0, size: 1) }
    decoders = (0..<3).map {
      blocks(configuration.blocks[$0], channels: $0 == 0 ? 2 * d : d << $0)
    }
    refinement = blocks(configuration.refinementBlocks, channels: 2 * d)
    output = convolution(2 * d, configuration.outChannels, size: 3)
  }

  /// The stages, by the authors' names.
  public var members: [Member] {
    var members: [Member] = [.module("patch_embed", patchEmbed)]
    for level in 0..<3 {
      members += Member.modules("encoder_level\(level + 1)", encoders[level])
      members.append(.module("down\(level + 1)_\(level + 2)", downs[level]))
    }
    members += Member.modules("latent", latent)
    for level in (0..<3).reversed() {
      members.append(.module("up\(level + 2)_\(level + 1)", ups[level]))
      members.append(.module("enhance_level\(level + 1)", enhancements[level]))
      if level > 0 {
        members.append(.module("reduce_chan_level\(level + 1)", reductions[level - 1]))
      }
      members += Member.modules("decoder_level\(level + 1)", decoders[level])
    }
    members += Member.modules("refinement", refinement)
    return members + [.module("output", output)]
  }

  /// Channels of the input.
  public var inChannels: Int { configuration.inChannels }

  /// Channels of the output.
  public var outChannels: Int { configuration.outChannels }

  /// 8: three levels are below full resolution, and the enhancement needs even maps on the others.
  public var sizeMultiple: Int { 8 }

  /// 193 · 10⁹ for the paper's configuration at 256×256.
  public func multiplyAdds(height: Int, width: Int) -> Int {
    let (d, hidden) = (configuration.channels, configuration.hiddenRate)
    func blocks(_ count: Int, channels c: Int, pixels: Int) -> Int {
      // Four maps of the attention, the receptance and two maps with the hidden channels.
      count * pixels * (5 + 2 * hidden) * c * c
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
      sum += FrequencyEnhancement.multiplyAdds(channels: c, pixels: pixels[level])
    }
    sum += blocks(counts[3], channels: 8 * d, pixels: pixels[3])
    return sum + blocks(configuration.refinementBlocks, channels: 2 * d, pixels: pixels[0])
  }

  /// Maps `[N, H, W, inChannels]`, H and W multiples of 8, to `[N, H, W, outChannels]`.
  public func forward(_ x: Tensor) -> Tensor {
    var skips: [Tensor] = []
    var y = patchEmbed(x)
    for level in 0..<3 {
      y = run(encoders[level], y)
      skips.append(y)
      y = downs[level](y)
    }
    y = run(latent, y)
    for level in (0..<3).reversed() {
      y = .concatenate([ups[level](y), enhancements[level](skips.removeLast())], axis: -1)
      if level > 0 { y = reductions[level - 1](y) }
      y = run(decoders[level], y)
    }
    return output(run(refinement, y)) + x.middleChannels(configuration.outChannels)
  }

  /// Runs blocks one after the other; each input is let go of as soon as its block is done with it.
  private func run(_ blocks: [FrequencyBlock], _ x: consuming Tensor) -> Tensor {
    for block in blocks { x = block(consume x) }
    return x
  }
}
