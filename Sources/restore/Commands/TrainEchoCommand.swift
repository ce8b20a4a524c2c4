import ArgumentParser
import Foundation
import Train

/// `restore train-echo`: trains GDKVM on simulated clips of beating hearts.
struct TrainEchoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train-echo", abstract: "Train GDKVM on simulated echo clips.",
    discussion: "The run folder gets the configuration, a log, the state and the bundle.")

  @Option(name: .shortAndLong, help: "Configuration, JSON; the defaults without one.")
  var config: String?

  @Option(name: .shortAndLong, help: "Run folder.")
  var output: String

  @Flag(name: .long, help: "Continue the run in the folder.")
  var resume = false

  @Option(name: .long, help: "Stop cleanly after this many minutes.")
  var maxMinutes: Double?

  @OptionGroup(title: "General") var common: CommonOptions

  func run() throws {
    common.apply()
    let configuration =
      try config.map(EchoTrainingConfiguration.init(contentsOf:)) ?? EchoTrainingConfiguration()
    let trainer = try EchoTrainer(configuration, folder: output, resume: resume)
    let start = Date()
    let isFinished = try trainer.run(
      shouldStop: {
        Interruption.signal != nil
          || maxMinutes.map { -start.timeIntervalSinceNow >= $0 * 60 } ?? false
      }, report: show)
    if Interruption.signal != nil, !isFinished {
      throw Interruption.failure("add --resume to continue from the state just written")
    }
    let dice = trainer.validate()
    let metrics = Dictionary(
      uniqueKeysWithValues: zip(["ventricle", "myocardium", "atrium"], dice).map {
        ("dice_simulated_\($0)", $1)
      })
    let bundle = try trainer.exportBundle(metrics: metrics)
    if common.json {
      struct Document: Encodable {
        let ok = true
        let finished: Bool
        let bundle: String
        let metrics: [String: Double]
      }
      Console.shared.result(Document(finished: isFinished, bundle: bundle, metrics: metrics))
    } else {
      Console.shared.result([
        isFinished ? "finished" : "stopped; --resume continues",
        "Dice on validation hearts: " + Self.text(dice), "bundle: \(bundle)",
      ])
    }
  }

  private static func text(_ dice: [Double]) -> String {
    dice.map { String(format: "%.4f", $0) }.joined(separator: ", ")
  }

  private func show(_ progress: EchoTrainingProgress) {
    let dice = progress.dice.map { "  Dice " + Self.text($0) } ?? ""
    let line =
      "step \(progress.step)/\(progress.steps)  " + String(format: "loss %.4f", progress.loss)
      + dice + String(format: "  %.2f s/step", progress.seconds / Double(max(1, progress.step)))
    Console.shared.progress(line, done: progress.step, total: progress.steps)
  }
}
