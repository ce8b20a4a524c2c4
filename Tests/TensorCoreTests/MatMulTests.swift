import TensorCore
import TestSupport
import Testing

@Suite("MatMul")
struct MatMulTests {
  /// Plain loops for matrices of one batch.
  private func product(_ a: Tensor, _ b: Tensor) -> Tensor {
    let (m, k, n) = (a.shape[-2], a.shape[-1], b.shape[-1])
    let batch = a.count / (m * k)
    let (av, bv) = (a.values, b.values)
    var values: [Float] = []
    for item in 0..<batch {
      for row in 0..<m {
        for column in 0..<n {
          var sum = 0.0
          for inner in 0..<k {
            sum +=
              Double(av[(item * m + row) * k + inner]) * Double(bv[(item * k + inner) * n + column])
          }
          values.append(Float(sum))
        }
      }
    }
    return Tensor(Shape(a.shape.dimensions.dropLast() + [n]), values)
  }

  @Test(
    "agrees with plain loops",
    arguments: [
      ([1], 1, 1, 1), ([], 5, 7, 3), ([2, 3], 4, 16, 17), ([3], 100, 33, 50), ([1], 3, 200, 49),
    ] as [([Int], Int, Int, Int)])
  func plain(_ batch: [Int], _ m: Int, _ k: Int, _ n: Int) {
    let a = Tensor.random(Shape(batch + [m, k]), seed: 1)
    let b = Tensor.random(Shape(batch + [k, n]), seed: 2)
    let expected = product(a, b)
    #expect(Mismatch(a.matmul(b), expected, relative: 2e-6) == nil)
    #expect(Mismatch(a.matmul(transposing: b.transposed()), expected, relative: 2e-6) == nil)
  }

  @Test("broadcasts batches")
  func broadcast() {
    let a = Tensor.random([2, 1, 3, 4], seed: 1)
    let b = Tensor.random([5, 4, 6], seed: 2)
    let expected = product(a.broadcast(to: [2, 5, 3, 4]), b.broadcast(to: [2, 5, 4, 6]))
    #expect(Mismatch(a.matmul(b), expected, relative: 2e-6) == nil)
    let c = Tensor.random([4, 6], seed: 3)
    #expect(
      Mismatch(a.matmul(c), product(a, c.broadcast(to: [2, 1, 4, 6])), relative: 2e-6) == nil)
  }
}
