/// What can be wrong with a checkpoint of PyTorch.
public enum CheckpointError: Error, Equatable, Sendable {
  /// The file does not exist or cannot be opened.
  case unreadable(path: String, reason: String)
  /// The file is not a checkpoint in the zip form; `reason` says what it is instead.
  case notCheckpoint(path: String, reason: String)
  /// The archive, the pickle or a tensor breaks a rule.
  case damaged(path: String, reason: String)
  /// The pickle asks for something that is not on the list of harmless things.
  case foreignGlobal(path: String, name: String)
}

extension CheckpointError: CustomStringConvertible {
  /// What is wrong, in a few words.
  public var what: String {
    switch self {
    case .unreadable(let path, _): "no such file (\(path))"
    case .notCheckpoint(let path, _): "not a PyTorch checkpoint (\(path))"
    case .damaged(let path, _): "damaged checkpoint (\(path))"
    case .foreignGlobal(_, let name): "refusing to run code from checkpoint: \(name)"
    }
  }

  /// Why.
  public var cause: String {
    switch self {
    case .unreadable(_, let reason), .notCheckpoint(_, let reason), .damaged(_, let reason): reason
    case .foreignGlobal(let path, let name):
      "\(path) wants \(name), which is none of the types that tensors need"
    }
  }

  /// What to try.
  public var advice: String {
    switch self {
    case .unreadable: "check the path"
    case .notCheckpoint:
      "save it again with torch.save of PyTorch 1.6 or newer, which writes the zip form"
    case .damaged: "copy the file again and compare checksums"
    case .foreignGlobal: "save the state dictionary alone: torch.save(model.state_dict(), path)"
    }
  }

  /// The file concerned.
  public var file: String {
    switch self {
    case .unreadable(let path, _), .notCheckpoint(let path, _), .damaged(let path, _),
      .foreignGlobal(let path, _):
      path
    }
  }

  /// A short name for machine-readable output.
  public var kind: String {
    switch self {
    case .unreadable: "missing"
    case .notCheckpoint: "unsupported"
    case .damaged: "damaged"
    case .foreignGlobal: "foreign-global"
    }
  }

  /// The exit code of the command.
  public var code: Int32 {
    if case .unreadable = self { return 66 }
    return 65
  }

  /// What is wrong and why.
  public var description: String { "\(what): \(cause)" }
}

/// A broken rule, before the file's name is known.
package struct CheckpointFlaw: Error {
  package let reason: String
  init(_ reason: String) { self.reason = reason }
}
