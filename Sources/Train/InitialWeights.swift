import Foundation
import Imaging
public import Layers
import TensorCore

/// Files of weights that a training starts from; of several, their mean.
///
/// In a configuration one path, empty for none, or a list of paths. The mean of networks that were trained
/// from the same weights is often a network between them: Wortsman et al., *Model soups*, ICML 2022.
public struct InitialWeights: Codable, Sendable, Equatable {
  /// `.safetensors` files of one network; none for random weights.
  public var files: [String]

  /// The weights of some files.
  public init(_ files: [String] = []) { self.files = files }

  /// Reads a path or a list of paths.
  public init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    if let file = try? value.decode(String.self) {
      files = file.isEmpty ? [] : [file]
    } else {
      files = try value.decode([String].self)
    }
  }

  /// Writes a path, or a list of several.
  public func encode(to encoder: any Encoder) throws {
    var value = encoder.singleValueContainer()
    if files.count > 1 { try value.encode(files) } else { try value.encode(files.first ?? "") }
  }

  /// What a training began with, in words for a card: files with the folder that they lie in.
  var origin: String {
    guard !files.isEmpty else { return "random weights" }
    let names = files.map { $0.split(separator: "/").suffix(2).joined(separator: "/") }
    return files.count == 1
      ? "the weights \(names[0])" : "the mean of \(names.joined(separator: ", "))"
  }

  /// Gives a network these weights, if there are any.
  ///
  /// - Throws: As ``read()``, or if they are not those of such a network.
  func load(into network: some Module) throws {
    if let weights = try read() { try network.load(weights) }
  }

  /// The weights.
  ///
  /// - Returns: Nil for random ones.
  /// - Throws: What reading weights throws, or ``TrainingError/invalidValue(key:reason:)`` if they are not
  ///   those of one network.
  public func read() throws -> Safetensors? {
    guard let path = files.first else { return nil }
    for file in files where !FileManager.default.fileExists(atPath: file) {
      throw ImagingError.noSuchFile(
        file: file, reason: "the configuration names it for initial weights")
    }
    let first = try Safetensors(contentsOf: path)
    guard files.count > 1 else { return first }
    let others = try files.dropFirst().map { try Safetensors(contentsOf: $0) }
    if let other = others.first(where: { $0.entries.count != first.entries.count }) {
      throw TrainingError.invalidValue(
        key: "model.initial_weights",
        reason: "`\(other.path)` has \(other.entries.count) tensors, `\(path)` has "
          + "\(first.entries.count): a mean needs weights of one network")
    }
    var writer = SafetensorsWriter(metadata: first.metadata)
    for entry in first.entries {
      if let counters = first.integers(named: entry.name) {
        writer.add(counters, shape: entry.shape, named: entry.name)
        continue
      }
      guard var sum = first.tensor(named: entry.name) else { continue }
      for other in others {
        guard let tensor = other.tensor(named: entry.name), tensor.shape == entry.shape else {
          throw TrainingError.invalidValue(
            key: "model.initial_weights",
            reason:
              "`\(other.path)` has no `\(entry.name)` of shape \(entry.shape), as `\(path)` has: "
              + "a mean needs weights of one network")
        }
        sum = sum + tensor
      }
      writer.add(sum * (1 / Float(files.count)), named: entry.name)
    }
    return try Safetensors(writer.encoded(), path: path)
  }
}

extension Safetensors {
  /// These weights for a network that sees more channels than the one they come from.
  ///
  /// The first kernel of a network for single slices becomes one for stacks: it acts on the slice in the
  /// middle, neighbours count nothing at first. All other weights stay.
  ///
  /// - Parameter module: The network that they are for.
  /// - Returns: These weights, or the same with wider kernels.
  /// - Throws: What reading the weights throws.
  func widened(toInputsOf module: some Module) throws(LayerError) -> Safetensors {
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
    // Loading refuses what the network does not have, and must see it.
    let own = Set(module.state.map(\.name))
    for entry in entries where !own.contains(entry.name) {
      if let stored = tensor(named: entry.name) { writer.add(stored, named: entry.name) }
    }
    return isChanged ? try Safetensors(writer.encoded(), path: path) : self
  }
}
