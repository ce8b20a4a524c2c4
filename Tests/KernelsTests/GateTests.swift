import Foundation
import Kernels
import TestSupport
import Testing

@Suite("Gated mixing, backward")
struct GateTests {
  static let sizes: [(rows: Int, c: Int)] = [(1, 1), (3, 12), (7, 16), (5, 35), (9, 48), (4, 96)]

  @Test("The gate's gradients equal the naive ones", arguments: Level.all, sizes)
  func gate(level: Level, size: (rows: Int, c: Int)) {
    let (rows, c) = size
    let n = rows * c
    let (dy, v) = (normals(n, seed: 1), normals(n, seed: 2))
    let s = normals(n, seed: 3).map { 1 / (1 + exp(-$0)) }
    let (scale, old) = (normals(c, seed: 4), normals(c, seed: 5))
    for factors in [scale, nil] {
      var (dv, dLogit): ([Double], [Double]) = ([], [])
      var dScale = old.map(Double.init)
      for i in 0..<n {
        let g = Double(dy[i]) * Double(factors?[i % c] ?? 1)
        let (gate, value) = (Double(s[i]), Double(v[i]))
        dv.append(g * gate)
        dLogit.append(g * value * gate * (1 - gate))
        dScale[i % c] += Double(dy[i]) * gate * value
      }
      level.run {
        var (values, logits): ([Float], [Float]) = ([], [])
        let scales = written(over: old) { scales in
          values = written(n) { values in
            logits = written(n) { k_gate_backward(values, $0, scales, dy, factors, s, v, rows, c) }
          }
        }
        #expect(disagreement(values, dv) == nil)
        #expect(disagreement(logits, dLogit) == nil)
        #expect(disagreement(scales, dScale) == nil)
      }
    }
  }

  @Test("Parts are summed in order, from zero or from what is there", arguments: Level.all)
  func parts(level: Level) {
    let (count, n, stride) = (5, 37, 41)
    let (parts, old) = (normals(count * stride, seed: 6), normals(n, seed: 7))
    for accumulate in [false, true] {
      let expected = (0..<n).map { i -> Float in
        guard (3..<30).contains(i) else { return old[i] }
        return (0..<count).reduce(accumulate ? old[i] : 0) { $0 + parts[$1 * stride + i] }
      }
      let sums = level.run {
        written(over: old) { k_sum_parts($0, parts, accumulate, 3, 30, count, stride) }
      }
      #expect(sums == expected)
    }
  }

  @Test("The scaled weight's gradients equal the naive ones", arguments: Level.all, sizes)
  func scaledWeight(level: Level, size: (rows: Int, c: Int)) {
    let (n, k, count) = (size.rows, size.c, 3)
    let (parts, w) = (normals(count * n * k, seed: 8), normals(n * k, seed: 9))
    let (scale, old, oldScale) = (
      normals(n, seed: 10), normals(n * k, seed: 11), normals(n, seed: 12)
    )
    for adds in [false, true] {
      var dw = [Double](repeating: 0, count: n * k)
      var dScale = [Double](repeating: 0, count: n)
      for i in 0..<n * k {
        let g = (0..<count).reduce(0.0) { $0 + Double(parts[$1 * n * k + i]) }
        dw[i] = g * Double(scale[i / k]) + (adds ? Double(old[i]) : 0)
        dScale[i / k] += g * Double(w[i])
      }
      if adds { for i in 0..<n { dScale[i] += Double(oldScale[i]) } }
      level.run {
        var scales: [Float] = []
        let weights = written(over: old) { weights in
          scales = written(over: oldScale) { scales in
            _ = written(over: parts) {
              k_scaled_weight_gradient(
                weights, scales, $0, w, scale, adds, adds, 0, n, count, n, k)
            }
          }
        }
        #expect(disagreement(weights, dw, tolerance: 2e-5) == nil)
        #expect(disagreement(scales, dScale, tolerance: 5e-5) == nil)
      }
    }
  }
}
