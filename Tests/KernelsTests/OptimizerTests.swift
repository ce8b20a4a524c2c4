import Foundation
import Kernels
import Testing

@Suite("Optimiser kernels")
struct OptimizerTests {
  @Test(
    "Adam and AdamW follow their formulas for three steps", arguments: Level.all, [false, true])
  func adam(level: Level, decoupled: Bool) {
    let n = 37
    let start = normals(n, seed: 1)
    var (weights, m, v) = (start, [Float](repeating: 0, count: n), [Float](repeating: 0, count: n))
    var w64 = start.map(Double.init)
    var (m64, v64) = ([Double](repeating: 0, count: n), [Double](repeating: 0, count: n))
    let (rate, beta1, beta2, decay, scale) = (0.02, 0.9, 0.99, 0.1, 0.5)
    for step in 1...3 {
      let gradient = normals(n, seed: UInt64(10 + step))
      let (c1, c2) = (1 - pow(beta1, Double(step)), 1 - pow(beta2, Double(step)))
      for i in 0..<n {
        let g = scale * Double(gradient[i]) + (decoupled ? 0 : decay * w64[i])
        if decoupled { w64[i] -= rate * decay * w64[i] }
        m64[i] = beta1 * m64[i] + (1 - beta1) * g
        v64[i] = beta2 * v64[i] + (1 - beta2) * g * g
        w64[i] -= rate * (m64[i] / c1) / ((v64[i] / c2).squareRoot() + 1e-8)
      }
      var numbers = k_adam(
        learning_rate: Float(rate), beta1: Float(beta1), beta2: Float(beta2), epsilon: 1e-8,
        weight_decay: Float(decay), decoupled: decoupled, bias_correction1: Float(c1),
        bias_correction2: Float(c2), gradient_scale: Float(scale))
      level.run {
        weights = written(over: weights) { weights in
          m = written(over: m) { m in
            v = written(over: v) { k_adam_step(weights, m, $0, gradient, &numbers, n) }
          }
        }
      }
      #expect(disagreement(weights, w64, tolerance: 3e-6) == nil)
      #expect(disagreement(m, m64, tolerance: 1e-6) == nil)
      #expect(disagreement(v, v64, tolerance: 1e-6) == nil)
    }
  }
}
