import TensorCore
import TestSupport

extension GradientCase {
  // MARK: - Element by element

  static let elementwise: [GradientCase] =
    [
      GradientCase("negate", .unary(.negate), inputs: [3, 5]) { -$0[0] },
      GradientCase("exp", .unary(.exp), inputs: [3, 5]) { $0[0].exponential() },
      positive("log", .log) { $0.logarithm() },
      positive("sqrt", .sqrt) { $0.squareRoot() },
      positive("rsqrt", .rsqrt) { $0.reciprocalSquareRoot() },
      positive("reciprocal", .reciprocal) { $0.reciprocal() },
      kinked("abs", .abs) { $0.absolute() },
      kinked("relu", .relu) { $0.relu() },
      kinked("relu squared", .reluSquared) { $0.reluSquared() },
      kinked("leaky relu", .leakyReLU) { $0.leakyReLU(slope: 0.2) },
      kinked("elu", .elu) { $0.elu(scale: 0.7) },
      GradientCase("square", .unary(.square), inputs: [3, 5]) { $0[0].squared() },
      GradientCase("sigmoid", .unary(.sigmoid), inputs: [3, 5]) { $0[0].sigmoid() },
      GradientCase("tanh", .unary(.tanh), inputs: [3, 5]) { $0[0].hyperbolicTangent() },
      GradientCase("silu", .unary(.silu), inputs: [3, 5]) { $0[0].silu() },
      GradientCase("gelu", .unary(.gelu), inputs: [3, 5]) { $0[0].gelu() },
      GradientCase("softplus", .unary(.softplus), inputs: [3, 5]) { $0[0].softplus() },
      GradientCase("sine", .unary(.sin), inputs: [3, 5]) { $0[0].sine() },
      GradientCase("cosine", .unary(.cos), inputs: [3, 5]) { $0[0].cosine() },
      GradientCase("affine", .affine, inputs: [3, 5]) { $0[0].scaled(by: -1.5, adding: 2) },
    ] + binary

  private static func positive(
    _ name: String, _ function: UnaryFunction, _ body: @escaping @Sendable (Tensor) -> Tensor
  ) -> GradientCase {
    GradientCase(name, .unary(function), drawing: ([3, 5], .uniform(1..<3))) { body($0[0]) }
  }

  private static func kinked(
    _ name: String, _ function: UnaryFunction, _ body: @escaping @Sendable (Tensor) -> Tensor
  ) -> GradientCase {
    GradientCase(name, .unary(function), drawing: ([3, 5], .awayFromZero)) { body($0[0]) }
  }

  private static let binary: [GradientCase] = [
    GradientCase("add", .binary(.add), inputs: [3, 5], [3, 5]) { $0[0] + $0[1] },
    GradientCase("add, a tensor to itself", .binary(.add), inputs: [3, 5]) { $0[0] + $0[0] },
    GradientCase("add, one row", .binary(.add), inputs: [2, 3, 5], [5]) { $0[0] + $0[1] },
    GradientCase("subtract", .binary(.subtract), inputs: [3, 5], [3, 5]) { $0[0] - $0[1] },
    GradientCase("subtract, one column", .binary(.subtract), inputs: [3, 1], [2, 3, 5]) {
      $0[0] - $0[1]
    },
    GradientCase("multiply, both broadcast", .binary(.multiply), inputs: [2, 1, 5], [3, 1]) {
      $0[0] * $0[1]
    },
    GradientCase("multiply, a scalar", .binary(.multiply), inputs: [], [4, 3]) { $0[0] * $0[1] },
    GradientCase(
      "divide, one row", .binary(.divide), drawing: ([4, 3], .normal), ([3], .uniform(0.5..<2))
    ) { $0[0] / $0[1] },
    GradientCase("maximum", .binary(.maximum), drawing: ([24], .distinct)) {
      .maximum($0[0].sliced(axis: 0, 0..<12), $0[0].sliced(axis: 0, 12..<24))
    },
    GradientCase("minimum", .binary(.minimum), drawing: ([24], .distinct)) {
      .minimum($0[0].sliced(axis: 0, 0..<12), $0[0].sliced(axis: 0, 12..<24))
    },
  ]

  // MARK: - Linear layers and mixing

