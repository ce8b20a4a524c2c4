/// The result of one golden file.
public struct ParityFileResult: Codable, Equatable, Sendable {
  /// How a file ended.
  public enum Outcome: String, Codable, Sendable {
    /// Every comparison passed.
    case passed
    /// The file could not be run, or a comparison failed.
    case failed
    /// This build does not have the subject.
    case unsupported
  }

  /// The file, as it was named.
  public let file: String

  /// What the file describes; nil if the file could not be read that far.
  public let subject: String?

  /// How it ended.
  public let outcome: Outcome

  /// Why the file could not be run, nil if it could.
  public let message: String?

  /// All comparisons, in the file's order.
  public let comparisons: [ParityComparison]
}

/// The results of several golden files, and what is printed about them.
public struct ParityReport: Codable, Equatable, Sendable {
  /// The results, in the order in which the files were run.
  public let files: [ParityFileResult]

  /// The number of files that passed.
  public let passed: Int

  /// The number of files that did not, those with unsupported subjects included.
  public let failed: Int

  /// A report of some files.
  public init(_ files: [ParityFileResult]) {
    self.files = files
    passed = files.count { $0.outcome == .passed }
    failed = files.count - passed
  }

  /// Whether a file could not be run or a comparison failed.
  public var hasFailures: Bool { files.contains { $0.outcome == .failed } }

  /// Whether this build lacks a subject.
  public var hasUnsupported: Bool { files.contains { $0.outcome == .unsupported } }

  /// The lines to print: those of each file, then `N passed, N failed`.
  public var lines: [String] { files.flatMap(\.lines) + ["\(passed) passed, \(failed) failed"] }
}

extension ParityFileResult {
  /// The lines to print: the file, then one line for each comparison.
  public var lines: [String] {
    switch outcome {
    case .unsupported: return ["UNSUPPORTED \(subject ?? "") (\(file))"]
    case .passed, .failed:
      let title = "\(outcome == .passed ? "passed" : "FAILED") \(subject.map { "\($0) " } ?? "")"
      let width = comparisons.map(\.tensor.count).max() ?? 0
      return ["\(title)(\(file))"]
        + (message.map { text in text.split(separator: "\n").map { "  \($0)" } } ?? [])
        + comparisons.map { comparison in
          let name = comparison.tensor.padding(to: width)
          return "  \(comparison.passed ? "ok    " : "FAILED")  \(name)  \(comparison.summary)"
        }
    }
  }
}

extension String {
  fileprivate func padding(to width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }
}
