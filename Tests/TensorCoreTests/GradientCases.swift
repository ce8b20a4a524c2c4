import Randomness
import TensorCore
import TestSupport
import Testing

/// A computation whose gradient is checked, with the inputs at which to check it.
struct GradientCase: Sendable, CustomTestStringConvertible {
  /// What is special about this case, for the name of the test.
  let name: String
  /// The kinds of operations whose gradients the case checks; it has to apply all of them.
  let kinds: Set<OperationKind>
  /// Shape and distribution of each input.
  let inputs: [(shape: Shape, distribution: Distribution)]
  /// The computation; called with tensors of the inputs' shapes.
  let function: @Sendable ([Tensor]) -> Tensor

  /// A case with normally distributed inputs.
  init(
    _ name: String, _ kinds: OperationKind..., inputs: Shape...,
    function: @escaping @Sendable ([Tensor]) -> Tensor
  ) {
    self.name = name
    self.kinds = Set(kinds)
    self.inputs = inputs.map { ($0, .normal) }
    self.function = function
  }

  /// A case with a distribution for each input.
  init(
    _ name: String, _ kinds: OperationKind..., drawing inputs: (Shape, Distribution)...,
    function: @escaping @Sendable ([Tensor]) -> Tensor
  ) {
    self.name = name
    self.kinds = Set(kinds)
    self.inputs = inputs.map { ($0, $1) }
    self.function = function
  }

  var testDescription: String { name }

  /// The inputs, the same each time.
  var tensors: [Tensor] {
    var generator = SeededGenerator(seed: 42)
    return inputs.map { .random($0.shape, $0.distribution, using: &generator) }
  }

  /// Every case; a new operation adds a line to the table of its family.
  static let all: [GradientCase] =
    elementwise + mixing + moving + normalizing + reducing + remembering + transforming + weaving

  // MARK: - Operations that move elements

  static let moving: [GradientCase] = [
    GradientCase("reshape", .reshape, inputs: [2, 6]) { $0[0].reshaped(to: [3, 4]) },
    GradientCase("permute, innermost axis stays", .permute, inputs: [2, 3, 4, 5]) {
      $0[0].permuted([2, 0, 1, 3])
    },
    GradientCase("permute, innermost axis moves", .permute, inputs: [2, 17, 3, 9]) {
      $0[0].permuted([3, 0, 2, 1])
    },
    GradientCase("slice", .slice, inputs: [2, 7, 3]) { $0[0].sliced(axis: 1, 2..<5) },
    GradientCase("pad", .pad, inputs: [2, 3, 4]) {
      $0[0].padded(before: [0, 1, 2], after: [1, 0, 3], value: 0.5)
    },
    GradientCase("concatenate", .concatenate, inputs: [2, 3, 4], [2, 1, 4], [2, 2, 4]) {
      .concatenate($0, axis: 1)
    },
    GradientCase("broadcast", .broadcast, inputs: [3, 1, 4]) { $0[0].broadcast(to: [2, 3, 5, 4]) },
    GradientCase("gather, an index twice", .gather, inputs: [2, 5, 3]) {
      $0[0].gathered([4, 1, 1, 0], axis: 1)
    },
    GradientCase("scatter, two to one place", .scatterAdd, inputs: [2, 4, 3]) {
      $0[0].scatterAdded([4, 1, 1, 0], axis: 1, count: 6)
    },
  ]

  // MARK: - Reductions

  static let reducing: [GradientCase] = [
    GradientCase("sum", .reduction(.sum), inputs: [3, 4, 5]) { $0[0].sum(axes: [0, 2]) },
    GradientCase("mean", .reduction(.mean), inputs: [3, 4, 5]) {
      $0[0].mean(axes: [1], keepingAxes: true)
    },
    GradientCase("maximum", .reduction(.max), drawing: ([3, 4, 3], .distinct)) {
      $0[0].maximum(axes: [1])
    },
  ]
}
