public import Layers
public import Randomness
public import TensorCore

/// One path of the stroke system: a U-shaped network on slices of two modalities.
///
/// | stage | member | size |
/// | --- | --- | --- |
/// | encoder of T1, five levels | `anat_encoder` | H/2ˡ, W/2ˡ |
/// | encoder of FLAIR (or the mirrored T1) | `flair_encoder` | likewise |
/// | fusion of each level | `fuse` | likewise |
/// | decoder with added skips | `decoder` | H, W |
///
/// Source: Xue et al., *A multi-path 2.5 dimensional convolutional neural network system for segmenting
/// stroke lesions in brain MRI images*, NeuroImage: Clinical 25 (2019) 102118, and its published code.
public final class StrokePathNetwork: RestorationModel {
  /// `stroke-2d`.
  public static let architecture = "stroke-2d"

  /// The hyperparameters.
  public let configuration: StrokeConfiguration

  private let anatomy: StrokeEncoder
  private let flair: StrokeEncoder
  private let fusion: StrokeFusions
  private let decoder: StrokeDecoder

  /// A network with initial weights.
  ///
  /// - Parameters:
  ///   - configuration: Checked first.
  ///   - generator: Draws the weights.
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  public init(
    _ configuration: StrokeConfiguration, using generator: inout SeededGenerator
  ) throws(ModelError) {
    try configuration.validate()
    self.configuration = configuration
    anatomy = StrokeEncoder(configuration, using: &generator)
    flair = StrokeEncoder(configuration, using: &generator)
    fusion = StrokeFusions(configuration, using: &generator)
    decoder = StrokeDecoder(configuration, using: &generator)
  }

  /// The two encoders, the fusion and the decoder.
  public var members: [Member] {
    [
      .module("anat_encoder", anatomy), .module("flair_encoder", flair),
      .module("fuse", fusion), .module("decoder", decoder),
    ]
  }

  /// Makes the channels that the decoder drops next depend on a seed alone.
  public func reseedDropout(_ seed: UInt64) { decoder.dropout.reseed(seed) }

  /// 2: T1, and FLAIR or the mirrored T1.
  public var inChannels: Int { 2 }

  /// The classes.
  public var outChannels: Int { configuration.classes }

  /// 16: four levels are below full resolution.
  public var sizeMultiple: Int { 16 }

  /// Of all convolutions.
  public func multiplyAdds(height: Int, width: Int) -> Int {
    let c = configuration.channels
    let pixels = (0..<5).map { height * width >> (2 * $0) }
    var sum = 2 * pixels[0] * 9 * c
    for (level, depth) in StrokeEncoder.depths.enumerated() {
      // Both encoders, the fusion.
      sum += pixels[level] * (2 * depth * 9 + 2) * c * c
    }
    for level in 0..<4 {
      // The doubling, two convolutions.
      sum += pixels[level] * (1 + 18) * c * c
    }
    return sum + pixels[0] * c * configuration.classes
  }

  /// Maps `[N, H, W, 2]`, H and W multiples of 16, to logits `[N, H, W, classes]`.
  public func forward(_ x: Tensor) -> Tensor {
    var maps = x.split(axis: -1, sizes: [1, 1])
    // Both encoders level by level: so the fusion reads what was just written.
    return decoder(
      StrokeEncoder.depths.indices.map { level in
        maps = zip([anatomy, flair], maps).map { $0.features(atLevel: level, of: $1) }
        return fusion(level: level, maps[0], maps[1])
      })
  }
}
