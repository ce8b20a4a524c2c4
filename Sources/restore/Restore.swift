import ArgumentParser
import Foundation

/// The command `restore`.
@main
struct Restore: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore",
    abstract: "Restores medical images with networks that run on a laptop's processor.",
    discussion: """
      For research use only, not for diagnosis or treatment.

      Exit codes:
        0    everything succeeded, or was left out by --skip-existing
        1    a check failed (parity), or a bug
        2    some items failed, others succeeded (--continue-on-error)
        64   wrong call
        65   input data malformed, truncated, inconsistent or not supported
        66   input missing or unreadable
        69   not in this build
        70   numbers not finite
        71   more memory needed than allowed
        73   output exists or cannot be created
        74   writing failed
        78   configuration or model bundle invalid
        130, 143   stopped cleanly by SIGINT, SIGTERM
      """,
    version: programVersion,
    subcommands: [
      RunCommand.self, SegmentCommand.self, TrainCommand.self, TrainEchoCommand.self,
      TrainStrokeCommand.self,
      EvalCommand.self, EvalEchoCommand.self, InfoCommand.self, ModelsCommand.self,
      ParityCommand.self,
      SimulateCommand.self, BenchCommand.self, ConvertCommand.self, ReportCommand.self,
      BIDSCommand.self,
    ])

  /// Parses the arguments and runs the command; ends the process with a documented exit code.
  static func main() {
    Interruption.install()
    do {
      var command = try parseAsRoot()
      try command.run()
      if let failure = Console.shared.failure { throw failure }
    } catch let failure as CommandFailure {
      failure.report()
      Foundation.exit(failure.code)
    } catch let code as ExitCode {
      Foundation.exit(code.rawValue)
    } catch {
      let code = exitCode(for: error)
      if code == .success || code.rawValue != ExitCode.validationFailure.rawValue {
        // Help, the version, or what no command foresaw.
        if code == .success { exit(withError: error) }
        let failure = CommandFailure(error)
        failure.report()
        Foundation.exit(failure.code)
      }
      UsageFailure(
        error, message: message(for: error), help: fullMessage(for: error),
        commands: configuration.subcommands.compactMap { $0.configuration.commandName }
      ).report()
      Foundation.exit(ExitStatus.usage)
    }
  }
}

/// The version of the program.
let programVersion = "0.1.0"
