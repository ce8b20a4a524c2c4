import TensorCore
import TestSupport
import Testing

/// The square of each element, with a backward pass that is wrong by a factor.
private struct WronglyDifferentiatedSquare: Operation {
  let factor: Float
  var kind: OperationKind { .unary(.square) }

  func outputShape(_ inputs: [Shape]) -> Shape { inputs[0] }

  func forward(_ pass: ForwardPass) {
    let x = pass.inputs[0].pointer
    for index in 0..<pass.output.count { pass.output.pointer[index] = x[index] * x[index] }
  }

  func backward(_ pass: BackwardPass) {
    let x = pass.input(0).pointer
    guard let gradient = pass.inputGradients[0] else { return }
    for index in 0..<gradient.count {
      gradient.pointer[index] = factor * 2 * x[index] * pass.outputGradient.pointer[index]
    }
  }
}

@Suite("GradientCheck")
struct GradientCheckTests {
  private func failures(factor: Float) -> [GradientCheck.Failure] {
    GradientCheck().failures(at: [.random([3, 5], seed: 7)]) {
      .apply(WronglyDifferentiatedSquare(factor: factor), $0)
    }
  }

  @Test("accepts a right gradient")
  func right() { #expect(failures(factor: 1).isEmpty) }

  @Test("finds a planted wrong sign in every direction")
  func sign() { #expect(failures(factor: -1).count == 3) }

  @Test("finds a planted wrong factor in every direction", arguments: [0.5, 0.98, 1.02, 2])
  func factor(_ factor: Float) { #expect(failures(factor: factor).count == 3) }

  @Test("finds a missing gradient")
  func missing() {
    let failures = GradientCheck().failures(at: [.random([4], seed: 7)]) { $0[0].detached() }
    #expect(failures.count == 3)
  }

  @Test("names the input whose gradient is wrong")
  func input() {
    let inputs: [Tensor] = [.random([4], seed: 7), .random([4], seed: 8)]
    let failures = GradientCheck().failures(at: inputs) { inputs in
      inputs[0] + Tensor.apply(WronglyDifferentiatedSquare(factor: -1), [inputs[1]])
    }
    #expect(failures.map(\.input) == [1, 1, 1])
  }

  @Test("finds one wrong element among a thousand")
  func element() {
    let failures = GradientCheck().failures(at: [.random([1000], seed: 7)]) { inputs in
      let wrong = Tensor.apply(
        WronglyDifferentiatedSquare(factor: -1), [inputs[0].sliced(axis: 0, 0..<1)])
      return .concatenate([wrong, inputs[0].sliced(axis: 0, 1..<1000)], axis: 0)
    }
    #expect(!failures.isEmpty)
  }
}
