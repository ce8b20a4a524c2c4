public import Layers
public import Models
public import TensorCore

/// Why a golden file cannot be run; it then counts as failed.
public enum ParityError: Error, Equatable, Sendable {
  /// The file cannot be read, or its parameters do not fit the subject.
  case weights(LayerError)
  /// `format` is not `parity-1`.
  case unknownFormat(String)
  /// A text that every golden file has is absent.
  case missingMetadata(String)
  /// A text has a value that is not understood.
  case invalidMetadata(key: String, reason: String)
  /// A hyperparameter that the subject needs is absent.
  case missingKey(String)
  /// Hyperparameters that the subject does not know.
  case unknownKeys([String])
  /// A hyperparameter with a value that the subject cannot have.
  case invalidValue(key: String, value: String, rule: String)
  /// The network refuses the hyperparameters.
  case model(ModelError)
  /// A tensor that the subject needs is absent.
  case missingTensor(String)
  /// A tensor whose name means nothing for the subject.
  case unknownTensor(String)
  /// A tensor of a shape that the subject does not take.
  case shape(tensor: String, expected: String, found: Shape)
  /// A tensor that cannot be used as it is.
  case invalidTensor(String, reason: String)
  /// The file has nothing to compare.
  case nothingToCompare
}

extension ParityError: CustomStringConvertible {
  /// One sentence that names what is wrong.
  public var description: String {
    switch self {
    case .weights(let error): "\(error)"
    case .unknownFormat(let format): "unknown format \"\(format)\", expected \"parity-1\""
    case .missingMetadata(let key): "metadata lack \"\(key)\""
    case .invalidMetadata(let key, let reason): "metadata \"\(key)\": \(reason)"
    case .missingKey(let key): "config lacks \"\(key)\""
    case .unknownKeys(let keys):
      "config has keys that are not understood: "
        + keys.map { "\"\($0)\"" }.joined(separator: ", ")
    case .invalidValue(let key, let value, let rule): "config \"\(key)\" is \(value), \(rule)"
    case .model(let error): "\(error)"
    case .missingTensor(let name): "missing tensor \(name)"
    case .unknownTensor(let name): "tensor \(name) is not understood"
    case .shape(let tensor, let expected, let found):
      "\(tensor) has shape \(found), expected \(expected)"
    case .invalidTensor(let name, let reason): "\(name): \(reason)"
    case .nothingToCompare: "nothing to compare"
    }
  }
}
