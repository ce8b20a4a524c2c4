import ArgumentParser
import Foundation
import Imaging
import Train

/// `restore train-stroke`: trains both stages of the stroke system.
struct TrainStrokeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train-stroke", abstract: "Train both stages of the stroke system.",
    discussion: """
      Brains with masks come from a folder (ATLAS R2.0, ISLES, nnU-Net raw), or lesions are grown into \
      scans. The run folder gets the configuration, a log, the state, the scores and the bundle.
      """)

  @Option(name: .shortAndLong, help: "Configuration, JSON or YAML.")
  var config: String

  @Option(name: .shortAndLong, help: "Run folder.")
  var output: String?

  @Flag(name: .long, help: "Continue the run in the folder.")
  var resume = false

  @Flag(name: .long, help: "Print the full configuration and stop.")
  var printConfig = false

  @Option(name: .long, help: "Stop cleanly after this many minutes.")
  var maxMinutes: Minutes?

  @OptionGroup(title: "General") var common: CommonOptions

  func run() throws {
    common.apply()
    guard FileManager.default.fileExists(atPath: config) else {
      throw ImagingError.noSuchFile(file: config, reason: "the configuration should be there")
    }
    let configuration = try StrokeTrainingConfiguration(contentsOf: config)
    if printConfig {
      return Console.shared.result([configuration.json().trimmingCharacters(in: .newlines)])
    }
    // An empty path would be the root of the file system.
    guard let output, !output.isEmpty else { throw CommandFailure.noRunFolder }
    let trainer = try StrokeTrainer(configuration, folder: output, resume: resume)
    for part in StrokeDataset.Part.allCases {
      Console.shared.info(
        "\(part.rawValue): \(trainer.data.count(part)) cases of "
          + trainer.data.subjects(part).joined(separator: ", "))
    }
    let stop = StopCondition(maxMinutes: maxMinutes)
    // Images are read when their turn comes.
    var told = Set<String>()
    func tell() {
      for warning in trainer.data.warnings where told.insert(warning).inserted {
        Console.shared.warning(warning)
      }
    }
    let isFinished = try trainer.run(shouldStop: { stop.isMet }) { progress in
      tell()
      show(progress)
    }
    tell()
    if Interruption.signal != nil, !isFinished {
      throw Interruption.failure("add --resume to continue from the state just written")
    }
    struct Document: Encodable {
      let ok = true
      let finished: Bool
      let bundle: String?
      let scores: [StrokeScore]
    }
    guard isFinished else {
      if common.json {
        return Console.shared.result(Document(finished: false, bundle: nil, scores: []))
      }
      return Console.shared.result(["stopped; --resume continues"])
    }
    let scores = try trainer.evaluate()
    tell()
    let bundle = try trainer.exportBundle(scores)
    try Self.write(scores, to: output + "/scores.json")
    if common.json {
      return Console.shared.result(Document(finished: true, bundle: bundle, scores: scores))
    }
    Console.shared.result(["finished"] + scores.map(Self.line) + ["bundle: \(bundle)"])
  }

  private static func line(_ score: StrokeScore) -> String {
    let best = score.pathDice.max { ($0.value, $1.key) < ($1.value, $0.key) }
    return String(
      format: "%@: Dice %.3f, %d of %d lesions, %d false, %.1f ml of %.1f ml", score.name,
      score.dice, score.found, score.lesions, score.falseLesions, score.foundVolume,
      score.trueVolume)
      + (best.map { String(format: "; best path %@ %.3f", $0.key, $0.value) } ?? "")
  }

  private static func write(_ scores: [StrokeScore], to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try AtomicFile.write([UInt8](try encoder.encode(scores)), to: path, overwrite: true)
  }

  private func show(_ progress: StrokeTrainingProgress) {
    let line =
      "\(progress.stage) step \(progress.step)/\(progress.steps)  "
      + String(format: "loss %.4f  %.0f s", progress.loss, progress.seconds)
    Console.shared.progress(line, done: progress.step, total: progress.steps)
  }
}
