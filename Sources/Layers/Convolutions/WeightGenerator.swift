import Randomness
public import TensorCore

/// The network that makes the kernels of a translation-variant convolution from its affinity maps.
///
/// Blocks of a 3×3 convolution, a layer norm over the whole map and all channels, and a ReLU; then one
/// convolution more. State dictionary, for block j: `j.0.weight` `[B, A or B, 3, 3]`, `j.1.weight` and
/// `j.1.bias` `[B, h, w]`; for the last convolution `(L + 1).weight` `[outputs, B, 3, 3]`.
///
/// Source: Chen et al., CVPR 2022, §3.2 (weight-generating block).
public final class WeightGenerator: Module {
  private struct Block {
    let convolution: Convolution
    let weight: Parameter
    let bias: Parameter
  }

  private let blocks: [Block]
  private let last: Convolution
  private let eps: Float

  init(
    _ sizes: TVConvolutionSizes, outputs: Int, eps: Float, using generator: inout SeededGenerator
  ) {
    func convolution(_ inChannels: Int, _ outChannels: Int) -> Convolution {
      Convolution(
        inChannels: inChannels, outChannels: outChannels, kernel: [3, 3], padding: [1, 1],
        hasBias: false, using: &generator)
    }
    let map: Shape = [sizes.interChannels, sizes.height, sizes.width]
    blocks = (0...sizes.interLayers).map { index in
      Block(
        convolution: convolution(
          index == 0 ? sizes.affinityChannels : sizes.interChannels, sizes.interChannels),
        weight: Parameter(map, repeating: 1), bias: Parameter(map, repeating: 0))
    }
    last = convolution(sizes.interChannels, outputs)
    self.eps = eps
  }

  /// The blocks and the last convolution.
  public var members: [Member] {
    blocks.enumerated().flatMap { index, block in
      [
        Member.module("\(index).0", block.convolution),
        .parameter("\(index).1.weight", block.weight), .parameter("\(index).1.bias", block.bias),
      ]
    } + [.module("\(blocks.count)", last)]
  }

  /// Maps the affinity maps `[1, h, w, A]` to `[1, h, w, outputs]`.
  public func callAsFunction(_ map: Tensor) -> Tensor {
    outputs(
      blocks.reduce(map) { map, block in
        let y = block.convolution(map)
        func flattened(_ parameter: Parameter) -> Tensor {
          parameter.tensor.permuted([1, 2, 0]).reshaped(to: [parameter.count])
        }
        return y.reshaped(to: [1, y.count])
          .layerNormalized(
            weight: flattened(block.weight), bias: flattened(block.bias), eps: eps
          ).relu().reshaped(to: y.shape)
      })
  }

  /// The last convolution as one matrix product.
  ///
  /// Its many outputs at few positions make the kernel larger than all maps together. A product takes
  /// the kernel, and gives its gradient, as it is stored; a convolution would re-arrange both.
  private func outputs(_ map: Tensor) -> Tensor {
    let (height, width, channels) = (map.shape[1], map.shape[2], map.shape.channels)
    let padded = map.padded(before: [0, 1, 1, 0], after: [0, 1, 1, 0])
    let windows = (0..<9).map { tap in
      padded.sliced([0..<1, tap / 3..<tap / 3 + height, tap % 3..<tap % 3 + width, 0..<channels])
    }
    // Tap and channel change places: the kernel has the channel first.
    let columns = Tensor.concatenate(windows, axis: -1)
      .reshaped(to: [height * width, 9, channels]).permuted([0, 2, 1])
      .reshaped(to: [height * width, 9 * channels])
    let count = last.weight.shape[0]
    return columns.linear(last.weight.tensor.reshaped(to: [count, 9 * channels]))
      .reshaped(to: [1, height, width, count])
  }
}
