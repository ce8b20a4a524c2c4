import ArgumentParser
import Foundation
import Parity

/// `restore parity`: runs golden files through this build.
struct ParityCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "parity",
    abstract: "Compare this build with reference tensors of the authors' code.",
    discussion: """
      Each file describes itself: subject, configuration, inputs, expected outputs and gradients.
      """)

  @Argument(help: "Golden files (.safetensors).")
  var files: [String]

  @OptionGroup(title: "General") var common: CommonOptions

  func run() throws {
    common.apply()
    for file in files where !FileManager.default.fileExists(atPath: file) {
      throw CommandFailure(
        code: ExitStatus.noInput, kind: "missing", what: "no such file (\(file))",
        cause: "nothing has this path", advice: "check the path", file: file)
    }
    var results: [ParityFileResult] = []
    for file in files {
      if Interruption.signal != nil { throw Interruption.failure("run the same command again") }
      let result = ParityRunner.run(file)
      if !common.json { Console.shared.result(result.lines) }
      results.append(result)
    }
    let report = ParityReport(results)
    if common.json {
      Console.shared.result(report)
    } else {
      Console.shared.result(Array(report.lines.suffix(1)))
    }
    if report.hasFailures { throw ExitCode(ExitStatus.failure) }
    if report.hasUnsupported { throw ExitCode(ExitStatus.unavailable) }
  }
}
