import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("Backward passes")
struct BackwardTests {
  private func normal(_ shape: Shape, seed: UInt64) -> Tensor {
    var generator = SeededGenerator(seed: seed)
    return Tensor(shape) { generator.fillNormal($0) }
  }

  /// A part with several uses of its input and of a parameter.
  private func part(_ x: Tensor, _ weight: Tensor, _ scale: Tensor) -> Tensor {
    let normal = x.layerNormalized(weight: scale, bias: nil)
    let gate = normal.linear(weight, activation: .sigmoid)
    return normal.linear(weight).gatedProjection(gate: gate, weight: weight, residual: x)
  }

  private struct Result: Equatable {
    var value: [Float]
    var gradients: [[Float]?]
  }

  private func run(_ checkpoints: Bool, nested: Bool = false) -> Result {
    let x = normal([2, 40, 6], seed: 1).tracked()
    let weights = (0..<3).map { normal([6, 6], seed: 2 + UInt64($0)).asParameter(tracked: true) }
    let scale = normal([6], seed: 9).asParameter(tracked: true)
    var y = x
    for weight in weights {
      y = y.checkpointed(if: checkpoints) { y in
        let inner = y.checkpointed(if: nested) { self.part($0, weight, scale) }
        return self.part(inner, weight, scale)
      }
    }
    // The parts' results are used once more outside, by what backward comes to first.
    let loss = (y * y + y.sigmoid() * x).sum()
    let gradients = loss.gradients()
    return Result(
      value: loss.values, gradients: ([x, scale] + weights).map { gradients[$0]?.values })
  }

  @Test("a checkpoint changes neither values nor gradients, in no bit", arguments: [false, true])
  func checkpoint(nested: Bool) {
    let plain = run(false)
    #expect(plain.gradients.allSatisfy { $0 != nil })
    #expect(run(true, nested: nested) == plain)
  }

  @Test("a checkpoint without anything tracked remembers nothing")
  func untracked() {
    let x = normal([3, 4], seed: 1)
    #expect(!x.checkpointed { $0.squared() }.isTracked)
    let parameter = normal([3, 4], seed: 2).asParameter(tracked: true)
    let y = x.checkpointed { $0 * parameter }
    #expect(y.isTracked && y.sum().gradients()[parameter]?.values == x.values)
  }

  @Test("checkpoints take less memory")
  func memory() {
    func peak(_ checkpoints: Bool) -> Int {
      let x = normal([1, 16384, 16], seed: 1).tracked()
      let weight = normal([16, 16], seed: 2).asParameter(tracked: true)
      let scale = normal([16], seed: 3).asParameter(tracked: true)
      return Engine.shared.perform {
        BufferPool.shared.measuringPeak {
          var y = x
          for _ in 0..<12 {
            y = y.checkpointed(if: checkpoints) { self.part($0, weight, scale) }
          }
          _ = y.sum().gradients()
        }
      }
    }
    let (plain, checkpointed) = (peak(false), peak(true))
    #expect(checkpointed * 3 < plain * 2, "\(checkpointed) of \(plain) bytes")
  }

  @Test("gradients of parts of a batch add up to those of the batch, in the same memory")
  func accumulation() throws {
    let x = normal([4, 30, 6], seed: 1)
    let weight = normal([6, 6], seed: 2).asParameter(tracked: true)
    let scale = normal([6], seed: 3).asParameter(tracked: true)
    func loss(_ x: Tensor) -> Tensor { part(x, weight, scale).squared().sum() }
    let whole = loss(x).gradients()
    var sums = Gradients()
    loss(x.sliced(axis: 0, 0..<1)).addGradients(to: &sums)
    let before = sums
    loss(x.sliced(axis: 0, 1..<4)).addGradients(to: &sums)
    for leaf in [weight, scale] {
      let expected = try #require(whole[leaf])
      let found = try #require(sums[leaf])
      let largest = expected.values.map(abs).max() ?? 0
      for (a, b) in zip(found.values, expected.values) { #expect(abs(a - b) <= 1e-5 * largest) }
    }
    // A copy of the earlier sums kept its values.
    let first = loss(x.sliced(axis: 0, 0..<1)).gradients()
    #expect(before[weight]?.values == first[weight]?.values)
  }

  @Test("a gradient that several tensors share is not written over")
  func sharedGradients() {
    let a = normal([5, 3], seed: 1).tracked()
    let b = normal([5, 3], seed: 2).tracked()
    // Addition hands one gradient to both terms; a gets more from elsewhere.
    let gradients = ((a + b) + a.squared()).sum().gradients()
    #expect(gradients[b]?.values == [Float](repeating: 1, count: 15))
    #expect(gradients[a]?.values == a.values.map { 1 + 2 * $0 })
  }

  @Test("a weight that is large beside the rows has the gradients of the formula")
  func largeWeight() {
    let (rows, outputs, inputs) = (150, 8200, 130)
    let x = normal([rows, inputs], seed: 1).tracked()
    let other = normal([rows, inputs], seed: 2).tracked()
    let weight = normal([outputs, inputs], seed: 3).tracked()
    let bias = normal([outputs], seed: 4).tracked()
    let upstream = normal([rows, outputs], seed: 5)
    let y = x.linear(weight, bias: bias) + other.linear(weight)
    let gradients = Tensor.gradients(of: [y], upstream: [upstream])
    let expected = [
      (x, upstream.matmul(weight.detached())), (other, upstream.matmul(weight.detached())),
      (weight, upstream.permuted([1, 0]).matmul((x + other).detached())),
      (bias, upstream.sum(axes: [0])),
    ]
    for (tensor, formula) in expected {
      guard let found = gradients[tensor] else {
        Issue.record("no gradient of \(tensor.shape)")
        continue
      }
      #expect(Mismatch(found, formula, relative: 1e-5) == nil)
    }
  }

  @Test("a profile names what was computed")
  func profile() {
    let x = normal([3, 4], seed: 1).tracked()
    let (_, profile) = Engine.shared.profiling { x.squared().sum().gradients() }
    let lines = profile.entries.filter { $0.kind == .unary(.square) }
    #expect(Set(lines.map(\.phase)) == [.forward, .backward])
    #expect(lines.allSatisfy { $0.calls == 1 && $0.channels == 4 && $0.seconds >= 0 })
  }
}