  static let mixing: [GradientCase] = [
    GradientCase("linear", .linear, inputs: [2, 5, 12], [7, 12], [7]) {
      $0[0].linear($0[1], bias: $0[2])
    },
    // Several row chunks with private sums of the weight's gradient.
    GradientCase("linear, many rows", .linear, inputs: [2300, 5], [3, 5]) {
      $0[0].linear($0[1])
    },
    GradientCase(
      "linear with relu", .linear, drawing: ([6, 1], .awayFromZero), ([4, 1], .awayFromZero)
    ) {
      $0[0].linear($0[1], activation: .relu)
    },
    GradientCase(
      "linear with relu squared", .linear, drawing: ([6, 1], .awayFromZero),
      ([4, 1], .awayFromZero)
    ) { $0[0].linear($0[1], activation: .reluSquared) },
    GradientCase("linear with sigmoid", .linear, inputs: [6, 5], [4, 5]) {
      $0[0].linear($0[1], activation: .sigmoid)
    },
    GradientCase(
      "feed-forward", .feedForward, inputs: [3, 50, 6], [24, 6], [6, 6], [6, 24], [6], [3, 50, 6]
    ) {
      $0[0].feedForward(
        key: $0[1], receptance: $0[2], value: $0[3], scale: $0[4], residual: $0[5])
    },
    GradientCase(
      "feed-forward with a gate's input", .feedForward, inputs: [3, 20, 6], [24, 6], [6, 6],
      [6, 24],
      [3, 20, 6]
    ) { $0[0].feedForward(key: $0[1], receptance: $0[2], value: $0[3], gate: $0[4]) },
    GradientCase(
      "feed-forward, nothing added", .feedForward, inputs: [300, 4], [16, 4], [4, 4], [4, 16]
    ) { $0[0].feedForward(key: $0[1], receptance: $0[2], value: $0[3]) },
    GradientCase(
      "gated projection", .gatedProjection, inputs: [3, 50, 6], [3, 50, 6], [5, 6], [5], [3, 50, 5]
    ) { $0[0].gatedProjection(gate: $0[1], weight: $0[2], scale: $0[3], residual: $0[4]) },
    GradientCase(
      "gated projection, nothing added", .gatedProjection, inputs: [300, 4], [300, 4], [6, 4]
    ) { $0[0].gatedProjection(gate: $0[1], weight: $0[2]) },
    GradientCase(
      "omni-shift kernel", .omniShiftKernel, inputs: [4], [3, 1, 1, 1], [3, 1, 3, 3], [3, 1, 5, 5]
    ) { .omniShiftKernel(alpha: $0[0], conv1x1: $0[1], conv3x3: $0[2], conv5x5: $0[3]) },
    wkv("one recurrence", recurrences: 1, width: 9),
    wkv("two recurrences", recurrences: 2, width: 5),
    wkv("three recurrences", recurrences: 3, width: 4),
    GradientCase(
      "wkv, columns first", .bidirectionalWKV, drawing: ([2, 5], .uniform(-0.3..<0.5)),
      ([2, 5], .normal), ([2, 12, 5], .normal), ([2, 12, 5], .normal)
    ) {
      .bidirectionalWKV(
        decay: $0[0], bonus: $0[1], key: $0[2], value: $0[3], height: 3, width: 4,
        startsWithColumns: true)
    },
    // Several blocks of tokens.
    GradientCase(
      "wkv, strong decay, many tokens", .bidirectionalWKV, drawing: ([1, 2], .uniform(8..<9)),
      ([1, 2], .normal), ([1, 150, 2], .normal), ([1, 150, 2], .normal)
    ) {
      .bidirectionalWKV(
        decay: $0[0], bonus: $0[1], key: $0[2], value: $0[3], height: 10, width: 15)
    },
    // Beyond what the fast form takes: the running maximum.
    GradientCase(
      "wkv, strong decay", .bidirectionalWKV, drawing: ([2, 3], .uniform(8..<9)),
      ([2, 3], .normal),
      ([2, 12, 3], .normal), ([2, 12, 3], .normal)
    ) {
      .bidirectionalWKV(
        decay: $0[0], bonus: $0[1], key: $0[2], value: $0[3], height: 3, width: 4)
    },
  ]

  private static func wkv(_ name: String, recurrences: Int, width: Int) -> GradientCase {
    let shape: Shape = [2, 3 * width, 5]
    return GradientCase(
      "wkv, \(name)", .bidirectionalWKV, drawing: ([recurrences, 5], .uniform(-0.3..<0.5)),
      ([recurrences, 5], .normal), (shape, .normal), (shape, .normal)
    ) {
      .bidirectionalWKV(
        decay: $0[0], bonus: $0[1], key: $0[2], value: $0[3], height: 3, width: width)
    }
  }
}
