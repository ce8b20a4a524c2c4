import Foundation
import Kernels
import TestSupport
import Testing

@Suite("Element-wise kernels")
struct ElementwiseTests {
  /// Less than a vector, whole vectors, and tails of every level.
  static let counts = [0, 1, 3, 4, 15, 16, 17, 40, 131]

  /// The kernels' functions beside the formulas.
  static let functions = Reference.UnaryFunction.all.enumerated().map {
    (code: k_unary(rawValue: k_unary.RawValue($0)), reference: $1)
  }

  /// Inputs at which the function is smooth; away from the kinks at 0.
  private func inputs(_ function: Reference.UnaryFunction, _ count: Int) -> [Float] {
    normals(count, seed: 1, scale: 2).map {
      function.needsPositive ? abs($0) + 0.05 : $0 + ($0 < 0 ? -0.01 : 0.01)
    }
  }

  @Test("There is a formula for each unary and binary kernel")
  func completeness() {
    #expect(Reference.UnaryFunction.all.count == Int(K_UNARY_COUNT.rawValue))
    #expect(Reference.BinaryFunction.all.count == Int(K_BINARY_COUNT.rawValue))
  }

  @Test("Unary functions follow their formulas", arguments: Level.all, functions.indices)
  func unaryForward(level: Level, function: Int) {
    let (code, reference) = Self.functions[function]
    for count in Self.counts {
      let x = inputs(reference, count)
      let expected = x.map { reference.value(Double($0), 0.3) }
      let (y, inPlace) = level.run {
        (
          written(count) { k_unary_forward($0, x, code, 0.3, count) },
          written(over: x) { k_unary_forward($0, $0, code, 0.3, count) }
        )
      }
      #expect(disagreement(y, expected, tolerance: 5e-7) == nil, "\(reference), \(count) elements")
      #expect(inPlace == y)
    }
  }

  @Test("Unary gradients are slopes of the formulas", arguments: Level.all, functions.indices)
  func unaryBackward(level: Level, function: Int) {
    let (code, reference) = Self.functions[function]
    for count in Self.counts {
      let x = inputs(reference, count)
      let y = x.map { Float(reference.value(Double($0), 0.3)) }
      let dy = normals(count, seed: 2)
      let old = normals(count, seed: 3)
      let gradient = x.indices.map { Double(dy[$0]) * reference.slope(at: Double(x[$0]), 0.3) }
      let sum = gradient.indices.map { gradient[$0] + Double(old[$0]) }
      level.run {
        let dx = written(count) { k_unary_backward($0, dy, x, y, code, 0.3, false, count) }
        #expect(disagreement(dx, gradient, tolerance: 3e-6) == nil, "\(reference), \(count)")
        let added = written(over: old) { k_unary_backward($0, dy, x, y, code, 0.3, true, count) }
        #expect(disagreement(added, sum, tolerance: 3e-6) == nil, "\(reference), \(count)")
      }
    }
  }

  @Test("Unary functions keep NaN, whatever its payload", arguments: Level.all)
  func unaryNotANumber(level: Level) {
    let payloads: [Float] = [
      .nan, -.nan, Float(bitPattern: 0x7fc0_0155), Float(bitPattern: 0xffff_ffff),
    ]
    let x = payloads + normals(20, seed: 4).map { abs($0) + 0.1 }
    for (code, reference) in Self.functions {
      let y = level.run { written(x.count) { k_unary_forward($0, x, code, 0.3, x.count) } }
      #expect(y.map(\.isNaN) == x.map(\.isNaN), "\(reference)")
    }
  }

  @Test("Unary functions at the ends of the number line", arguments: Level.all)
  func unaryExtremes(level: Level) {
    let x: [Float] = [
      -.infinity, -1e30, -100, -88.5, -87.4, -1e-30, -0.0, 0, 1e-30, 1e-5, 20, 87, 88.5,
      88.7, 100,
      1e30, .infinity,
    ]
    for (code, reference) in Self.functions {
      // Sums that overflow before they cancel: the limits differ legitimately.
      if [K_UNARY_SILU, K_UNARY_GELU].contains(code) { continue }
      let expected = x.map { value -> Double in
        let exact = reference.value(Double(value), 0.3)
        return Double(Float(exact))
      }
      let y = level.run { written(x.count) { k_unary_forward($0, x, code, 0.3, x.count) } }
      for index in x.indices where !(abs(expected[index]) < 2e-38 && abs(y[index]) < 2e-38) {
        #expect(
          disagreement([y[index]], [expected[index]], tolerance: 5e-7) == nil,
          "\(reference) of \(x[index])")
      }
    }
  }

  @Test("SiLU and GELU vanish far below zero and are the identity far above", arguments: Level.all)
  func gatesFarOut(level: Level) {
    let x: [Float] = [-1e4, -200, 200, 1e4]
    for code in [K_UNARY_SILU, K_UNARY_GELU] {
      let y = level.run { written(4) { k_unary_forward($0, x, code, 0, 4) } }
      #expect(disagreement(y, [0, 0, 200, 1e4], tolerance: 1e-30) == nil)
    }
  }

  @Test("Logarithm and exponential are accurate over their whole range", arguments: Level.all)
  func accuracy(level: Level) {
    let exponents = (0..<2000).map { Float($0) * 0.0873 - 87.2 }
    let positive = exponents.map { exp($0) }
    let (e, l) = level.run {
      (
        written(2000) { k_unary_forward($0, exponents, K_UNARY_EXP, 0, 2000) },
        written(2000) { k_unary_forward($0, positive, K_UNARY_LOG, 0, 2000) }
      )
    }
    for index in exponents.indices {
      let exact = exp(Double(exponents[index]))
      #expect(abs(Double(e[index]) - exact) <= 1.5e-7 * exact)
      let logarithm = log(Double(positive[index]))
      #expect(abs(Double(l[index]) - logarithm) <= 2e-7 * max(1e-3, abs(logarithm)))
    }
  }

  @Test("Scalar forms", arguments: Level.all, counts)
  func scalarForms(level: Level, count: Int) {
    let x = normals(count, seed: 5)
    let old = normals(count, seed: 6)
    level.run {
      let affine = written(count) { k_affine($0, x, -1.5, 0.25, count) }
      #expect(disagreement(affine, x.map { Double($0) * -1.5 + 0.25 }) == nil)
      let axpy = written(over: old) { k_axpy($0, x, 0.75, count) }
      #expect(disagreement(axpy, zip(x, old).map { Double($0) * 0.75 + Double($1) }) == nil)
      let filled = written(count) { k_fill($0, 3.5, count) }
      #expect(filled == [Float](repeating: 3.5, count: count))
    }
  }
}
