public import Layers

/// Hyperparameters of a network whose convolutions can be of several kinds.
public protocol ConvolutionalConfiguration: ModelConfiguration {
  /// The kind of the network's convolutions.
  var convolution: ConvolutionChoice { get set }
}

extension ConvolutionalConfiguration {
  /// The same network with convolutions of another kind.
  public func with(_ convolution: ConvolutionChoice) -> Self {
    var changed = self
    changed.convolution = convolution
    return changed
  }
}

extension ModelDescription {
  /// The same network with convolutions of another kind.
  ///
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)`` if the network has no choice, or
  ///   if one of its layers cannot be of that kind.
  public func with(_ convolution: ConvolutionChoice) throws(ModelError) -> ModelDescription {
    guard let configuration = configuration as? any ConvolutionalConfiguration else {
      throw .invalidValue(
        key: "convolution", value: convolution.kind.rawValue,
        architecture: architecture.architecture, rule: "this network has no choice of convolutions")
    }
    let changed: any ModelConfiguration = configuration.with(convolution)
    try changed.validate()
    return ModelDescription(architecture: architecture, configuration: changed)
  }
}
