public import Layers
public import Randomness
public import TensorCore

/// Two 3×3 convolutions around a shortcut: `relu(x + bn(conv(relu(bn(conv x)))))`.
///
/// Source: He et al., *Deep Residual Learning for Image Recognition*, CVPR 2016, fig. 5 left.
final class ResidualBasicBlock: Module {
  private let first: NormedKernel
  private let second: NormedKernel
  private let shortcut: NormedKernel?

  init(
    inChannels: Int, outChannels: Int, stride: Int, eps: Float,
    using generator: inout SeededGenerator
  ) {
    first = NormedKernel(
      inChannels: inChannels, outChannels: outChannels, kernel: 3, stride: stride, eps: eps,
      using: &generator)
    second = NormedKernel(
      inChannels: outChannels, outChannels: outChannels, kernel: 3, eps: eps, using: &generator)
    shortcut =
      stride == 1 && inChannels == outChannels
      ? nil
      : NormedKernel(
        inChannels: inChannels, outChannels: outChannels, kernel: 1, stride: stride, eps: eps,
        using: &generator)
  }

  var members: [Member] {
    first.members("conv1", "bn1") + second.members("conv2", "bn2")
      + (shortcut?.members("downsample.0", "downsample.1") ?? [])
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    .sumReLU(second(first(x, activation: .relu)), shortcut?(x) ?? x)
  }
}

/// A 1×1, a 3×3 (which carries the stride) and a 1×1 convolution around a shortcut; the last one has
/// four times the channels of the others.
///
/// Source: He et al., CVPR 2016, fig. 5 right.
final class ResidualBottleneck: Module {
  private let first: NormedKernel
  private let second: NormedKernel
  private let third: NormedKernel
  private let shortcut: NormedKernel?

  init(
    inChannels: Int, innerChannels: Int, stride: Int, eps: Float,
    using generator: inout SeededGenerator
  ) {
    let outChannels = 4 * innerChannels
    first = NormedKernel(
      inChannels: inChannels, outChannels: innerChannels, kernel: 1, eps: eps, using: &generator)
    second = NormedKernel(
      inChannels: innerChannels, outChannels: innerChannels, kernel: 3, stride: stride, eps: eps,
      using: &generator)
    third = NormedKernel(
      inChannels: innerChannels, outChannels: outChannels, kernel: 1, eps: eps, using: &generator)
    shortcut =
      stride == 1 && inChannels == outChannels
      ? nil
      : NormedKernel(
        inChannels: inChannels, outChannels: outChannels, kernel: 1, stride: stride, eps: eps,
        using: &generator)
  }

  var members: [Member] {
    first.members("conv1", "bn1") + second.members("conv2", "bn2") + third.members("conv3", "bn3")
      + (shortcut?.members("downsample.0", "downsample.1") ?? [])
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let y = third(second(first(x, activation: .relu), activation: .relu))
    return .sumReLU(y, shortcut?(x) ?? x)
  }
}

/// The first three stages of a residual network: features at 1/4, 1/8 and 1/16 of the resolution.
///
/// State dictionary: `conv1`, `bn1`, `layer1.0` … `layer3.5`, under the reference framework's names.
///
/// | stage | resnet50 | resnet18 | size |
/// | --- | --- | --- | --- |
/// | 7×7, stride 2, then 3×3 maximum, stride 2 | w | w | 1/4 |
/// | `layer1` | 3 bottlenecks, 4w | 2 basic blocks, w | 1/4 |
/// | `layer2` | 4, 8w | 2, 2w | 1/8 |
/// | `layer3` | 6, 16w | 2, 4w | 1/16 |
public final class ResidualEncoder: Module {
  private let stem: NormedKernel
  private let stages: [[any Module]]

  /// Channels at 1/4, 1/8 and 1/16.
  public let outChannels: [Int]

  /// An encoder with initial weights.
  ///
  /// - Parameters:
  ///   - kind: Which blocks, and how many.
  ///   - inChannels: Channels of the images.
  ///   - width: Channels w of the first stage.
  ///   - eps: Added to the variance in batch norms.
  ///   - generator: Draws the weights in the order of the state dictionary.
  public init(
    _ kind: ResidualEncoderKind, inChannels: Int, width: Int, eps: Float,
    using generator: inout SeededGenerator
  ) {
    stem = NormedKernel(
      inChannels: inChannels, outChannels: width, kernel: 7, stride: 2, eps: eps,
      using: &generator)
    let counts = kind == .resnet50 ? [3, 4, 6] : [2, 2, 2]
    let expansion = kind == .resnet50 ? 4 : 1
    var channels = width
    var stages: [[any Module]] = []
    for (stage, count) in counts.enumerated() {
      let inner = width << stage
      var blocks: [any Module] = []
      for index in 0..<count {
        let stride = stage > 0 && index == 0 ? 2 : 1
        switch kind {
        case .resnet50:
          blocks.append(
            ResidualBottleneck(
              inChannels: channels, innerChannels: inner, stride: stride, eps: eps,
              using: &generator))
        case .resnet18:
          blocks.append(
            ResidualBasicBlock(
              inChannels: channels, outChannels: inner, stride: stride, eps: eps,
              using: &generator))
        }
        channels = inner * expansion
      }
      stages.append(blocks)
    }
    self.stages = stages
    outChannels = (0..<3).map { (width << $0) * expansion }
  }

  /// The stem and the three stages.
  public var members: [Member] {
    stem.members("conv1", "bn1")
      + stages.enumerated().flatMap { Member.modules("layer\($0 + 1)", $1) }
  }

  /// Features of images `[N, H, W, in]`, H and W multiples of 16, at 1/4, 1/8 and 1/16.
  public func callAsFunction(_ x: Tensor) -> [Tensor] {
    var x = stem(x, activation: .relu).maxPooled(kernel: [3], stride: [2], padding: [1])
    return stages.map { blocks in
      for block in blocks {
        switch block {
        case let block as ResidualBottleneck: x = block(x)
        case let block as ResidualBasicBlock: x = block(x)
        default: preconditionFailure("residual encoder: block \(type(of: block))")
        }
      }
      return x
    }
  }
}
