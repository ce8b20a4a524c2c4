import ArgumentParser
import Foundation
import Train

/// `restore train-echo`: trains GDKVM on simulated clips of beating hearts.
struct TrainEchoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train-echo", abstract: "Train GDKVM on simulated echo clips.",
    discussion: "The run folder gets the configuration, a log, the state and the bundle.")

  @Option(name: .shortAndLong, help: "Configuration, JSON or YAML; the defaults without one.")
  var config: String?

  @Option(name: .long, help: "Weights to start from, whatever the configuration says.")
  var initialWeights: String?

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
    var configuration =
      try config.map(EchoTrainingConfiguration.init(contentsOf:)) ?? EchoTrainingConfiguration()
    if let initialWeights {
      configuration.initialWeights = URL(fileURLWithPath: initialWeights).standardizedFileURL.path
    }
    if printConfig {
      return Console.shared.result([configuration.json().trimmingCharacters(in: .newlines)])
    }
    // An empty path would be the root of the file system.
    guard let output, !output.isEmpty else { throw CommandFailure.noRunFolder }
    let trainer = try EchoTrainer(configuration, folder: output, resume: resume)
    trainer.warnings.forEach(Console.shared.warning)
    let stop = StopCondition(maxMinutes: maxMinutes)
    let outcome = try trainer.run(
      shouldStop: { stop.isMet }, report: { Console.shared.showDice($0) })
    try StopCondition.check(outcome)
    let bundle = try trainer.exportBundle()
    if common.json {
      struct Document: Encodable {
        let ok = true
        let finished: Bool
        let bundle: String
        let metrics: [String: Double]
      }
      Console.shared.result(
        Document(finished: outcome == .finished, bundle: bundle, metrics: trainer.metrics))
    } else {
      let best = trainer.best.map {
        "best validation at step \($0.step): Dice " + Self.text($0.dice)
      }
      Console.shared.result(
        [outcome.sentence, best, "bundle: \(bundle)"]
          .compactMap(\.self))
    }
  }

  private static func text(_ dice: [Double]) -> String {
    dice.map { String(format: "%.4f", $0) }.joined(separator: ", ")
  }
}
