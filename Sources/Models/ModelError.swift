/// Why a network cannot be built from a description; the description is invalid (exit code 78).
public enum ModelError: Error, Equatable, Sendable {
  /// No network has this name.
  case unknownArchitecture(String, known: [String], nearest: String?)

  /// The network has no configuration of this name.
  case unknownPreset(String, architecture: String, known: [String])

  /// The network has no hyperparameter of this name.
  case unknownKey(String, architecture: String, nearest: String?)

  /// A hyperparameter has a value that the network cannot have.
  case invalidValue(key: String, value: String, architecture: String, rule: String)

  /// The network would not fit into the machine's memory.
  case tooLarge(architecture: String, parameters: Int, bytes: UInt64, limit: UInt64)
}

extension ModelError: CustomStringConvertible {
  /// One sentence that names the key and what would be right.
  public var description: String {
    switch self {
    case .unknownArchitecture(let name, let known, let nearest):
      "unknown architecture \"\(name)\"\(Self.question(nearest)); known: "
        + known.joined(separator: ", ")
    case .unknownPreset(let name, let architecture, let known):
      "\(architecture) has no preset \"\(name)\"; known: \(known.joined(separator: ", "))"
    case .unknownKey(let key, let architecture, let nearest):
      "\(architecture) has no hyperparameter \"\(key)\"\(Self.question(nearest))"
    case .invalidValue(let key, let value, let architecture, let rule):
      "\(architecture): \(key) is \(value), but \(rule)"
    case .tooLarge(let architecture, let parameters, let bytes, let limit):
      "\(architecture): these hyperparameters make \(parameters) parameters, \(bytes >> 20) MiB, and the "
        + "machine has \(limit >> 20) MiB of memory"
    }
  }

  private static func question(_ nearest: String?) -> String {
    nearest.map { " (did you mean \"\($0)\"?)" } ?? ""
  }
}
