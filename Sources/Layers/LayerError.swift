public import TensorCore

/// What can be wrong with weights that come from outside.
///
/// A missing file is the caller's input error (exit code 66); every other case means that a model
/// bundle or checkpoint is invalid (exit code 78).
public enum LayerError: Error, Equatable, Sendable {
  /// The file does not exist or cannot be opened.
  case unreadableWeights(path: String, reason: String)

  /// The file breaks a rule of the format.
  case invalidWeights(path: String, rule: WeightsRule, detail: String)

  /// The tensors do not fit the module; everything that does not fit is listed, in order of name.
  case stateMismatch(missing: [String], surplus: [String], misshapen: [ShapeMismatch])

  /// A layer cannot have the sizes or options that were asked for.
  case invalidLayer(layer: String, rule: String)
}

/// A tensor whose shape is not the one that its module has under that name.
public struct ShapeMismatch: Hashable, Sendable {
  /// The name in the state dictionary.
  public let name: String
  /// The module's shape.
  public let expected: Shape
  /// The shape that was given.
  public let found: Shape

  /// A mismatch of one tensor.
  public init(name: String, expected: Shape, found: Shape) {
    self.name = name
    self.expected = expected
    self.found = found
  }
}

extension LayerError: CustomStringConvertible {
  /// The weights file concerned, nil if there is none.
  public var file: String? {
    switch self {
    case .unreadableWeights(let path, _), .invalidWeights(let path, _, _): path
    case .stateMismatch, .invalidLayer: nil
    }
  }

  /// The whole story in one text; a mismatch takes one line for each tensor.
  public var description: String {
    switch self {
    case .unreadableWeights(let path, let reason):
      "cannot read weights (\(path)): \(reason)"
    case .invalidWeights(let path, let rule, let detail):
      "weights file invalid: \(rule.rawValue) (\(path)): \(detail)"
    case .invalidLayer(let layer, let rule): "\(layer): \(rule)"
    case .stateMismatch(let missing, let surplus, let misshapen):
      Self.text(
        missing.map { "  missing: \($0)" }
          + surplus.map { "  surplus: \($0)" }
          + misshapen.map { "  shape: \($0.name) is \($0.found), the model has \($0.expected)" })
    }
  }

  /// The first differences; of a network of another kind there are hundreds.
  private static func text(_ differences: [String]) -> String {
    let rest = differences.count > 20 ? ["  and \(differences.count - 20) more"] : []
    return (["weights do not fit the model:"] + differences.prefix(20) + rest)
      .joined(separator: "\n")
  }
}
