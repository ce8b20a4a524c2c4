import Foundation
import TensorCore
import Testing

@Suite("Shape errors")
struct ShapeErrorTests {
  /// What the stopped program said.
  private func text(_ result: ExitTest.Result?) -> String {
    String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
  }

  @Test("a product says which shapes differ, in a release build too")
  func matmul() async {
    let result = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      _ = Tensor.zeros([2, 3]).matmul(Tensor.zeros([4, 5]))
    }
    let text = text(result)
    #expect(text.contains("matmul"), "\(text)")
    #expect(text.contains("[2, 3]") && text.contains("[4, 5]"), "\(text)")
  }

  @Test("so does a linear map")
  func linear() async {
    let result = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      _ = Tensor.zeros([7, 3]).linear(Tensor.zeros([5, 4]))
    }
    let text = text(result)
    #expect(text.contains("linear: [7, 3] x weight [5, 4]"), "\(text)")
  }

  @Test("so does a sum that cannot be broadcast")
  func broadcast() async {
    let result = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      _ = Tensor.zeros([2, 3]) + Tensor.zeros([4])
    }
    let text = text(result)
    #expect(text.contains("add") && text.contains("[2, 3]") && text.contains("[4]"), "\(text)")
  }

  @Test("so does a convolution")
  func convolution() async {
    let result = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      _ = Tensor.zeros([1, 8, 8, 3]).convolved(with: Tensor.zeros([4, 5, 3, 3]))
    }
    let text = text(result)
    #expect(text.contains("convolution"), "\(text)")
    #expect(text.contains("[1, 8, 8, 3]") && text.contains("[4, 5, 3, 3]"), "\(text)")
  }
}
