/// A part of a network that backward can compute anew, so that its intermediate results need not be
/// remembered.
public protocol CheckpointedModule: Module {
  /// Whether it does so: slower by about a forward pass, for a fraction of the memory.
  ///
  /// Values and gradients are the same to the bit.
  var checkpointsActivations: Bool { get set }
}

extension Module {
  /// Sets ``CheckpointedModule/checkpointsActivations`` on this module and all its parts that have it.
  ///
  /// - Returns: How many there are; 0 means that the network does not support it.
  @discardableResult
  public func setCheckpointsActivations(_ isOn: Bool) -> Int {
    var count = 0
    if let part = self as? any CheckpointedModule {
      part.checkpointsActivations = isOn
      count = 1
    }
    for case .module(_, let module) in members { count += module.setCheckpointsActivations(isOn) }
    return count
  }
}
