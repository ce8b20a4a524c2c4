import Layers
import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("OmniShift")
struct OmniShiftTests {
  private static func layer(channels: Int = 5) -> OmniShift {
    var generator = SeededGenerator(seed: 11)
    return OmniShift(channels: channels, using: &generator)
  }

  /// The four branches as the paper trains them: the definition that the folded form must equal.
  private static func branches(
    _ x: Tensor, alpha: Tensor, _ k1: Tensor, _ k3: Tensor, _ k5: Tensor
  ) -> Tensor {
    let channels = x.shape.channels
    func branch(_ index: Int, _ image: Tensor) -> Tensor {
      alpha.sliced(axis: 0, index..<index + 1) * image
    }
    func convolved(_ kernel: Tensor, _ padding: Int) -> Tensor {
      x.convolved(with: kernel, bias: nil, padding: [padding, padding], groups: channels)
    }
    return branch(0, x) + branch(1, convolved(k1, 0)) + branch(2, convolved(k3, 1))
      + branch(3, convolved(k5, 2))
  }

  @Test("the folded kernel gives the four branches' result and gradients")
  func fold() {
    let layer = Self.layer()
    let x = Tensor.random([2, 6, 7, 5], seed: 1).tracked()
    let y = layer(x)
    let leaves = [layer.alpha, layer.conv1x1, layer.conv3x3, layer.conv5x5].map {
      $0.tensor.detached().tracked()
    }
    let expected = Self.branches(x, alpha: leaves[0], leaves[1], leaves[2], leaves[3])
    #expect(Mismatch(y, expected, relative: 1e-5) == nil)
    let upstream = Tensor.random(y.shape, seed: 2)
    let actual = Tensor.gradients(of: [y], upstream: [upstream])
    let oracle = Tensor.gradients(of: [expected], upstream: [upstream])
    let parameters = [layer.alpha, layer.conv1x1, layer.conv3x3, layer.conv5x5]
    let pairs =
      zip(parameters, leaves).map { ($0.gradient(in: actual), oracle[$1]) }
      + [(actual[x], oracle[x])]
    for (gradient, reference) in pairs {
      let gradient = gradient ?? .zeros([0])
      #expect(Mismatch(gradient, reference ?? .ones([1]), relative: 1e-5) == nil)
    }
  }

  @Test("without gradients the kernel is kept, and made anew when any parameter changes")
  func refold() {
    let layer = Self.layer()
    layer.setRequiresGradient(false)
    let x = Tensor.random([1, 5, 5, 5], seed: 1)
    var last = layer(x).values
    #expect(layer(x).values == last)
    for parameter in [layer.alpha, layer.conv1x1, layer.conv3x3, layer.conv5x5] {
      parameter.update { values in
        for index in values.indices { values[index] += 0.5 }
      }
      let y = layer(x)
      #expect(y.values != last)
      last = y.values
      layer.setRequiresGradient(true)
      #expect(layer(x).values == last)
      layer.setRequiresGradient(false)
    }
  }

  @Test("nothing is remembered without gradients")
  func untracked() {
    let layer = Self.layer()
    let x = Tensor.random([1, 5, 5, 5], seed: 1)
    #expect(layer(x).isTracked)
    layer.setRequiresGradient(false)
    #expect(!layer(x).isTracked)
  }

  @Test("a stale folded kernel in a file is not used, and the right one is written")
  func stale() throws {
    let layer = Self.layer()
    var state = Dictionary(uniqueKeysWithValues: layer.state.map { ($0.name, $0.tensor) })
    let right = try #require(state["conv5x5_reparam.weight"]?.values)
    state["conv5x5_reparam.weight"] = .zeros([5, 1, 5, 5])
    let copy = Self.layer()
    copy.alpha.load(.zeros([4]))
    try copy.load(state)
    #expect(copy.kernel.values == right)
    var writer = SafetensorsWriter()
    writer.add(stateOf: copy)
    let file = try Safetensors(writer.encoded(), path: "w")
    #expect(file.tensor(named: "conv5x5_reparam.weight")?.values == right)
  }

  @Test("counts: 35 trained numbers a channel and four, 25 deployed")
  func counts() {
    let layer = Self.layer()
    #expect(layer.parameterCount(.trained) == 35 * 5 + 4)
    #expect(layer.parameterCount(.stored) == 60 * 5 + 4)
    #expect(layer.parameterCount(.deployed) == 25 * 5)
  }
}
