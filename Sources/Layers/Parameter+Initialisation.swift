public import Randomness
public import TensorCore

extension Parameter {
  /// A parameter with every element the same.
  public convenience init(_ shape: Shape, repeating value: Float) {
    self.init(shape) { $0.initialize(repeating: value) }
  }

  /// Draws weights or biases of a linear or convolution layer.
  ///
  /// Uniform within ±1/√`fanIn`, which is what the reference implementations' framework does by
  /// default (Kaiming's uniform rule with a = √5).
  ///
  /// - Parameters:
  ///   - shape: The shape, in the layout of the weight file.
  ///   - fanIn: The number of inputs that one output sums, > 0.
  ///   - generator: Drawn from once for each element, in row-major order.
  /// - Returns: A parameter that requires gradients.
  public static func uniform(
    _ shape: Shape, fanIn: Int, using generator: inout SeededGenerator
  ) -> Parameter {
    precondition(fanIn > 0, "uniform initialisation: fan-in \(fanIn) of shape \(shape)")
    let bound = 1 / Float(fanIn).squareRoot()
    return Parameter(shape) { generator.fillUniform($0, low: -bound, high: bound) }
  }

  /// Draws from the standard normal distribution.
  ///
  /// - Parameters:
  ///   - shape: The shape, in the layout of the weight file.
  ///   - generator: Drawn from for each element, in row-major order.
  /// - Returns: A parameter that requires gradients.
  public static func normal(
    _ shape: Shape, using generator: inout SeededGenerator
  ) -> Parameter {
    Parameter(shape) { generator.fillNormal($0) }
  }
}
