import Layers
import TensorCore

/// The exponential mean of a module's weights over the steps of a training, and of its norms' running statistics:
/// those of the last steps are of other weights.
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

  /// A mean that starts at the present weights of a module.
  init(of module: any Module, decay: Double) {
    self.decay = decay
    parameters = module.state.compactMap { entry in
      switch entry.content {
      case .parameter(let parameter): (entry.name, parameter)
      // A count, of batches for instance, has no mean.
      case .buffer(let buffer): entry.shape == .scalar ? nil : (entry.name, buffer)
      case .derived: nil
      }
    }
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

  /// Restores the means; returns the names that are missing or have another shape, and if there are any, nothing
  /// changed.
  func restore(from tensor: (String) -> Tensor?) -> [String] { state.restore(from: tensor) }
}
