import TensorCore
import TestSupport

extension GradientCase {
  // MARK: - Linear memories and sampling

  static let remembering: [GradientCase] = [
    gatedDelta(.recurrent, tokens: 5),
    gatedDelta(.chunked, tokens: 5),
    // More than one chunk.
    gatedDelta(.chunked, tokens: 37),
    GradientCase(
      "gated delta rule, only values wanted", .gatedDeltaRule, inputs: [1, 2, 4, 5]
    ) { inputs in
      let k = Tensor.random([1, 2, 4, 3], seed: 1).scaled(by: 0.5)
      let gate = Tensor([1, 2, 4], repeating: 0.6)
      return Tensor.gatedDeltaRule(
        query: k, key: k, value: inputs[0], alpha: gate, beta: gate, form: .chunked
      ).output
    },
    GradientCase(
      "sum and relu", .sumReLU, drawing: ([3, 5], .awayFromZero), ([3, 5], .uniform(0..<0.1))
    ) { .sumReLU($0[0], $0[1]) },
    GradientCase("points of an image", .pointSample, inputs: [2, 4, 5, 3]) {
      // Inside, on the border, between border and outside, and far outside.
      $0[0].sampled(
        at: Tensor(
          [2, 4, 2],
          [0.3, 0.6, 0.02, 0.98, 0, 1, 0.99, 0.5, 0.31, 0.62, 0.5, 0.5, -3, 0.2, 0.7, 0.1]))
    },
  ]

  private static func gatedDelta(_ form: GatedDeltaForm, tokens: Int) -> GradientCase {
    let (batch, heads, key, value) = (2, 2, 3, 4)
    return GradientCase(
      "gated delta rule, \(form), \(tokens) tokens", .gatedDeltaRule,
      drawing: ([batch, heads, tokens, key], .normal),
      ([batch, heads, tokens, key], .uniform(-0.6..<0.6)),
      ([batch, heads, tokens, value], .normal), ([batch, heads, tokens], .uniform(0.5..<0.95)),
      ([batch, heads, tokens], .uniform(0.2..<0.8)), ([batch, heads, key, value], .normal)
    ) {
      let result = Tensor.gatedDeltaRule(
        query: $0[0], key: $0[1], value: $0[2], alpha: $0[3], beta: $0[4], state: $0[5],
        form: form)
      return .concatenate([result.output, result.state], axis: 2)
    }
  }
}
