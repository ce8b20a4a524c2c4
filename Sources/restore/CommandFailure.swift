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

  init(
    code: Int32, kind: String, what: String, cause: String, advice: String, file: String? = nil
  ) {
    self.code = code
    self.kind = kind
    self.what = what
    self.cause = cause
    self.advice = advice
    self.file = file
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
        advice: error.advice)
    case let error as TrainingError:
      self.init(
        code: error.code, kind: error.kind, what: error.what, cause: error.cause,
        advice: error.advice)
    case let error as LayerError:
      self.init(
        code: ExitStatus.configuration, kind: "weights", what: "weights file invalid",
        cause: "\(error)", advice: "copy the file again, or check that it belongs to this model")
    case let error as ModelError:
      self.init(
        code: ExitStatus.configuration, kind: "model", what: "model description invalid",
        cause: "\(error)", advice: "`restore models list` shows what there is")
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
      struct Content: Encodable {
        let code: Int32
        let kind: String
        let file: String?
        let message: String
        let hint: String
      }
      let ok = false
      let error: Content
    }
    Console.shared.result(
      Document(
        error: Document.Content(
          code: code, kind: kind, file: file, message: "\(what): \(cause)", hint: advice)))
  }

  /// The three lines for people.
  var lines: [String] { ["error: \(what)", "  cause: \(cause)", "  try: \(advice)"] }
}

/// A wrong call, as the argument parser describes it.
struct UsageFailure {
  private let failure: CommandFailure

  init(_ error: any Error, message: String) {
    let first = message.split(separator: "\n").first.map(String.init) ?? message
    let isUnknown = first.localizedCaseInsensitiveContains("unknown option")
    let option = first.components(separatedBy: "'").dropFirst().first
    // Messages of the package's own checks have the form "what: cause".
    let parts = first.components(separatedBy: ": ")
    let what = isUnknown ? "unknown option" + (option.map { " (\($0))" } ?? "") : parts[0]
    let cause =
      isUnknown || parts.count == 1 ? first : parts.dropFirst().joined(separator: ": ")
    let suggestion = first.components(separatedBy: "Did you mean ").dropFirst().first
    failure = CommandFailure(
      code: ExitStatus.usage, kind: "usage", what: what, cause: cause,
      advice: suggestion.map { "did you mean \($0)" }
        ?? "add --help to see what the command takes")
  }

  func report() { failure.report() }
}
