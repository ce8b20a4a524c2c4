import Layers
import TensorCore
import Testing
import Train

@Suite("Adam")
struct AdamTests {
  /// Two steps by the paper's formulas in double precision.
  private func expected(
    _ start: Double, _ gradients: [Double], decay: Double, isDecoupled: Bool
  ) -> Double {
    var (w, m, v) = (start, 0.0, 0.0)
    for (index, gradient) in gradients.enumerated() {
      let g = isDecoupled ? gradient : gradient + decay * w
      if isDecoupled { w -= 0.1 * decay * w }
      m = 0.9 * m + 0.1 * g
      v = 0.999 * v + 0.001 * g * g
      let beta1 = 1 - (0...index).reduce(1.0) { power, _ in power * 0.9 }
      let beta2 = 1 - (0...index).reduce(1.0) { power, _ in power * 0.999 }
      w -= 0.1 * (m / beta1) / ((v / beta2).squareRoot() + 1e-8)
    }
    return w
  }

  @Test("follows the papers' formulas", arguments: [("adam", 0.0), ("adam", 0.3), ("adamw", 0.3)])
  func formulas(_ name: String, _ decay: Double) {
    let parameter = Parameter([1]) { $0[0] = 0.5 }
    var section = TrainingConfiguration.OptimizerSection()
    section.name = name
    section.weightDecay = decay
    section.clip = 0
    let adam = Adam([("w", parameter)], section)
    for scale: Float in [2, -1] {
      let loss = (parameter.tensor * scale).sum()
      #expect(adam.step(loss.gradients(), learningRate: 0.1) == Double(abs(scale)))
    }
    let wanted = expected(0.5, [2, -1], decay: decay, isDecoupled: name == "adamw")
    #expect(abs(Double(parameter.tensor.scalar) - wanted) < 1e-6)
  }

  @Test("clips by the norm of all gradients, and changes nothing if it is not finite")
  func clipping() {
    let parameter = Parameter([2]) { $0.initialize(repeating: 1) }
    let adam = Adam([("w", parameter)], TrainingConfiguration.OptimizerSection())
    let steep = (parameter.tensor * 300).sum().gradients()
    #expect(abs(adam.step(steep, learningRate: 0.1) - 300 * 2.0.squareRoot()) < 1e-3)
    let before = parameter.tensor.values
    let infinite = (parameter.tensor * .infinity).sum().gradients()
    #expect(!adam.step(infinite, learningRate: 0.1).isFinite)
    #expect(parameter.tensor.values == before)
    #expect(adam.steps == 1)
  }
}
