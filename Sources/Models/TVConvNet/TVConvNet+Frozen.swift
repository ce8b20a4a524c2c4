import Layers
import Randomness
import TensorCore

extension TVConvNet {
  /// The network with its generated kernels kept and the generators dropped, for inference.
  ///
  /// The norm behind each translation-variant convolution is taken into its kernels, with the running
  /// statistics. The result equals this network in evaluation mode up to rounding, and no longer
  /// changes with it.
  ///
  /// - Returns: A network that records no gradients; this one if its kernels are given already or it
  ///   has none.
  /// - Throws: ``LayerError`` if the two state dictionaries do not fit, which would be a mistake here.
  public func frozen() throws -> TVConvNet {
    let layers = translationVariantLayers
    guard !layers.isEmpty else { return self }
    var configuration = configuration
    configuration.isFrozen = true
    var generator = SeededGenerator(seed: 0)
    let network = try TVConvNet(configuration, using: &generator)
    network.setTraining(false)
    network.setRequiresGradient(false)
    var tensors: [String: Tensor] = [:]
    let names = Set(network.state.map(\.name))
    for entry in state where names.contains(entry.name) { tensors[entry.name] = entry.tensor }
    for (name, layer, norm) in layers {
      let kept = Engine.shared.perform { layer.frozen(folding: norm) }
      let first = configuration.expansion == 1 ? 0 : 1
      for entry in kept.state { tensors["\(name).conv.\(first).0.\(entry.name)"] = entry.tensor }
    }
    try network.load(tensors)
    return network
  }
}
