import Layers
import Randomness
import TensorCore

/// The decoder: from the coarsest level up, each time doubled in size and added to the level above.
///
/// State dictionary: `deconv1` to `deconv4` (coarsest first), `conv1` to `conv4`, `conv`.
final class StrokeDecoder: Module {
  private let doublings: [Parameter]
  private let levels: [ActivatedConvolutions]
  let dropout: Dropout
  private let output: Convolution

  init(_ configuration: StrokeConfiguration, using generator: inout SeededGenerator) {
    let channels = configuration.channels
    doublings = (0..<4).map { _ in
      .uniform([channels, channels, 2, 2], fanIn: 4 * channels, using: &generator)
    }
    levels = (0..<4).map { _ in
      ActivatedConvolutions(count: 2, configuration, using: &generator)
    }
    dropout = Dropout(
      probability: configuration.dropout, dropsChannels: true, using: &generator)
    output = Convolution(
      inChannels: channels, outChannels: configuration.classes, kernel: [1, 1], hasBias: false,
      using: &generator)
    output.weight.drawKaimingNormal(fanOut: configuration.classes, using: &generator)
  }

  var members: [Member] {
    doublings.enumerated().map { .parameter("deconv\($0 + 1).weight", $1) }
      + levels.enumerated().map { .module("conv\($0 + 1)", $1) }
      + [.module("dropout", dropout), .module("conv", output)]
  }

  /// Maps the fused features, finest first, to logits `[N, H, W, classes]`.
  func callAsFunction(_ features: [Tensor]) -> Tensor {
    var x = features[4]
    for (index, level) in levels.enumerated() {
      let doubled = x.transposedConvolved(with: doublings[index].tensor, stride: [2])
      x = dropout(level(doubled + features[3 - index]))
    }
    return output(x)
  }
}
