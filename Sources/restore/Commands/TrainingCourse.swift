import ArgumentParser
import Foundation
import Train

/// When a training has to stop: a signal came, or its minutes are over.
struct StopCondition: Sendable {
  private let deadline: Date?

  /// - Parameter maxMinutes: Minutes from now; nil for as long as it takes.
  init(maxMinutes: Minutes?) {
    deadline = maxMinutes.map { Date(timeIntervalSinceNow: $0.value * 60) }
  }

  /// Whether it has to stop now.
  var isMet: Bool { Interruption.signal != nil || deadline.map { $0 <= Date() } ?? false }

  /// Throws if a signal ended the run before its last step; nothing is lost.
  static func check(_ outcome: TrainingOutcome) throws {
    if Interruption.signal != nil, outcome == .stopped {
      throw Interruption.failure("add --resume to continue from the checkpoint just written")
    }
  }
}

/// `--max-minutes` of the commands that train.
struct Minutes: ExpressibleByArgument {
  let value: Double

  init?(argument: String) {
    guard let value = Double(argument), value >= 0, value.isFinite else { return nil }
    self.value = value
  }
}

extension CommandFailure {
  /// A training that was not told where to write; `--print-config` needs no folder.
  static let noRunFolder = CommandFailure(
    code: ExitStatus.usage, kind: "usage", what: "no run folder", cause: "-o is missing or empty",
    advice: "name the run folder with -o")
}

extension TrainingOutcome {
  /// What a command says at the end.
  var sentence: String { self == .finished ? "finished" : "stopped; --resume continues" }
}

extension Console {
  /// Shows how far a training is.
  ///
  /// - Parameters:
  ///   - progress: What it reports.
  ///   - score: The last validation's score as text.
  func show(_ progress: TrainingProgress, score: (Double) -> String) {
    let percent = String(format: "%3d", 100 * progress.step / progress.steps)
    let line =
      "[\(percent)%] step \(progress.step)/\(progress.steps)  "
      + String(format: "loss %.5f", progress.loss)
      + (progress.validationScore.map { "  " + score($0) } ?? "")
      + String(format: "  %.1f samples/s", progress.samplesPerSecond)
      + String(format: "  ETA %.0f min", (progress.secondsLeft / 60).rounded(.down))
    self.progress(line, done: progress.step, total: progress.steps)
  }

  /// Shows how far a training is that validates by Dice.
  func showDice(_ progress: TrainingProgress) {
    show(progress) { String(format: "Dice %.3f", $0) }
  }
}
