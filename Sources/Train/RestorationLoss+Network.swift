import Models
import TensorCore

extension RestorationLoss {
  /// The loss of a network's output; for a deeply supervised one the mean over its levels, each weighted
  /// half as much as the next finer one, against targets averaged to its size.
  ///
  /// Source: Isensee et al., *nnU-Net*, Nature Methods 18, 2021 (the weights).
  func callAsFunction(of model: any RestorationModel, _ input: Tensor, _ target: Tensor) -> Tensor {
    guard let network = model as? UNet, network.configuration.hasDeepSupervision else {
      return self(model(input), target)
    }
    var (sum, weights, weight) = (Tensor(0), Float(0), Float(1))
    var scaled = target
    for (level, output) in network.outputs(input).enumerated() {
      if level > 0 {
        scaled = scaled.averagePooled(kernel: network.configuration.factors(level - 1))
      }
      sum = sum + self(output, scaled) * weight
      weights += weight
      weight /= 2
    }
    return sum / weights
  }
}
