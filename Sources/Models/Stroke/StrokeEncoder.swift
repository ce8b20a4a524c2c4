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

  /// Maps `[N, H, W, 1]` to five maps `[N, H/2ˡ, W/2ˡ, C]`, l = 0…4.
  func callAsFunction(_ x: Tensor) -> [Tensor] {
    var features: [Tensor] = []
    var x = embeddingNorm(embedding(x))
    for (index, level) in levels.enumerated() {
      if index > 0 { x = x.averagePooled(kernel: [2]) }
      x = level(x)
      features.append(x)
    }
    return features
  }
}
