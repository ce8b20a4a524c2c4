/// What can go wrong between a file and a network, with the facts that a user needs.
public enum InferenceError: Error, Equatable, Sendable {
  /// No bundle of this name or path; the places that were looked at.
  case bundleNotFound(name: String, searched: [String])
  /// A bundle that cannot be used.
  case bundleInvalid(bundle: String, reason: String)
  /// An image whose channels are not those of the model.
  case channelMismatch(file: String, model: String, expected: Int, found: Int)
  /// Slices of another size than the one to which the model is bound, or tiles of them.
  case sizeMismatch(file: String, expected: String, found: String)
  /// The request needs more memory than it may take; bytes.
  case needsMemory(what: String, needed: Int, limit: Int)
  /// The network's output holds infinities or NaN.
  case outputNotFinite(slice: Int)
  /// Stopped on request before the end.
  case cancelled
}

extension InferenceError: CustomStringConvertible {
  /// What is wrong, in a few words.
  public var what: String {
    switch self {
    case .bundleNotFound(let name, _): "no such model (\(name))"
    case .bundleInvalid(let bundle, _): "model bundle invalid (\(bundle))"
    case .channelMismatch(let file, _, _, _): "channel count does not match the model (\(file))"
    case .sizeMismatch(let file, _, _): "image size does not match the model (\(file))"
    case .needsMemory(let what, let needed, _):
      "needs \(Self.text(needed)) (\(what))"
    case .outputNotFinite(let slice): "output is not finite (slice \(slice))"
    case .cancelled: "stopped"
    }
  }

  /// Why.
  public var cause: String {
    switch self {
    case .bundleNotFound(_, let searched): "looked in \(searched.joined(separator: ", "))"
    case .bundleInvalid(_, let reason): reason
    case .channelMismatch(_, let model, let expected, let found):
      "model \"\(model)\" expects \(expected) channels, \(found) given"
    case .sizeMismatch(_, let expected, let found):
      "the model has kernels for each position of slices of \(expected), found \(found)"
    case .needsMemory(_, _, let limit): "the limit is \(Self.text(limit))"
    case .outputNotFinite: "the network produced infinities or NaN for this input"
    case .cancelled: "a signal asked the program to stop"
    }
  }

  /// What to try.
  public var advice: String {
    switch self {
    case .bundleNotFound: "`restore models list` shows the models that are installed"
    case .bundleInvalid: "copy the bundle again; `restore models verify` checks it"
    case .channelMismatch: "`restore models show` tells what the model takes"
    case .sizeMismatch:
      "register and resample the image to the model's grid, or use a model without tvconv layers"
    case .needsMemory: "raise --max-memory, or use --tile to work in smaller pieces"
    case .outputNotFinite: "check the input's intensities with `restore info`"
    case .cancelled: "run the same command again with --skip-existing"
    }
  }

  /// The file or bundle concerned, nil if there is none: a model that was named, not given as a path, is no
  /// file.
  public var file: String? {
    switch self {
    case .bundleNotFound(let name, _): name.contains("/") ? name : nil
    case .bundleInvalid(let bundle, _): bundle
    case .channelMismatch(let file, _, _, _), .sizeMismatch(let file, _, _): file
    case .needsMemory(let what, _, _): what
    case .outputNotFinite, .cancelled: nil
    }
  }

  /// A short name for machine-readable output.
  public var kind: String {
    switch self {
    case .bundleNotFound: "model-not-found"
    case .bundleInvalid: "bundle-invalid"
    case .channelMismatch: "channel-mismatch"
    case .sizeMismatch: "size-mismatch"
    case .needsMemory: "needs-memory"
    case .outputNotFinite: "not-finite"
    case .cancelled: "cancelled"
    }
  }

  /// The exit code of the command.
  public var code: Int32 {
    switch self {
    case .bundleNotFound: 66
    case .bundleInvalid: 78
    case .channelMismatch: 65
    case .sizeMismatch: 65
    case .needsMemory: 71
    case .outputNotFinite: 70
    case .cancelled: 130
    }
  }

  /// What is wrong and why.
  public var description: String { "\(what): \(cause)" }

  /// Bytes as people read them, rounded up.
  private static func text(_ bytes: Int) -> String {
    guard bytes >= 1 << 30 else { return "\((bytes + (1 << 20) - 1) >> 20) MiB" }
    return "\((Double(bytes) / Double(1 << 30) * 10).rounded(.up) / 10) GiB"
  }
}
