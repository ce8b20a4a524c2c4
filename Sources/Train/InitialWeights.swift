import Foundation
import Layers
import TensorCore

extension Safetensors {
  /// These weights for a network that sees more channels than the one they come from.
  ///
  /// The first kernel of a network for single slices becomes one for stacks: it acts on the slice in the
  /// middle, neighbours count nothing at first. All other weights stay.
  ///
  /// - Parameters:
  ///   - module: The network that they are for.
  ///   - path: The file's name in errors.
  /// - Returns: These weights, or the same with wider kernels.
  /// - Throws: What reading the weights throws.
  func widened(toInputsOf module: some Module, path: String) throws(LayerError) -> Safetensors {
    var writer = SafetensorsWriter(metadata: metadata)
    var isChanged = false
    for entry in module.state {
      guard let stored = tensor(named: entry.name) else { continue }
      let wanted = entry.shape
      guard stored.shape.rank == 4, wanted.rank == 4, stored.shape[1] == 1, wanted[1] > 1,
        !wanted[1].isMultiple(of: 2), stored.shape[0] == wanted[0],
        stored.shape.dimensions[2...] == wanted.dimensions[2...]
      else {
        writer.add(stored, named: entry.name)
        continue
      }
      let side = Tensor(
        [wanted[0], wanted[1] / 2, wanted[2], wanted[3]], repeating: 0)
      writer.add(Tensor.concatenate([side, stored, side], axis: 1), named: entry.name)
      isChanged = true
    }
    return isChanged ? try Safetensors(writer.encoded(), path: path) : self
  }
}
