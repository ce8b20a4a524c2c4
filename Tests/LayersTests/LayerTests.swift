import Layers
import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("Layers")
struct LayerTests {
  private static func generator() -> SeededGenerator { SeededGenerator(seed: 3) }

  @Test("initial weights fill ±1/√fan-in and depend on the seed alone")
  func initialisation() {
    var generator = Self.generator()
    let linear = Linear(inChannels: 64, outChannels: 50, using: &generator)
    let convolution = Convolution(
      inChannels: 8, outChannels: 6, kernel: [3, 3], groups: 2, using: &generator)
    #expect(convolution.weight.shape == [6, 4, 3, 3])
    let cases: [(Parameter?, Int)] = [
      (linear.weight, 64), (linear.bias, 64), (convolution.weight, 36), (convolution.bias, 36),
    ]
    for (parameter, fanIn) in cases {
      let bound = 1 / Float(fanIn).squareRoot()
      let largest = parameter?.tensor.values.map(\.magnitude).max() ?? .infinity
      #expect(largest <= bound)
      #expect(largest > 0.5 * bound)
    }
    let mean = linear.weight.tensor.values.reduce(0, +) / Float(linear.weight.count)
    #expect(mean.magnitude < 0.01)
    var again = Self.generator()
    let copy = Linear(inChannels: 64, outChannels: 50, using: &again)
    #expect(copy.weight.tensor.values == linear.weight.tensor.values)
    #expect(copy.bias?.tensor.values == linear.bias?.tensor.values)
  }

  @Test("layers have the names of their members, and no bias unless asked for")
  func names() {
    var generator = Self.generator()
    let linear = Linear(inChannels: 2, outChannels: 3, hasBias: false, using: &generator)
    #expect(linear.state.map(\.name) == ["weight"])
    let convolution = Convolution(
      inChannels: 2, outChannels: 3, kernel: [3, 3, 3], using: &generator)
    #expect(convolution.state.map(\.name) == ["weight", "bias"])
    #expect(convolution.weight.shape == [3, 2, 3, 3, 3])
    #expect(LayerNorm(channels: 4, eps: 1e-5).state.map(\.name) == ["weight", "bias"])
    #expect(Downsample(channels: 4, using: &generator).state.map(\.name) == ["body.0.weight"])
    #expect(Upsample(channels: 4, using: &generator).state.map(\.shape) == [[8, 4, 3, 3]])
    #expect(
      OmniShift(channels: 4, using: &generator).state.map(\.name)
        == [
          "alpha", "conv1x1.weight", "conv3x3.weight", "conv5x5.weight", "conv5x5_reparam.weight",
        ])
  }

  @Test("a linear layer is a matrix product with bias and activation")
  func linear() {
    var generator = Self.generator()
    let layer = Linear(inChannels: 2, outChannels: 2, using: &generator)
    layer.weight.load(Tensor([2, 2], [1, 2, -3, 4]))
    layer.bias?.load(Tensor([2], [10, -20]))
    #expect(layer(Tensor([1, 1, 2], [5, 6])).values == [27, -11])
    #expect(layer(Tensor([1, 1, 2], [5, 6]), activation: .relu).values == [27, 0])
  }

  @Test("a 1×1 convolution gives what the general convolution gives, and so does its gradient")
  func pointwise() {
    var generator = Self.generator()
    let layer = Convolution(inChannels: 5, outChannels: 7, kernel: [1, 1], using: &generator)
    let x = Tensor.random([2, 3, 4, 5], seed: 1)
    let y = layer(x)
    let expected = x.convolved(
      with: layer.weight.tensor.detached(), bias: layer.bias?.tensor.detached())
    #expect(Mismatch(y, expected, relative: 1e-5) == nil)
    let upstream = Tensor.random(y.shape, seed: 2)
    let gradients = Tensor.gradients(of: [y], upstream: [upstream])
    let leaf = layer.weight.tensor.detached().tracked()
    let oracle = Tensor.gradients(of: [x.convolved(with: leaf)], upstream: [upstream])
    #expect(layer.weight.gradient(in: gradients)?.shape == [7, 5, 1, 1])
    if let actual = layer.weight.gradient(in: gradients), let expected = oracle[leaf] {
      #expect(Mismatch(actual, expected, relative: 1e-5) == nil)
    }
  }

  @Test("stride, padding, dilation and groups reach the convolution")
  func convolution() {
    var generator = Self.generator()
    let layer = Convolution(
      inChannels: 4, outChannels: 6, kernel: [3, 3], stride: [2, 1], padding: [1, 2],
      dilation: [1, 2], groups: 2, hasBias: false, using: &generator)
    let x = Tensor.random([1, 8, 9, 4], seed: 1)
    let expected = x.convolved(
      with: layer.weight.tensor.detached(), bias: nil, stride: [2, 1], padding: [1, 2],
      dilation: [1, 2], groups: 2)
    #expect(layer(x).values == expected.values)
    #expect(layer(x).shape == [1, 4, 9, 6])
  }

  @Test("layer norm scales and shifts what has mean 0 and variance 1")
  func layerNorm() {
    let layer = LayerNorm(channels: 4, eps: 0)
    layer.weight.load(Tensor([4], [1, 1, 2, 1]))
    layer.bias.load(Tensor([4], [0, 0, 0, 5]))
    let y = layer(Tensor([1, 4], [-3, -1, 1, 3]))
    let unit: Float = 1 / Float(5).squareRoot()
    let expected: [Float] = [-3 * unit, -unit, 2 * unit, 3 * unit + 5]
    #expect(Mismatch(y.values, expected, relative: 1e-6) == nil)
  }

  @Test("channel c·4 + 2·dy + dx of the halved image is pixel (dy, dx) of channel c")
  func resampling() {
    var generator = Self.generator()
    let down = Downsample(channels: 4, using: &generator)
    let weight = Tensor([2, 4, 3, 3]) { values in
      values.initialize(repeating: 0)
      // Output channels 0 and 1 are input channels 2 and 3.
      values[2 * 9 + 4] = 1
      values[(4 + 3) * 9 + 4] = 1
    }
    down.parameters[0].parameter.load(weight)
    let x = Tensor.random([1, 4, 6, 4], seed: 1)
    let y = down(x)
    #expect(y.shape == [1, 2, 3, 8])
    let (source, result) = (x.values, y.values)
    for (row, column) in [(0, 0), (1, 2)] {
      for channel in 0..<8 {
        let (dy, dx) = (channel % 4 / 2, channel % 2)
        let pixel = (2 * row + dy) * 6 + 2 * column + dx
        #expect(result[(row * 3 + column) * 8 + channel] == source[pixel * 4 + 2 + channel / 4])
      }
    }
    let up = Upsample(channels: 4, using: &generator)
    #expect(up(Tensor.random([2, 3, 5, 4], seed: 1)).shape == [2, 6, 10, 2])
  }
}
