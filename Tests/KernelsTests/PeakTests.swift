import Foundation
import Kernels
import Testing

@Suite("Peak kernels")
struct PeakTests {
  @Test("multiply-adds are really done, and counted", arguments: Level.all)
  func multiplyAdd(level: Level) {
    for iterations in [0, 1, 7, 100] {
      var expected = 1.0
      for _ in 0..<iterations { expected = expected * 1.25 - 0.375 }
      let (sink, operations) = level.run {
        var sink: Float = -1
        k_peak_multiply_add(&sink, 1.25, -0.375, iterations)
        return (sink, k_peak_operations(iterations))
      }
      #expect(abs(Double(sink) - expected) <= 1e-4 * abs(expected), "\(iterations)")
      #expect(operations % max(1, iterations) == 0)
      #expect((operations == 0) == (iterations == 0))
    }
  }

  @Test("the triad is a = b + s c", arguments: Level.all, [1, 3, 16, 37, 1000])
  func triad(level: Level, n: Int) {
    let (b, c) = (normals(n, seed: 1), normals(n, seed: 2))
    let a = level.run { written(n) { k_peak_triad($0, b, c, 3, n) } }
    #expect(
      disagreement(a, zip(b, c).map { Double($0) + 3 * Double($1) }, tolerance: 1e-6) == nil)
  }
}
