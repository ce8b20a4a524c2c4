import Foundation
import TensorCore
import TestSupport
import Testing

@Suite("Softmax")
struct SoftmaxTests {
  private func rows(_ x: Tensor) -> [[Double]] {
    let values = x.values.map(Double.init)
    return (0..<x.shape.rows).map { row in
      Array(values[row * x.shape.channels..<(row + 1) * x.shape.channels])
    }
  }

  @Test("agrees with plain loops", arguments: [[4, 5], [300, 37], [1, 1], [2, 3, 1000]])
  func plain(_ sizes: [Int]) {
    let x = Tensor.random(Shape(sizes), seed: 1)
    let expected = rows(x).flatMap { row in
      let sum = row.map(exp).reduce(0, +)
      return row.map { Float(exp($0) / sum) }
    }
    #expect(Mismatch(x.softmax().values, expected, relative: 1e-6) == nil)
    let logarithms = rows(x).flatMap { row in
      let sum = row.map(exp).reduce(0, +)
      return row.map { Float($0 - log(sum)) }
    }
    #expect(Mismatch(x.logSoftmax().values, logarithms, relative: 1e-6) == nil)
  }

  @Test("large inputs do not overflow")
  func large() {
    let x = Tensor([1, 3], [1000, 1000, -1000])
    #expect(Mismatch(x.softmax().values, [0.5, 0.5, 0], absolute: 1e-6) == nil)
    #expect(
      Mismatch(x.logSoftmax().values, [-0.6931472, -0.6931472, -2000.6931], relative: 1e-6) == nil)
  }

  @Test("NaN stays in its row")
  func notANumber() {
    let y = Tensor([2, 2], [.nan, 1, 2, 2]).softmax().values
    #expect(y[0].isNaN && y[1].isNaN)
    #expect(y[2] == 0.5 && y[3] == 0.5)
  }
}
