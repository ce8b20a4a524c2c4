import Foundation
public import Layers
public import TensorCore

/// What moves the parameters of a module against the gradient of a loss.
public protocol Optimizer: AnyObject {
  /// Steps done so far.
  var steps: Int { get }

  /// Moves all parameters once.
  ///
  /// - Parameters:
  ///   - gradients: Of the loss; a parameter without one stays.
  ///   - learningRate: Of this step.
  /// - Returns: The Euclidean norm of all gradients before clipping; if it is not finite, nothing
  ///   was changed.
  func step(_ gradients: Gradients, learningRate: Double) -> Double

  /// What the next steps depend on besides the weights, by names that are stored.
  var state: [(name: String, tensor: Tensor)] { get }

  /// Restores the state and the number of steps.
  ///
  /// - Parameters:
  ///   - steps: Steps done when the state was written.
  ///   - tensor: Finds a stored tensor by the names of ``state``.
  /// - Returns: The names that are missing or have another shape; if there are any, nothing changed.
  func restore(steps: Int, from tensor: (String) -> Tensor?) -> [String]
}

extension Optimizer {
  /// Fills the tensors of the state; returns the names that are missing or have another shape, and if there
  /// are any, nothing changed.
  func restoreTensors(from tensor: (String) -> Tensor?) -> [String] {
    state.restore(from: tensor)
  }
}

extension [(name: String, tensor: Tensor)] {
  /// Fills these tensors with stored ones.
  ///
  /// - Parameter stored: Finds a stored tensor by its name.
  /// - Returns: The names that are missing or have another shape; if there are any, nothing changed.
  func restore(from stored: (String) -> Tensor?) -> [String] {
    let found = map { ($0.name, $0.tensor, stored($0.name)) }
    let unfit = found.filter { $0.2?.shape != $0.1.shape }.map(\.0)
    guard unfit.isEmpty else { return unfit }
    for (_, own, stored) in found {
      own.update { buffer in stored?.withValues { _ = buffer.initialize(from: $0) } }
    }
    return []
  }
}

extension TrainingConfiguration.OptimizerSection {
  /// The optimiser that the section names, at its start.
  ///
  /// - Parameter parameters: What it changes, with the names under which its state is stored.
  /// - Returns: The optimiser.
  public func makeOptimizer(
    for parameters: [(name: String, parameter: Parameter)]
  ) -> any Optimizer {
    name == "sgd" ? MomentumDescent(parameters, self) : Adam(parameters, self)
  }
}

/// Stochastic gradient descent with Nesterov's momentum, with clipping by the norm of all gradients.
///
///     g ← g + λ w,   v ← μ v + g,   w ← w − η (g + μ v)
///
/// Source: Sutskever et al., *On the importance of initialization and momentum in deep learning*,
/// ICML 2013, in the form in which common libraries state it.
public final class MomentumDescent: Optimizer {
  /// Steps done so far.
  public private(set) var steps = 0

  private let section: TrainingConfiguration.OptimizerSection
  private let parameters: [(name: String, parameter: Parameter)]
  private let velocities: [Tensor]

  /// An optimiser at its start.
  ///
  /// - Parameters:
  ///   - parameters: What it changes, with the names under which its state is stored.
  ///   - section: Momentum, decay and clipping.
  public init(
    _ parameters: [(name: String, parameter: Parameter)],
    _ section: TrainingConfiguration.OptimizerSection
  ) {
    self.parameters = parameters
    self.section = section
    velocities = parameters.map { .zeros($0.parameter.shape) }
  }

  /// Moves all parameters once; see ``Optimizer/step(_:learningRate:)``.
  public func step(_ gradients: Gradients, learningRate: Double) -> Double {
    Engine.shared.perform {
      let found = parameters.map { $0.parameter.gradient(in: gradients) }
      let norm = found.reduce(0) { $0 + ($1?.sumOfSquares ?? 0) }.squareRoot()
      guard norm.isFinite else { return norm }
      steps += 1
      let scale = Float(section.clip > 0 && norm > section.clip ? section.clip / norm : 1)
      let (rate, decay) = (Float(learningRate), Float(section.weightDecay))
      let momentum = Float(section.momentum)
      for (index, gradient) in found.enumerated() {
        guard let gradient else { continue }
        parameters[index].parameter.update { weights in
          velocities[index].update { velocity in
            gradient.withValues { gradient in
              for i in weights.indices {
                let g = gradient[i] * scale + decay * weights[i]
                velocity[i] = momentum * velocity[i] + g
                weights[i] -= rate * (g + momentum * velocity[i])
              }
            }
          }
        }
      }
      return norm
    }
  }

  /// The velocities, as `sgd.velocity.NAME`.
  public var state: [(name: String, tensor: Tensor)] {
    zip(parameters, velocities).map { ("sgd.velocity." + $0.name, $1) }
  }

  /// Restores the velocities; see ``Optimizer/restore(steps:from:)``.
  public func restore(steps: Int, from tensor: (String) -> Tensor?) -> [String] {
    let unfit = restoreTensors(from: tensor)
    if unfit.isEmpty { self.steps = steps }
    return unfit
  }
}

/// Several optimisers as one, each for parameters of its own, which it clips by the norm of their gradients.
package final class OptimizerGroups: Optimizer {
  private let groups: [any Optimizer]

  /// Optimisers at the same step, of different parameters.
  package init(_ groups: [any Optimizer]) { self.groups = groups }

  package var steps: Int { groups.first?.steps ?? 0 }

  /// Moves the parameters of all groups; see ``Optimizer/step(_:learningRate:)``.
  ///
  /// A group whose norm is not finite stays; others move, and the norm that is returned is not finite.
  package func step(_ gradients: Gradients, learningRate: Double) -> Double {
    groups.reduce(0) { norm, group in
      hypot(norm, group.step(gradients, learningRate: learningRate))
    }
  }

  package var state: [(name: String, tensor: Tensor)] { groups.flatMap(\.state) }

  /// Restores all groups; see ``Optimizer/restore(steps:from:)``.
  package func restore(steps: Int, from tensor: (String) -> Tensor?) -> [String] {
    let unfit = state.filter { tensor($0.name)?.shape != $0.tensor.shape }.map(\.name)
    guard unfit.isEmpty else { return unfit }
    return groups.flatMap { $0.restore(steps: steps, from: tensor) }
  }
}
