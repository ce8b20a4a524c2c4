/// What can go wrong in training, with the facts that a user needs.
public enum TrainingError: Error, Equatable, Sendable {
  /// A configuration file that cannot be read as JSON or YAML.
  case unreadableConfiguration(file: String, reason: String)
  /// A key that the schema does not have, with the nearest that it has.
  case unknownKey(key: String, suggestion: String?)
  /// A value of the wrong type or outside its range.
  case invalidValue(key: String, reason: String)
  /// A split file that cannot be used.
  case invalidSplit(file: String, reason: String)
  /// A split that is not there.
  case noSuchSplit(file: String)
  /// No slice has enough foreground to train on.
  case noUsableSlices(part: String)
  /// The loss, or a gradient, is not finite.
  case notFinite(step: Int, what: String)
  /// A run folder that already holds a run, without permission to continue it.
  case runExists(folder: String)
  /// A run folder in which another program is training.
  case inUse(folder: String)
  /// Nothing to resume from, or a state that does not fit the configuration.
  case cannotResume(folder: String, reason: String)
  /// A stop was asked for before the first step.
  case stopped
}

extension TrainingError: CustomStringConvertible {
  /// What is wrong, in a few words.
  public var what: String {
    switch self {
    case .unreadableConfiguration(let file, _): "configuration unreadable (\(file))"
    case .unknownKey(let key, _): "unknown option (\(key))"
    case .invalidValue(let key, _): "invalid configuration value (\(key))"
    case .invalidSplit(let file, _): "invalid split (\(file))"
    case .noSuchSplit(let file): "no such file (\(file))"
    case .noUsableSlices(let part): "no usable slices (\(part))"
    case .notFinite(let step, let what): "\(what) is not finite (step \(step))"
    case .runExists(let folder): "output exists (\(folder))"
    case .inUse(let folder): "run folder in use (\(folder))"
    case .cannotResume(let folder, _): "cannot resume (\(folder))"
    case .stopped: "stopped before the first step"
    }
  }

  /// Why.
  public var cause: String {
    switch self {
    case .unreadableConfiguration(_, let reason), .invalidValue(_, let reason),
      .invalidSplit(_, let reason), .cannotResume(_, let reason):
      reason
    case .unknownKey: "the configuration has a key that no section knows"
    case .noSuchSplit: "the split should be there"
    case .noUsableSlices: "no slice has at least the configured share of foreground"
    case .notFinite: "the training diverged, or an input holds values beyond float32"
    case .runExists: "the folder holds an earlier run, or a config.json that no run wrote"
    case .inUse: "another program is training in it"
    case .stopped: "the data were still being prepared, and nothing is lost"
    }
  }

  /// What to try.
  public var advice: String {
    switch self {
    case .unreadableConfiguration: "check the file with a JSON or YAML validator"
    case .unknownKey(_, let suggestion):
      suggestion.map { "did you mean `\($0)`?" }
        ?? "`--print-config` lists all keys"
    case .invalidValue: "`--print-config` shows the values in force"
    case .invalidSplit: "docs/training.md describes the format"
    case .noSuchSplit: "check data.split; relative paths begin at the configuration's folder"
    case .noUsableSlices: "lower data.minimum_foreground or check the files of the split"
    case .notFinite: "lower optim.learning_rate, or resume from the last checkpoint"
    case .runExists: "add --resume to continue a run, or choose another folder"
    case .inUse: "wait until it is done, or choose another folder"
    case .cannotResume: "start a new run in another folder"
    case .stopped: "run the same command again"
    }
  }

  /// The file or folder concerned, nil if there is none.
  public var file: String? {
    switch self {
    case .unreadableConfiguration(let file, _), .invalidSplit(let file, _), .noSuchSplit(let file):
      file
    case .runExists(let folder), .inUse(let folder), .cannotResume(let folder, _): folder
    case .unknownKey, .invalidValue, .noUsableSlices, .notFinite, .stopped: nil
    }
  }

  /// A short name for machine-readable output.
  public var kind: String {
    switch self {
    case .unreadableConfiguration: "unreadable-configuration"
    case .unknownKey: "unknown-key"
    case .invalidValue: "invalid-value"
    case .invalidSplit: "invalid-split"
    case .noSuchSplit: "no-such-file"
    case .noUsableSlices: "no-usable-slices"
    case .notFinite: "not-finite"
    case .runExists: "output-exists"
    case .inUse: "in-use"
    case .cannotResume: "cannot-resume"
    case .stopped: "stopped"
    }
  }

  /// The exit code of the command.
  public var code: Int32 {
    switch self {
    case .unreadableConfiguration, .unknownKey, .invalidValue, .invalidSplit, .cannotResume: 78
    case .noSuchSplit: 66
    case .noUsableSlices: 65
    case .notFinite: 70
    case .runExists, .inUse: 73
    case .stopped: 1
    }
  }

  /// What is wrong and why.
  public var description: String { "\(what): \(cause)" }
}
