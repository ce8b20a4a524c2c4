import TensorCore
import TestSupport
import Testing

@Suite("Mismatch")
struct ClosenessTests {
  private let expected = Tensor([2, 2], [1, 2, 3, 4])

  @Test("is nil for equal tensors")
  func equal() { #expect(Mismatch(expected, expected) == nil) }

  @Test("names the worst index and both values")
  func worst() {
    let actual = Tensor([2, 2], [1.5, 2, 3, 5])
    #expect(
      Mismatch(actual, expected, absolute: 0.25)?.description
        == "at [1, 1]: 5.0 instead of 4.0, allowed difference 0.25")
  }

  @Test("allows differences relative to the largest element")
  func relative() {
    let actual = Tensor([2, 2], [1.25, 2, 3, 4])
    #expect(Mismatch(actual, expected, relative: 0.0625) == nil)
    #expect(Mismatch(actual, expected, relative: 0.03125) != nil)
  }

  @Test("accepts no NaN", arguments: [Float.nan, .infinity, -.infinity])
  func notFinite(_ value: Float) {
    #expect(Mismatch([value], [1], absolute: 100) != nil)
    #expect(Mismatch([1], [value], absolute: 100) != nil)
    #expect((Mismatch([value], [value]) == nil) == !value.isNaN)
  }

  @Test("names different shapes")
  func shapes() {
    #expect(
      Mismatch(expected.reshaped(to: [4]), expected)?.description == "shape [4] instead of [2, 2]")
  }
}
