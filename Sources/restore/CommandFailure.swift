import ArgumentParser
import Foundation
import Imaging
import Inference
import Layers
import Models
import Train

/// A failure in the form in which users and scripts see it.
struct CommandFailure: Error {
  /// The exit code.
  var code: Int32
  /// A short name for scripts.
  var kind: String
  /// What is wrong, with the file or key in parentheses.
  var what: String
  /// Why.
  var cause: String
  /// What to try.
  var advice: String
  /// The file concerned.
  var file: String?
  /// The tensors of a checkpoint that does not fit its model.
  var names: StateNames?

  init(
    code: Int32, kind: String, what: String, cause: String, advice: String, file: String? = nil,
    names: StateNames? = nil
  ) {
    self.code = code
    self.kind = kind
    self.what = what
    self.cause = cause
    self.advice = advice
    self.file = file
    self.names = names
  }

  /// Any error of the package's modules; an error of another kind is a bug.
  init(_ error: any Error) {
    switch error {
    case let failure as CommandFailure: self = failure
    case let error as ImagingError:
      self.init(
        code: error.code, kind: error.kind, what: error.headline, cause: error.cause,
        advice: error.advice, file: error.file)
    case InferenceError.cancelled:
      self = Interruption.failure("run the same command again with --skip-existing")
    case let error as InferenceError:
      self.init(
        code: error.code, kind: error.kind, what: error.what, cause: error.cause,
        advice: error.advice, file: error.file)
    case let error as TrainingError:
      self.init(
        code: error.code, kind: error.kind, what: error.what, cause: error.cause,
        advice: error.advice, file: error.file)
    case let error as CheckpointError:
      self.init(
        code: error.code, kind: error.kind, what: error.what, cause: error.cause,
        advice: error.advice, file: error.file)
    case let error as LayerError:
      self.init(
        code: ExitStatus.configuration, kind: "weights", what: "weights file invalid",
        cause: "\(error)", advice: "copy the file again, or check that it belongs to this model",
        file: error.file)
    case let error as ModelError:
      self.init(
        code: ExitStatus.configuration, kind: "model", what: "model description invalid",
        cause: "\(error)",
        advice: "`restore models show NAME` prints architecture and hyperparameters of a model")
    default:
      self.init(
        code: ExitStatus.failure, kind: "internal", what: "internal failure", cause: "\(error)",
        advice: "this is a bug; please report it with the command that you typed")
    }
  }

  /// Prints the failure: three lines to standard error, or with `--json` one document to standard
  /// output.
  func report() {
    AtomicFile.discardAll()
    guard Console.shared.isJSON else {
      Console.shared.error(lines)
      return
    }
    struct Document: Encodable {
      let ok = false
      let error: Content
      let matched: [String]?
      let missing: [String]?
      let unexpected: [String]?
      let mismatched: [String]?
    }
    Console.shared.result(
      Document(
        error: content, matched: names?.matched, missing: names?.missing,
        unexpected: names?.unexpected, mismatched: names?.mismatched))
  }

  /// A failure as it stands in JSON documents.
  struct Content: Encodable {
    let code: Int32
    let kind: String
    let file: String?
    let message: String
    let hint: String
  }

  /// The failure for JSON documents.
  var content: Content {
    Content(code: code, kind: kind, file: file, message: "\(what): \(cause)", hint: advice)
  }

  /// The three lines for people.
  var lines: [String] { ["error: \(what)", "  cause: \(cause)", "  try: \(advice)"] }
}

/// A wrong call, as the argument parser describes it.
struct UsageFailure {
  private let failure: CommandFailure

  /// - Parameters:
  ///   - error: What the parser threw.
  ///   - message: What it says about that.
  ///   - help: The same with the line that shows how the command is used.
  ///   - commands: The commands that there are.
  init(_ error: any Error, message: String, help: String, commands: [String]) {
    let first = message.split(separator: "\n").first.map(String.init) ?? message
    let quoted = first.components(separatedBy: "'").dropFirst().first
    let usage = help.split(separator: "\n").first { $0.hasPrefix("Usage: ") }.map(String.init)
    let called = CommandLine.arguments.dropFirst().first
    var suggestion = first.components(separatedBy: "Did you mean ").dropFirst().first
    let what: String
    var cause = usage ?? first
    if first.localizedCaseInsensitiveContains("unknown option") {
      what = "unknown option" + (quoted.map { " (\($0))" } ?? "")
      cause = first
    } else if let called, called == quoted, !commands.contains(called) {
      what = "unknown command (\(called))"
      cause = "the commands are \(commands.joined(separator: ", "))"
      suggestion = nearestName(to: called, among: commands).map { "`restore \($0)`" }
    } else {
      // Messages of the package's own checks have the form "what: cause".
      let parts = first.components(separatedBy: ": ")
      what = parts[0]
      if parts.count > 1 { cause = parts.dropFirst().joined(separator: ": ") }
    }
    failure = CommandFailure(
      code: ExitStatus.usage, kind: "usage", what: what, cause: cause,
      advice: suggestion.map { "did you mean \($0)" }
        ?? "add --help to see what the command takes")
  }

  func report() { failure.report() }
}
