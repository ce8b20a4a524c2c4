public import Randomness
public import TensorCore

/// How the elements of a random test tensor are distributed.
public enum Distribution: Sendable {
  /// Normal with mean 0 and standard deviation 1.
  case normal
  /// Uniform in a half-open range.
  case uniform(Range<Float>)
  /// Of either sign, with magnitudes uniform in 0.2 to 1.5: for functions with a kink at zero.
  case awayFromZero
  /// All different, evenly spaced and in random order: for functions that pick a maximum.
  ///
  /// A gradient check needs the spacing to be wider than its steps: not more than 40 elements.
  case distinct
}

extension Tensor {
  /// A tensor of random elements that depend on the seed alone.
  public static func random(
    _ shape: Shape, _ distribution: Distribution = .normal, seed: UInt64
  ) -> Tensor {
    var generator = SeededGenerator(seed: seed)
    return random(shape, distribution, using: &generator)
  }

  /// A tensor of random elements.
  public static func random(
    _ shape: Shape, _ distribution: Distribution = .normal, using generator: inout SeededGenerator
  ) -> Tensor {
    switch distribution {
    case .normal:
      return Tensor(shape) { elements in
        for index in elements.indices { elements[index] = generator.nextNormal() }
      }
    case .uniform(let range):
      return Tensor(shape) { elements in
        for index in elements.indices {
          let fraction = generator.nextUniform()
          elements[index] = range.lowerBound + (range.upperBound - range.lowerBound) * fraction
        }
      }
    case .awayFromZero:
      return Tensor(shape) { elements in
        for index in elements.indices {
          let magnitude = 0.2 + 1.3 * generator.nextUniform()
          elements[index] = generator.nextUniform() < 0.5 ? -magnitude : magnitude
        }
      }
    case .distinct:
      let order = generator.permutation(shape.count)
      return Tensor(shape, order.map { Float($0) - 0.5 * Float(shape.count) })
    }
  }
}
