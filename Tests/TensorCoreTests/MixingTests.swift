import TensorCore
import TestSupport
import Testing

/// Fused operations against the same computation by its parts.
@Suite("Fused mixing")
struct MixingTests {
  @Test("linear equals plain loops at any size", arguments: [(1, 1, 1), (5, 12, 7), (130, 36, 48)])
  func linear(_ rows: Int, _ inputs: Int, _ outputs: Int) {
    let x = Tensor.random([rows, inputs], seed: 1)
    let weight = Tensor.random([outputs, inputs], seed: 2)
    let bias = Tensor.random([outputs], seed: 3)
    let (xs, ws, bs) = (x.values, weight.values, bias.values)
    var expected: [Float] = []
    for row in 0..<rows {
      for output in 0..<outputs {
        var sum = Double(bs[output])
        for index in 0..<inputs {
          sum += Double(xs[row * inputs + index]) * Double(ws[output * inputs + index])
        }
        expected.append(Float(sum))
      }
    }
    let y = x.linear(weight, bias: bias)
    #expect(y.shape == [rows, outputs])
    for (found, wanted) in zip(y.values, expected) {
      #expect(abs(found - wanted) < 1e-5 * (1 + abs(wanted)))
    }
  }

  @Test("feed-forward equals its parts")
  func feedForward() {
    let x = Tensor.random([3, 70, 12], seed: 1)
    let residual = Tensor.random([3, 70, 12], seed: 2)
    let (key, receptance) = (Tensor.random([48, 12], seed: 3), Tensor.random([12, 12], seed: 4))
    let (value, scale) = (Tensor.random([12, 48], seed: 5), Tensor.random([12], seed: 6))
    let fused = x.feedForward(
      key: key, receptance: receptance, value: value, scale: scale, residual: residual)
    let hidden = x.linear(key).reluSquared()
    let parts = residual + scale * (x.linear(receptance).sigmoid() * hidden.linear(value))
    #expect(largestDifference(fused, parts) < 1e-5 * largest(parts))
  }

  @Test("gated projection equals its parts")
  func gatedProjection() {
    let (x, gate) = (Tensor.random([3, 70, 12], seed: 1), Tensor.random([3, 70, 12], seed: 2))
    let (weight, scale) = (Tensor.random([7, 12], seed: 3), Tensor.random([7], seed: 4))
    let residual = Tensor.random([3, 70, 7], seed: 5)
    let fused = x.gatedProjection(gate: gate, weight: weight, scale: scale, residual: residual)
    let parts = residual + scale * (gate * x).linear(weight)
    #expect(largestDifference(fused, parts) < 1e-5 * largest(parts))
  }

  @Test("results do not depend on the number of threads")
  func threads() {
    let x = Tensor.random([1, 2300, 24], seed: 1)
    let weights = [
      Tensor.random([96, 24], seed: 2), .random([24, 24], seed: 3), .random([24, 96], seed: 4),
    ]
    func run(_ threads: Int) -> [[Float]] {
      Engine.shared.perform {
        let before = Engine.shared.threads
        defer { Engine.shared.threads = before }
        Engine.shared.threads = threads
        let leaf = x.tracked()
        let keys = weights.map { $0.tracked() }
        let mixed = leaf.feedForward(key: keys[0], receptance: keys[1], value: keys[2])
        let small = Tensor([2, 24], repeating: 0.001)
        let y = Tensor.bidirectionalWKV(
          decay: small, bonus: small, key: mixed, value: leaf, height: 46, width: 50)
        let gradients = y.sum().gradients()
        return [y.values] + ([leaf] + keys).map { gradients[$0]?.values ?? [] }
      }
    }
    #expect(run(1) == run(3))
  }

  @Test("without tracked inputs nothing is remembered")
  func untracked() {
    let x = Tensor.random([4, 6], seed: 1)
    #expect(!x.linear(.random([3, 6], seed: 2)).isTracked)
    #expect(x.tracked().linear(.random([3, 6], seed: 2)).isTracked)
  }

  private func largestDifference(_ a: Tensor, _ b: Tensor) -> Float {
    #expect(a.shape == b.shape)
    return zip(a.values, b.values).map { abs($0 - $1) }.max() ?? .infinity
  }

  private func largest(_ a: Tensor) -> Float { a.values.map(abs).max() ?? 0 }
}
