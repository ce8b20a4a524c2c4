import ArgumentParser
import Foundation

/// What happens with several images.
struct BatchOptions: ParsableArguments {
  @Flag(name: .long, help: "Replace outputs that exist.")
  var overwrite = false

  @Flag(name: .long, help: "Leave out images whose output exists.")
  var skipExisting = false

  @Flag(name: .long, help: "Go on after a failed image; exit code 2 at the end.")
  var continueOnError = false

  func validate() throws {
    if overwrite && skipExisting {
      throw ValidationError("--overwrite and --skip-existing: they exclude each other")
    }
  }

  /// Works on one image after the other.
  ///
  /// - Parameters:
  ///   - items: The images.
  ///   - output: What is written of an image; its presence says that the image is done.
  ///   - exists: Whether an image's output is there.
  ///   - skipped: What is said before the output of what is left out.
  ///   - work: Does one image.
  /// - Returns: What became of them.
  /// - Throws: A signal's failure, or without `--continue-on-error` the first of `work`.
  func forEach<Item, Report>(
    _ items: [Item], output: (Item) -> String, exists: (Item) -> Bool,
    skipped: String = "skipped, exists",
    _ work: (Item) throws -> Report
  ) throws -> BatchOutcome<Report> {
    var outcome = BatchOutcome<Report>()
    for item in items {
      if Interruption.signal != nil { throw Interruption.failure("add --skip-existing to go on") }
      if skipExisting, exists(item) {
        Console.shared.info("\(skipped): \(output(item))")
        outcome.skipped += 1
        continue
      }
      do { outcome.reports.append(try work(item)) } catch {
        let failure = CommandFailure(error)
        guard continueOnError, Interruption.signal == nil else { throw failure }
        Console.shared.error(failure.lines)
        outcome.failures.append(failure)
      }
    }
    return outcome
  }
}

/// What became of several images.
struct BatchOutcome<Report> {
  /// Of those that are done now.
  var reports: [Report] = []
  /// Of those that failed.
  var failures: [CommandFailure] = []
  /// How many were left out.
  var skipped = 0

  /// Ends the command if something failed: with the code of a partial failure, or if nothing is there, with that
  /// of the first.
  func check() throws {
    guard let first = failures.first else { return }
    throw ExitCode(reports.isEmpty && skipped == 0 ? first.code : ExitStatus.partial)
  }
}
