import Layers
import Models
import TensorCore

extension GDKVM {
  /// Loads weights of a network of the same sizes, with or without identities of structures.
  ///
  /// - Parameter file: Identities that it lacks stay what they are.
  /// - Throws: ``LayerError`` if anything else is missing or does not fit.
  func load(startingFrom file: Safetensors) throws(LayerError) {
    var tensors: [String: Tensor] = [:]
    for entry in file.entries { tensors[entry.name] = file.tensor(named: entry.name) }
    if tensors[Self.identityName] == nil,
      let own = state.first(where: { $0.name == Self.identityName })
    {
      tensors[Self.identityName] = own.tensor
    }
    try load(tensors)
  }
}
