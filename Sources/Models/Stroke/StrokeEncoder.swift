import Layers
import Randomness
import TensorCore

/// The encoder of one modality: five levels of features, each half the size of the one before.
///
/// State dictionary: `conv0`, `bn0`, `conv1` to `conv5`.
final class StrokeEncoder: Module {
  private let embedding: Convolution
  private let embeddingNorm: BatchNorm
  private let levels: [ActivatedConvolutions]

  /// Convolutions of each level.
  static let depths = [1, 3, 3, 3, 2]

  init(_ configuration: StrokeConfiguration, using generator: inout SeededGenerator) {
    embedding = .stroke(inChannels: 1, outChannels: configuration.channels, using: &generator)
    embeddingNorm = .stroke(configuration)
    levels = Self.depths.map {
      ActivatedConvolutions(count: $0, configuration, using: &generator)
    }
  }

  var members: [Member] {
    [.module("conv0", embedding), .module("bn0", embeddingNorm)]
      + levels.enumerated().map { .module("conv\($0 + 1)", $1) }
  }

  /// The features of a level, `[N, H/2ˡ, W/2ˡ, C]`, l = 0…4.
  ///
  /// - Parameters:
  ///   - level: l.
  ///   - x: Slices `[N, H, W, 1]` for level 0, else the features of the level before.
  /// - Returns: C channels, not yet through the ReLU.
  func features(atLevel level: Int, of x: Tensor) -> Tensor {
    levels[level](level == 0 ? embeddingNorm(embedding(x)) : x.averagePooled(kernel: [2]))
  }
}
