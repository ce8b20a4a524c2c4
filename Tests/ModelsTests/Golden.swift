import Foundation
import Layers
import TensorCore
import Testing

/// A golden file in memory, for tests that spoil it or make a new one.
struct Golden {
  enum Values {
    case floats(Tensor)
    case integers([Int64], Shape)
  }

  var metadata: [String: String]
  var tensors: [(name: String, values: Values)]

  static func path(_ name: String) throws -> String {
    try #require(
      Bundle.module.path(forResource: name, ofType: "safetensors", inDirectory: "Goldens"),
      "no golden file \(name)")
  }

  init(metadata: [String: String]) {
    self.metadata = metadata
    tensors = []
  }

  init(_ name: String) throws {
    let file = try Safetensors(contentsOf: Self.path(name))
    metadata = file.metadata
    tensors = try file.entries.map { entry in
      if let integers = file.integers(named: entry.name) {
        return (entry.name, .integers(integers, entry.shape))
      }
      return (entry.name, .floats(try #require(file.tensor(named: entry.name))))
    }
  }

  subscript(name: String) -> Tensor? {
    get {
      guard case .floats(let tensor)? = tensors.first(where: { $0.name == name })?.values else {
        return nil
      }
      return tensor
    }
    set {
      let index = tensors.firstIndex { $0.name == name }
      switch (index, newValue) {
      case (let index?, let tensor?): tensors[index].values = .floats(tensor)
      case (let index?, nil): tensors.remove(at: index)
      case (nil, let tensor?): tensors.append((name, .floats(tensor)))
      case (nil, nil): break
      }
    }
  }

  /// Changes one text within the metadata.
  mutating func replace(_ old: String, with new: String, in key: String) throws {
    let text = try #require(metadata[key])
    try #require(text.contains(old), "\(key) does not contain \(old)")
    metadata[key] = text.replacingOccurrences(of: old, with: new)
  }

  /// Changes one element of a tensor.
  mutating func change(_ name: String, at index: Int = 0, by change: (Float) -> Float) throws {
    let tensor = try #require(self[name], "no tensor \(name)")
    var values = tensor.values
    values[index] = change(values[index])
    self[name] = Tensor(tensor.shape, values)
  }

  /// Gives a tensor another name.
  mutating func rename(_ old: String, to new: String) throws {
    let index = try #require(tensors.firstIndex { $0.name == old }, "no tensor \(old)")
    tensors[index].name = new
  }

  func file() throws -> Safetensors {
    var writer = SafetensorsWriter(metadata: metadata)
    for (name, values) in tensors {
      switch values {
      case .floats(let tensor): writer.add(tensor, named: name)
      case .integers(let integers, let shape): writer.add(integers, shape: shape, named: name)
      }
    }
    return try Safetensors(writer.encoded(), path: "golden")
  }
}
