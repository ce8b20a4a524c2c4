import Foundation
public import Layers
public import TensorCore

/// Adam or AdamW over a module's parameters, with clipping by the norm of all gradients together.
public final class Adam: Optimizer {
  /// Steps done so far.
  public private(set) var steps = 0

  private let section: TrainingConfiguration.OptimizerSection
  private let parameters: [(name: String, parameter: Parameter)]
  private var moments: [(first: Tensor, second: Tensor)]

  /// An optimiser at its start.
  ///
  /// - Parameters:
  ///   - parameters: What it changes, with the names under which its state is stored.
  ///   - section: Betas, decay and clipping.
  public init(
    _ parameters: [(name: String, parameter: Parameter)],
    _ section: TrainingConfiguration.OptimizerSection
  ) {
    self.parameters = parameters
    self.section = section
    moments = parameters.map { (.zeros($0.parameter.shape), .zeros($0.parameter.shape)) }
  }

  /// Moves all parameters once.
  ///
  /// - Parameters:
  ///   - gradients: Of the loss; a parameter without one stays.
  ///   - learningRate: Of this step.
  /// - Returns: The Euclidean norm of all gradients before clipping; if it is not finite, nothing
  ///   was changed.
  public func step(_ gradients: Gradients, learningRate: Double) -> Double {
    Engine.shared.perform {
      let found = parameters.indices.compactMap { index in
        parameters[index].parameter.gradient(in: gradients).map { (index: index, gradient: $0) }
      }
      let norm = Tensor.sumOfSquares(of: found.map(\.gradient)).squareRoot()
      guard norm.isFinite else { return norm }
      steps += 1
      let step = AdamStep(
        learningRate: learningRate, betas: (section.betas[0], section.betas[1]),
        epsilon: section.eps, weightDecay: section.weightDecay,
        isDecoupled: section.name == "adamw", number: steps,
        gradientScale: section.clip > 0 && norm > section.clip ? section.clip / norm : 1)
      Parameter.update(found.map { parameters[$0.index].parameter }) { weights in
        step.apply(
          to: zip(weights, found).map { weights, found in
            let (first, second) = moments[found.index]
            return AdamStep.Group(
              weights: weights, first: first, second: second, gradient: found.gradient)
          })
      }
      return norm
    }
  }

  /// The moments, as `adam.first.NAME` and `adam.second.NAME`.
  public var state: [(name: String, tensor: Tensor)] {
    zip(parameters, moments).flatMap { entry, moment in
      [("adam.first." + entry.name, moment.first), ("adam.second." + entry.name, moment.second)]
    }
  }

  /// Restores the moments and the number of steps.
  ///
  /// - Parameters:
  ///   - steps: Steps done when the state was written.
  ///   - tensor: Finds a stored tensor by the names of ``state``.
  /// - Returns: The names that are missing or have another shape; if there are any, nothing changed.
  public func restore(steps: Int, from tensor: (String) -> Tensor?) -> [String] {
    let unfit = restoreTensors(from: tensor)
    if unfit.isEmpty { self.steps = steps }
    return unfit
  }
}
