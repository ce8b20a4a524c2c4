import TensorCore
import TestSupport
import Testing

@Suite("Reductions")
struct ReductionTests {
  static let cases: [(Shape, [Int])] = [
    ([3, 4, 5], [0]), ([3, 4, 5], [1]), ([3, 4, 5], [2]), ([3, 4, 5], [0, 2]),
    ([3, 4, 5], [0, 1]), ([3, 4, 5], [0, 1, 2]), ([3, 4, 5], []), ([2, 1000, 3], [1]),
    ([2, 9001], [1]), ([9001, 2], [0]), ([1, 3, 1], [0, 2]), ([2, 700], [0]),
    ([300, 5, 300], [0, 2]), ([], []),
  ]

  /// Sums in `Double`, one element after the other.
  private func sum(_ x: Tensor, _ axes: [Int]) -> [Double] {
    let kept = Shape(x.shape.dimensions.enumerated().map { axes.contains($0) ? 1 : $1 })
    var sums = [Double](repeating: 0, count: kept.count)
    for (element, value) in x.values.enumerated() {
      var index = 0
      for axis in 0..<x.shape.rank where !axes.contains(axis) {
        index += element / x.shape.strides[axis] % x.shape[axis] * kept.strides[axis]
      }
      sums[index] += Double(value)
    }
    return sums
  }

  @Test("sum and mean agree with plain sums", arguments: cases)
  func sums(_ shape: Shape, _ axes: [Int]) {
    let x = Tensor.random(shape, seed: 3)
    let expected = sum(x, axes)
    #expect(Mismatch(x.sum(axes: axes).values, expected.map(Float.init), relative: 1e-6) == nil)
    let size = Double(axes.reduce(1) { $0 * shape[$1] })
    let means = expected.map { Float($0 / size) }
    #expect(Mismatch(x.mean(axes: axes).values, means, relative: 1e-6) == nil)
    let kept = Shape(shape.dimensions.enumerated().map { axes.contains($0) ? 1 : $1 })
    #expect(x.sum(axes: axes, keepingAxes: true).shape == kept)
    #expect(x.sum(axes: axes).shape.rank == shape.rank - axes.count)
  }

  @Test("maximum finds the largest element", arguments: cases)
  func maxima(_ shape: Shape, _ axes: [Int]) {
    let x = Tensor.random(shape, .distinct, seed: 3)
    let maxima = x.maximum(axes: axes, keepingAxes: true)
    let isMaximum = Tensor(
      shape, zip(x.values, maxima.broadcast(to: shape).values).map { $0 == $1 ? 1 : 0 })
    #expect(zip(x.values, maxima.broadcast(to: shape).values).allSatisfy { $0 <= $1 })
    #expect(isMaximum.sum(axes: axes).values.allSatisfy { $0 == 1 })
  }

  @Test("a maximum over NaN is NaN", arguments: [0, 1, 17, 39])
  func notANumber(_ index: Int) {
    var values = [Float](repeating: 1, count: 40)
    values[index] = .nan
    #expect(Tensor([40], values).maximum(axes: [0]).scalar.isNaN)
    #expect(Tensor([40, 2], values + values).maximum(axes: [0, 1]).scalar.isNaN)
  }

  @Test("equal maxima share the gradient")
  func ties() {
    let x = Tensor([4], [1, 3, 3, 2]).tracked()
    #expect(x.maximum(axes: [0]).gradients()[x]?.values == [0, 0.5, 0.5, 0])
  }

  @Test("the sum of an empty axis is zero")
  func empty() {
    #expect(Tensor.zeros([2, 0]).sum(axes: [1]).values == [0, 0])
    #expect(Tensor.zeros([0, 2]).sum(axes: [0]).values == [0, 0])
  }

  @Test("a long sum of equal terms does not gather rounding errors")
  func long() {
    let x = Tensor([1 << 22], repeating: 0.1)
    #expect((x.sum().scalar / Float(0.1 * Double(1 << 22)) - 1).magnitude < 2e-5)
  }

  @Test("a sum does not depend on the number of threads")
  func threads() {
    let x = Tensor.random([100_000, 7], seed: 3)
    let before = Engine.shared.threads
    defer { Engine.shared.threads = before }
    let sums = [1, 2, 3].map { threads in
      Engine.shared.threads = threads
      return x.sum(axes: [0]).values + x.sum(axes: [1]).values + x.sum().values
    }
    #expect(sums[0] == sums[1])
    #expect(sums[0] == sums[2])
  }
}
