import Layers
import Randomness
import TensorCore

/// MobileNetV2 with output stride 16, in the form that the authors of the segmentation network use.
///
/// The first convolution is not padded (256 → 127); each block pads its input by its dilation before its
/// first 1×1 convolution. Maps of an image of side 256, feature index in the original network:
///
/// | features | expansion, channels | side |
/// | --- | --- | --- |
/// | 0: 3×3 stride 2 | 32 | 127 |
/// | 1 | 1, 16 | 127 |
/// | 2–3, the low-level output | 6, 24 | 64 |
/// | 4–6 | 6, 32 | 32 |
/// | 7–10 | 6, 64 | 16 |
/// | 11–13 | 6, 96 | 16 |
/// | 14–16, dilation 1, 2, 2 instead of stride 2 | 6, 160 | 16 |
/// | 17, dilation 2 | 6, 320 | 16 |
///
/// State dictionary: `low_level_features.{0…3}`, `high_level_features.{0…13}`.
///
/// Source: Sandler et al., *MobileNetV2*, CVPR 2018, table 2; Chen et al., *DeepLabV3+*, ECCV 2018.
final class MobileNetBackbone: Module {
  private let first: NormedKernel
  private let blocks: [InvertedResidual]

  /// Blocks of the low-level part, the first convolution not counted.
  private static let lowLevel = 3

  /// Channels of the low-level output.
  static let lowChannels = 24

  /// Channels of the high-level output.
  static let highChannels = 320

  /// A backbone with initial weights, normal with variance 2 / fan-out.
  init(using generator: inout SeededGenerator) {
    first = NormedKernel(
      Convolution(
        inChannels: 3, outChannels: 32, kernel: [3, 3], stride: [2, 2], hasBias: false,
        using: &generator), BatchNorm(channels: 32))
    // Expansion, channels, blocks, stride and dilation of the first block, dilation of the others.
    let stages = [
      (1, 16, 1, 1, 1, 1), (6, 24, 2, 2, 1, 1), (6, 32, 3, 2, 1, 1), (6, 64, 4, 2, 1, 1),
      (6, 96, 3, 1, 1, 1), (6, 160, 3, 1, 1, 2), (6, 320, 1, 1, 2, 2),
    ]
    var channels = 32
    var blocks: [InvertedResidual] = []
    for (expansion, outChannels, count, stride, firstDilation, dilation) in stages {
      for index in 0..<count {
        blocks.append(
          InvertedResidual(
            inChannels: channels, outChannels: outChannels, hidden: channels * expansion,
            expands: expansion != 1,
            kind: .depthwise(
              stride: index == 0 ? stride : 1, dilation: index == 0 ? firstDilation : dilation,
              padsInput: true), using: &generator))
        channels = outChannels
      }
    }
    self.blocks = blocks
    redrawKernels(fan: { $0.count / $0[1] }, using: &generator)
  }

  /// The first convolution and the blocks under the authors' names.
  var members: [Member] {
    let low = blocks.prefix(Self.lowLevel).enumerated().map { index, block in
      Member.module("low_level_features.\(index + 1)", block)
    }
    return first.members("low_level_features.0.0", "low_level_features.0.1") + low
      + Member.modules("high_level_features", Array(blocks.dropFirst(Self.lowLevel)))
  }

  /// Maps `[N, S, S, 3]` to `[N, S/4, S/4, 24]` and `[N, S/16, S/16, 320]`, S a multiple of 16.
  func callAsFunction(_ x: Tensor) -> (low: Tensor, high: Tensor) {
    let low = blocks.prefix(Self.lowLevel).reduce(first(x).relu6()) { $1($0) }
    return (low, blocks.dropFirst(Self.lowLevel).reduce(low) { $1($0) })
  }
}

extension Module {
  /// Draws all kernels of convolutions anew, normal with variance 2 / fan.
  ///
  /// - Parameters:
  ///   - fan: The fan of a kernel `[out, in/groups, k, k]`.
  ///   - generator: Draws the weights in the order of the state dictionary.
  func redrawKernels(fan: (Shape) -> Int, using generator: inout SeededGenerator) {
    for (name, parameter) in parameters
    where parameter.shape.rank == 4 && name.hasSuffix("weight") {
      let deviation = (2 / Float(fan(parameter.shape))).squareRoot()
      parameter.update { generator.fillNormal($0, standardDeviation: deviation) }
    }
  }
}
