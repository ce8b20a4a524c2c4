import TensorCore
import TestSupport
import Testing

@Suite("Normalisations")
struct NormTests {
  /// Normalises the elements of each set of `(item, channel)` pairs together, in `Double`.
  ///
  /// `set` names the set to which an item and a channel belong.
  private func normalized(
    _ x: Tensor, weight: Tensor?, bias: Tensor?, eps: Float = 1e-5,
    set: (_ row: Int, _ channel: Int) -> Int
  ) -> Tensor {
    let channels = x.shape.channels
    var members: [Int: [Int]] = [:]
    for element in 0..<x.count {
      members[set(element / channels, element % channels), default: []].append(element)
    }
    let values = x.values.map(Double.init)
    var result = [Float](repeating: 0, count: x.count)
    for elements in members.values {
      let mean = elements.map { values[$0] }.reduce(0, +) / Double(elements.count)
      let squares = elements.map { (values[$0] - mean) * (values[$0] - mean) }
      let variance = squares.reduce(0, +) / Double(elements.count)
      for element in elements {
        let normal = (values[element] - mean) / (variance + Double(eps)).squareRoot()
        let scaled = normal * Double(weight?.values[element % channels] ?? 1)
        result[element] = Float(scaled + Double(bias?.values[element % channels] ?? 0))
      }
    }
    return Tensor(x.shape, result)
  }

  private func parameters(_ channels: Int) -> (weight: Tensor, bias: Tensor) {
    (.random([channels], seed: 11), .random([channels], seed: 12))
  }

  @Test(
    "layer norm agrees with plain loops",
    arguments: [[2, 3, 48], [700, 17], [1, 1, 5], [2, 300]])
  func layerNorm(_ sizes: [Int]) {
    let x = Tensor.random(Shape(sizes), .uniform(1..<3), seed: 1)
    let (weight, bias) = parameters(x.shape.channels)
    for (weight, bias) in [(weight, bias), (weight, nil), (nil, bias), (nil, nil)]
      as [(Tensor?, Tensor?)]
    {
      let expected = normalized(x, weight: weight, bias: bias) { row, _ in row }
      #expect(
        Mismatch(x.layerNormalized(weight: weight, bias: bias), expected, relative: 1e-5) == nil)
    }
  }

  @Test(
    "group norm agrees with plain loops",
    arguments: [([2, 5, 6, 12], 3), ([3, 7, 4], 1), ([2, 60, 50, 8], 4), ([1, 2, 3, 4, 6], 6)])
  func groupNorm(_ sizes: [Int], _ groups: Int) {
    let x = Tensor.random(Shape(sizes), .uniform(1..<3), seed: 1)
    let channels = x.shape.channels
    let (weight, bias) = parameters(channels)
    let rowsPerItem = x.shape.rows / sizes[0]
    let expected = normalized(x, weight: weight, bias: bias) { row, channel in
      row / rowsPerItem * groups + channel / (channels / groups)
    }
    let actual = x.groupNormalized(groups: groups, weight: weight, bias: bias)
    #expect(Mismatch(actual, expected, relative: 1e-5) == nil)
    if groups == channels {
      #expect(Mismatch(x.instanceNormalized(weight: weight, bias: bias), actual) == nil)
    }
  }

  @Test("batch norm agrees with plain loops and returns its statistics")
  func batchNorm() {
    let x = Tensor.random([3, 20, 30, 7], .uniform(1..<3), seed: 1)
    let (weight, bias) = parameters(7)
    let expected = normalized(x, weight: weight, bias: bias) { _, channel in channel }
    let (output, mean, variance) = x.batchNormalized(weight: weight, bias: bias)
    #expect(Mismatch(output, expected, relative: 1e-5) == nil)
    #expect(Mismatch(mean, x.mean(axes: [0, 1, 2]), relative: 1e-6) == nil)
    #expect(Mismatch(variance, x.variance(axes: [0, 1, 2]), relative: 1e-5) == nil)
    let again = x.normalized(mean: mean, variance: variance, weight: weight, bias: bias)
    #expect(Mismatch(again, expected, relative: 1e-5) == nil)
  }

  @Test("statistics far from zero do not cancel")
  func offset() {
    let x = Tensor.random([1, 64, 64, 2], seed: 1) + 1000
    let expected = normalized(x, weight: nil, bias: nil) { _, channel in channel }
    #expect(Mismatch(x.instanceNormalized(weight: nil, bias: nil), expected, absolute: 1e-3) == nil)
  }

  @Test("layer norm gives the weights' gradients where nobody asks for that of x")
  func onlyParameters() {
    let x = Tensor.random([3, 700, 9], seed: 1)
    let (weight, bias) = (
      Tensor.random([9], seed: 2).tracked(), Tensor.random([9], seed: 3).tracked()
    )
    let upstream = Tensor.random(x.shape, seed: 4)
    let tracked = x.tracked()
    func gradients(_ x: Tensor) -> Gradients {
      Tensor.gradients(of: [x.layerNormalized(weight: weight, bias: bias)], upstream: [upstream])
    }
    let (some, all) = (gradients(x), gradients(tracked))
    for leaf in [weight, bias] {
      guard let a = some[leaf], let b = all[leaf] else {
        Issue.record("no gradient")
        continue
      }
      #expect(Mismatch(a, b) == nil)
    }
  }

  @Test("results do not depend on the number of threads")
  func threads() {
    let x = Tensor.random([2, 70, 70, 24], seed: 1).tracked()
    let upstream = Tensor.random(x.shape, seed: 2)
    let (weight, bias) = (Tensor.random([24], seed: 3).tracked(), Tensor.random([24], seed: 4))
    let before = Engine.shared.threads
    defer { Engine.shared.threads = before }
    let results = [1, 2].map { threads -> [[Float]?] in
      Engine.shared.threads = threads
      let outputs = [
        x.layerNormalized(weight: weight, bias: bias),
        x.groupNormalized(groups: 4, weight: weight, bias: bias),
      ]
      return outputs.flatMap { output in
        let gradients = Tensor.gradients(of: [output], upstream: [upstream])
        return [output.values, gradients[x]?.values, gradients[weight]?.values]
      }
    }
    #expect(results[0] == results[1])
  }
}
