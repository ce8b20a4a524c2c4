import Layers
import Randomness
import TensorCore

/// Joins the features of two modalities: ReLU, a linear map of both, batch norm.
///
/// The authors stack the modalities on an axis of their own and convolve over it with a kernel of two;
/// that is one linear map of the channels side by side.
///
/// State dictionary: `conv.weight` `[C, C, 2, 1, 1]` (axis 2: modality), `bn`.
final class StrokeFusion: Module {
  private let weight: Parameter
  private let norm: BatchNorm

  init(_ configuration: StrokeConfiguration, using generator: inout SeededGenerator) {
    let channels = configuration.channels
    weight = Parameter([channels, channels, 2, 1, 1], repeating: 0)
    weight.drawKaimingNormal(fanOut: 2 * channels, using: &generator)
    norm = .stroke(configuration)
  }

  var members: [Member] { [.parameter("conv.weight", weight), .module("bn", norm)] }

  /// Maps two `[N, H, W, C]` to one.
  func callAsFunction(_ first: Tensor, _ second: Tensor) -> Tensor {
    let channels = weight.shape[0]
    let matrix = weight.tensor.reshaped(to: [channels, channels, 2]).permuted([0, 2, 1])
      .reshaped(to: [channels, 2 * channels])
    return norm(Tensor.concatenate([first.relu(), second.relu()], axis: -1).linear(matrix))
  }
}

/// The fusion blocks of all levels, of which the published network uses only the first.
///
/// The weight file has five, `fuse0` to `fuse4`.
final class StrokeFusions: Module {
  private let blocks: [StrokeFusion]
  private let areSeparate: Bool

  init(_ configuration: StrokeConfiguration, using generator: inout SeededGenerator) {
    blocks = StrokeEncoder.depths.map { _ in StrokeFusion(configuration, using: &generator) }
    areSeparate = configuration.separateFusion
  }

  var members: [Member] { blocks.enumerated().map { .module("fuse\($0)", $1) } }

  /// Joins the features of two encoders at a level.
  func callAsFunction(level: Int, _ first: Tensor, _ second: Tensor) -> Tensor {
    blocks[areSeparate ? level : 0](first, second)
  }
}
