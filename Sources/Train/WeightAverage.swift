import Layers
import TensorCore

/// The exponential mean of a module's weights over the steps of a training.
///
/// After step n it is `d · mean + (1 − d) · weights` with `d = min(decay, (1 + n) / (10 + n))`, so that
/// early steps, which are far from the goal, are soon forgotten.
///
/// Source: Polyak, Juditsky, *Acceleration of Stochastic Approximation by Averaging*, SIAM Journal on
/// Control and Optimization 30(4), 1992; the warm-up is that of common implementations.
final class WeightAverage {
  private let decay: Double
  private let parameters: [(name: String, parameter: Parameter)]
  private let means: [Tensor]

  /// A mean that starts at the present weights.
  init(_ parameters: [(name: String, parameter: Parameter)], decay: Double) {
    self.decay = decay
    self.parameters = parameters
    means = parameters.map { entry in
      entry.parameter.tensor.withValues { Tensor(entry.parameter.shape, Array($0)) }
    }
  }

  /// Takes the weights after a step, counted from 1, into account.
  func update(step: Int) {
    let d = Float(min(decay, Double(1 + step) / Double(10 + step)))
    for (entry, mean) in zip(parameters, means) {
      mean.update { mean in
        entry.parameter.tensor.withValues { weights in
          for index in mean.indices { mean[index] += (1 - d) * (weights[index] - mean[index]) }
        }
      }
    }
  }

  /// Exchanges the mean and the weights of the module; doing it twice changes nothing.
  func swap() {
    for (entry, mean) in zip(parameters, means) {
      entry.parameter.update { weights in
        mean.update { mean in
          for index in mean.indices {
            (weights[index], mean[index]) = (mean[index], weights[index])
          }
        }
      }
    }
  }

  /// The means, as `ema.NAME`.
  var state: [(name: String, tensor: Tensor)] {
    zip(parameters, means).map { ("ema." + $0.name, $1) }
  }

  /// Restores the means; returns the names that are missing or have another shape.
  func restore(from tensor: (String) -> Tensor?) -> [String] {
    var unfit: [String] = []
    for (name, mean) in state {
      guard let stored = tensor(name), stored.shape == mean.shape else {
        unfit.append(name)
        continue
      }
      mean.update { buffer in stored.withValues { _ = buffer.initialize(from: $0) } }
    }
    return unfit
  }
}
