public import Randomness
import Synchronization
public import TensorCore

/// Sets elements, or whole channels of an item, to 0 at random in training and scales the others by 1/(1 − p); does nothing in
/// evaluation, the initial mode.
///
/// Source: Srivastava et al., *Dropout*, JMLR 15, 2014.
public final class Dropout: Module {
  /// The probability of an element to become 0, in `0..<1`.
  public let probability: Float
  /// Whether the channels of an item become 0 as a whole.
  public let dropsChannels: Bool

  private let generator: Mutex<SeededGenerator>
  private let isTraining = Atomic<Bool>(false)

  /// A layer whose masks follow from the generator's state.
  ///
  /// - Parameters:
  ///   - probability: In `0..<1`.
  ///   - dropsChannels: Whether the channels of an item become 0 as a whole (2D and 3D dropout).
  ///   - generator: Gives the seed of the masks.
  public init(
    probability: Float, dropsChannels: Bool = false, using generator: inout SeededGenerator
  ) {
    precondition((0..<1).contains(probability), "dropout: probability \(probability)")
    self.probability = probability
    self.dropsChannels = dropsChannels
    self.generator = Mutex(SeededGenerator(seed: generator.next()))
  }

  /// Makes the masks that follow depend on a seed alone, so that a training that was cut can go on.
  public func reseed(_ seed: UInt64) {
    generator.withLock { $0 = SeededGenerator(seed: seed) }
  }

  /// Nothing is stored.
  public var members: [Member] { [] }

  /// Masks in training only.
  public func modeChanged(isTraining: Bool) {
    self.isTraining.store(isTraining, ordering: .releasing)
  }

  /// Starts the masks anew from a generator.
  func restart(with generator: SeededGenerator) { self.generator.withLock { $0 = generator } }

  /// Masks elements of a tensor of any shape.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    guard probability > 0, isTraining.load(ordering: .acquiring) else { return x }
    let (probability, scale) = (probability, 1 / (1 - probability))
    var sizes = x.shape.dimensions
    if dropsChannels { for axis in 1..<max(1, sizes.count - 1) { sizes[axis] = 1 } }
    let mask = Tensor(Shape(sizes)) { values in
      generator.withLock { generator in
        for index in values.indices {
          values[index] = generator.nextUniform() < probability ? 0 : scale
        }
      }
    }
    return x * mask
  }
}

extension Module {
  /// Lets the masks of all dropout layers follow from a seed and a step alone, so that a run that was
  /// interrupted goes on to the bit.
  ///
  /// - Parameters:
  ///   - seed: That of the run.
  ///   - step: The step whose forward pass comes next.
  public func restartDropout(seed: UInt64, step: Int) {
    var number: UInt64 = 0
    restartDropout(seed, UInt64(step), &number)
  }

  private func restartDropout(_ seed: UInt64, _ step: UInt64, _ number: inout UInt64) {
    if let dropout = self as? Dropout {
      // The stream's name keeps these masks apart from other draws of the run.
      dropout.restart(with: SeededGenerator(seed: seed, stream: 0x6472_6f70, step, number))
      number += 1
    }
    for case .module(_, let part) in members { part.restartDropout(seed, step, &number) }
  }
}
