import Foundation
import Imaging
import Inference

/// All that is made of one participant: the images, the log of the run, and the page at the end.
struct BIDSParticipantRun {
  let label: String
  /// What is to be made, or why that cannot be said: the log tells that too.
  let cases: Result<[BIDSRecipe.Case], ImagingError>
  let worker: BIDSWorker
  /// Whether the images after a failed one are still made.
  let continuesOnError: Bool

  private var output: BIDSOutput { worker.output }

  /// What became of the images.
  struct Report {
    var made: [BIDSWorker.Made] = []
    var failures: [CommandFailure] = []
    /// From the folder of the results; nil without a page.
    var page: String?
  }

  /// Makes everything.
  ///
  /// - Returns: What was made, and with `continuesOnError` what failed: the page is not written then.
  /// - Throws: The first failure else, and that of a signal.
  func run() throws -> Report {
    if worker.settings.dryRun {
      return Report(made: try cases.get().map { try worker.make($0, of: label, isBegun: false) })
    }
    let isBegun = output.isBegun(label)
    let log = try BIDSLog(
      of: label, in: output, isFull: worker.settings.sidecars.provenance == .full)
    Console.shared.record(to: log.write)
    defer { Console.shared.record(to: nil) }
    do {
      let report = try makeAll(isBegun: isBegun)
      log.write(report.failures.isEmpty ? "done" : "not done: \(report.failures.count) failed")
      return report
    } catch {
      CommandFailure(error).lines.forEach(log.write)
      log.write("not done")
      throw error
    }
  }

  private func makeAll(isBegun: Bool) throws -> Report {
    let cases = try cases.get()
    let page = output.path(of: BIDSOutput.page(of: label))
    // While something is made again, nothing is done.
    unlink(page)
    var report = Report()
    for item in cases {
      if Interruption.signal != nil {
        throw Interruption.failure("run the same command again: what is done is left out")
      }
      do {
        let made = try worker.make(item, of: label, isBegun: isBegun)
        Console.shared.detail(made.line)
        report.made.append(made)
      } catch {
        let failure = CommandFailure(error)
        guard continuesOnError, Interruption.signal == nil else { throw failure }
        Console.shared.error(failure.lines)
        report.failures.append(failure)
      }
    }
    guard report.failures.isEmpty else { return report }
    let html = BIDSPage(label: label, dataset: worker.dataset, output: output).html()
    try AtomicFile.write(Data(html.utf8), to: page, overwrite: true)
    report.page = BIDSOutput.page(of: label)
    return report
  }
}

/// The log of one run of one participant, plain text.
struct BIDSLog: Sendable {
  private let path: String
  /// What is not told, and what stands in its place.
  private let hidden: [(text: String, name: String)]

  /// Begins a log, `logs/sub-01_20261130T211713Z.log`; another number follows if that is there.
  ///
  /// - Parameters:
  ///   - label: The participant.
  ///   - output: Where results go.
  ///   - isFull: Whether folders are told.
  /// - Throws: What writing throws.
  init(of label: String, in output: BIDSOutput, isFull: Bool) throws {
    hidden =
      isFull
      ? []
      : [(output.path, "OUT_DIR"), (output.dataset, "BIDS_DIR")].sorted {
        $0.0.count > $1.0.count
      }
    let form = DateFormatter()
    form.locale = Locale(identifier: "en_US_POSIX")
    form.timeZone = TimeZone(identifier: "UTC")
    form.dateFormat = "yyyyMMdd'T'HHmmss'Z'"
    let base = "\(output.path)/logs/sub-\(label)_\(form.string(from: Date()))"
    let arguments = Sidecar.arguments(full: isFull).joined(separator: " ")
    let head = "restore \(programVersion)\n\(arguments)\n"
    var (number, place) = (1, base + ".log")
    while true {
      do throws(ImagingError) {
        try AtomicFile.write(Data(head.utf8), to: place)
        break
      } catch {
        guard case .outputExists = error, number < 1000 else { throw error }
        number += 1
        place = "\(base)-\(number).log"
      }
    }
    path = place
  }

  /// Adds a line with its time.
  @Sendable func write(_ line: String) {
    let told = hidden.reduce(line) { text, item in
      text.replacingOccurrences(of: item.text + "/", with: item.name + "/")
    }
    let time = ISO8601DateFormatter().string(from: Date())
    // A log that cannot grow is no reason to lose an image: what fills the disk fails there, with its message.
    try? GrowingFile.append([UInt8]("\(time) \(told)\n".utf8), to: path)
  }
}
