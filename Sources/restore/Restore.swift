import ArgumentParser
import Foundation

/// The command `restore`.
@main
struct Restore: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore",
    abstract: "Restores medical images with networks that run on a laptop's processor.",
    discussion: "For research use only, not for diagnosis or treatment.",
    version: programVersion,
    subcommands: [
      RunCommand.self, TrainCommand.self, EvalCommand.self, InfoCommand.self, ModelsCommand.self,
      ParityCommand.self, SimulateCommand.self, BenchCommand.self,
    ])

  /// Parses the arguments and runs the command; ends the process with a documented exit code.
  static func main() {
    Interruption.install()
    do {
      var command = try parseAsRoot()
      try command.run()
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
      UsageFailure(error, message: message(for: error)).report()
      Foundation.exit(ExitStatus.usage)
    }
  }
}

/// The version of the program.
let programVersion = "0.1.0"
