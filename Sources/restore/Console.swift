import Foundation
import Synchronization

/// Where the program's words go: results to standard output, everything else to standard error.
final class Console: Sendable {
  static let shared = Console()

  /// How messages on standard error look.
  enum LogFormat: String, CaseIterable, Sendable {
    case text, json
  }

  private struct State {
    var isJSON = CommandLine.arguments.contains("--json")
    var verbosity = 0
    var format = LogFormat.text
    var isTerminal = isatty(STDERR_FILENO) == 1
    var hasOpenLine = false
    var outputError: String?
    var recorder: (@Sendable (String) -> Void)?
  }

  private let state = Mutex(State())

  /// Whether results are one JSON document.
  var isJSON: Bool { state.withLock { $0.isJSON } }

  /// Whether standard error is a terminal that takes redrawn lines.
  var isTerminal: Bool { state.withLock { $0.isTerminal && $0.format == .text } }

  /// Whether results should be given in full; 0 normal, 1 and 2 more, −1 quiet.
  var verbosity: Int { state.withLock { $0.verbosity } }

  func configure(isJSON: Bool, verbosity: Int, format: LogFormat) {
    state.withLock {
      $0.isJSON = isJSON
      $0.verbosity = verbosity
      $0.format = format
    }
  }

  /// Hands every message also to someone who keeps it, however few are shown; nil for no one.
  func record(to recorder: (@Sendable (String) -> Void)?) {
    state.withLock { $0.recorder = recorder }
  }

  /// Lines of a result for people.
  func result(_ lines: [String]) {
    write(lines.map { $0 + "\n" }.joined(), to: .standardOutput)
  }

  /// A result as one JSON document.
  func result(_ document: some Encodable) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    if let data = try? encoder.encode(document) {
      write(String(decoding: data, as: UTF8.self) + "\n", to: .standardOutput)
    }
  }

  /// What a user wants to know while the program works.
  func info(_ message: String) { log("info", message, atLeast: 0) }
  /// What only a curious user wants to know.
  func detail(_ message: String) { log("debug", message, atLeast: 1) }
  /// What a user should know.
  func warning(_ message: String) { log("warning", message, atLeast: -1) }

  /// The lines of a failure.
  func error(_ lines: [String]) {
    let (format, recorder) = state.withLock { ($0.format, $0.recorder) }
    lines.forEach { recorder?($0) }
    closeLine()
    switch format {
    case .text: write(lines.map { $0 + "\n" }.joined(), to: .standardError)
    case .json: record(["level": "error", "message": lines.joined(separator: "; ")])
    }
  }

  /// A step forward: redrawn in place on a terminal, a line or an object elsewhere.
  func progress(_ line: String, done: Int, total: Int) {
    let (format, isTerminal, verbosity) = state.withLock {
      ($0.format, $0.isTerminal, $0.verbosity)
    }
    if verbosity < 0 { return }
    switch format {
    case .json:
      record(["level": "info", "event": "progress", "done": done, "total": total])
    case .text where isTerminal:
      state.withLock { $0.hasOpenLine = true }
      write("\r\u{1B}[K" + line, to: .standardError)
      if done == total { closeLine() }
    case .text:
      write(line + "\n", to: .standardError)
    }
  }

  private func log(_ level: String, _ message: String, atLeast: Int) {
    let (format, verbosity, recorder) = state.withLock {
      ($0.format, $0.verbosity, $0.recorder)
    }
    recorder?((level == "warning" ? "warning: " : "") + message)
    if verbosity < atLeast { return }
    closeLine()
    switch format {
    case .text:
      write((level == "warning" ? "warning: " : "") + message + "\n", to: .standardError)
    case .json: record(["level": level, "message": message])
    }
  }

  private func closeLine() {
    let isOpen = state.withLock { state in
      defer { state.hasOpenLine = false }
      return state.hasOpenLine
    }
    if isOpen { write("\n", to: .standardError) }
  }

  private func record(_ values: [String: Any]) {
    var values = values
    values["t"] = ISO8601DateFormatter().string(from: Date())
    guard
      let data = try? JSONSerialization.data(
        withJSONObject: values, options: [.sortedKeys, .withoutEscapingSlashes])
    else { return }
    write(String(decoding: data, as: UTF8.self) + "\n", to: .standardError)
  }

  /// Why a result could not be written to standard output; nil if all went well.
  var failure: CommandFailure? {
    state.withLock { $0.outputError }.map { reason in
      CommandFailure(
        code: ExitStatus.writeFailed, kind: "write-failed", what: "write failed (standard output)",
        cause: reason, advice: "free space where it is sent to, or send it elsewhere")
    }
  }

  private func write(_ text: String, to handle: FileHandle) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Foundation.write(handle.fileDescriptor, $0.baseAddress, $0.count)
      }
      if count < 0 {
        let code = errno
        if code == EINTR { continue }
        // A closed pipe is the reader's business, not an error of ours.
        if code != EPIPE, handle === FileHandle.standardOutput {
          state.withLock { $0.outputError = String(cString: strerror(code)) }
        }
        return
      }
      rest = rest.dropFirst(count)
    }
  }
}
