import Layers
import Randomness
import TensorCore

/// The head of the optic disc and cup network: five parallel branches on the high-level map, joined with
/// the low-level map.
///
/// State dictionary: `project.{0,1}`; `aspp.convs.0.{0,1}`, `aspp.convs.{1,2,3}.0.…`,
/// `aspp.convs.4.{1,2}`, `aspp.project.{0,1}`; `classifier.{0,1}`, `classifier.3`.
///
/// Source: Chen et al., *DeepLabV3+*, ECCV 2018, fig. 2; *TVConv*, CVPR 2022, §4.2.
final class PyramidHead: Module {
  /// One of the three middle branches.
  private enum Branch {
    case block(InvertedResidual)
    case dilated(NormedKernel)
  }

  private let lowProjection: NormedKernel
  private let pointwise: NormedKernel
  private let branches: [Branch]
  private let pooled: NormedKernel
  private let projection: NormedKernel
  private let dropout: Dropout
  private let joined: NormedKernel
  private let output: Convolution

  private static let lowChannels = 48

  /// A head with initial weights, normal with variance 2 / fan-in, those of the generators too.
  init(_ configuration: TVConvNetConfiguration, using generator: inout SeededGenerator) {
    let (inChannels, width) = (MobileNetBackbone.highChannels, configuration.headChannels)
    func normed(
      _ from: Int, _ to: Int, kernel: Int = 1, dilation: Int = 1
    ) -> NormedKernel {
      let padding = kernel / 2 * dilation
      return NormedKernel(
        Convolution(
          inChannels: from, outChannels: to, kernel: [kernel, kernel],
          padding: [padding, padding], dilation: [dilation, dilation], hasBias: false,
          using: &generator), BatchNorm(channels: to))
    }
    func block(_ kind: DepthwiseKind) -> Branch {
      .block(
        InvertedResidual(
          inChannels: inChannels, outChannels: width, hidden: inChannels * configuration.expansion,
          expands: configuration.expansion != 1, kind: kind, using: &generator))
    }
    lowProjection = normed(MobileNetBackbone.lowChannels, Self.lowChannels)
    pointwise = normed(inChannels, width)
    let side = configuration.imageSize / 16
    // The dilations belong to the dilated branches alone; the authors' code passes them to the others
    // too, which do not use them.
    branches = [6, 12, 18].map { dilation in
      switch configuration.branch {
      case .dilated: return .dilated(normed(inChannels, width, kernel: 3, dilation: dilation))
      case .depthwise: return block(.depthwise(stride: 1, dilation: 1, padsInput: false))
      case .translationVariant:
        var sizes = TVConvolutionSizes(
          channels: inChannels * configuration.expansion, height: side, width: side)
        sizes.affinityChannels = configuration.affinityChannels
        sizes.interChannels = configuration.interChannels
        sizes.interLayers = configuration.interLayers
        return block(
          configuration.isFrozen ? .frozen(sizes) : .translationVariant(sizes, eps: 1e-5))
      }
    }
    pooled = normed(inChannels, width)
    projection = normed(5 * width, width)
    dropout = Dropout(probability: configuration.dropout, using: &generator)
    joined = normed(Self.lowChannels + width, width, kernel: 3)
    output = Convolution(
      inChannels: width, outChannels: configuration.classes, kernel: [1, 1], using: &generator)
    redrawKernels(fan: { $0.count / $0[0] }, using: &generator)
  }

  /// The layers under the authors' names.
  var members: [Member] {
    var members = lowProjection.members("project.0", "project.1")
    members += pointwise.members("aspp.convs.0.0", "aspp.convs.0.1")
    for (index, branch) in branches.enumerated() {
      switch branch {
      case .block(let block): members.append(.module("aspp.convs.\(index + 1).0", block))
      case .dilated(let pair):
        members += pair.members("aspp.convs.\(index + 1).0", "aspp.convs.\(index + 1).1")
      }
    }
    members += pooled.members("aspp.convs.4.1", "aspp.convs.4.2")
    members += projection.members("aspp.project.0", "aspp.project.1")
    members.append(.module("aspp.project.3", dropout))
    members += joined.members("classifier.0", "classifier.1")
    return members + [.module("classifier.3", output)]
  }

  /// The translation-variant convolutions with their norms by the name of the block, as it stands in
  /// the state dictionary.
  var translationVariant: [(name: String, convolution: TVConvolution, norm: BatchNorm)] {
    branches.enumerated().compactMap { index, branch in
      guard case .block(let block) = branch, let (layer, norm) = block.translationVariant else {
        return nil
      }
      return ("aspp.convs.\(index + 1).0", layer, norm)
    }
  }

  /// Maps the two outputs of the backbone to logits `[N, S/4, S/4, classes]`.
  func callAsFunction(low: Tensor, high: Tensor) -> Tensor {
    let whole = pooled(high.mean(axes: [1, 2], keepingAxes: true), activation: .relu)
    let middle = branches.map { branch in
      switch branch {
      case .block(let block): block(high)
      case .dilated(let pair): pair(high, activation: .relu)
      }
    }
    let (rows, columns) = (high.shape[1], high.shape[2])
    // Resizing one pixel is the same as repeating it.
    let spread = whole.broadcast(to: [high.shape[0], rows, columns, whole.shape.channels])
    let joinedBranches = Tensor.concatenate(
      [pointwise(high, activation: .relu)] + middle + [spread], axis: -1)
    let context = dropout(projection(joinedBranches, activation: .relu))
    let enlarged = context.resized(
      to: [low.shape[1], low.shape[2]], mode: .linear(alignCorners: false))
    return output(
      joined(
        .concatenate([lowProjection(low, activation: .relu), enlarged], axis: -1),
        activation: .relu))
  }
}
