import ArgumentParser
import Foundation
import Imaging
import Models
import Train

/// `restore train`: trains a model or continues a run.
struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train", abstract: "Train a model, or continue a run.",
    discussion: "The run folder gets the configuration, a log, checkpoints and the bundle.")

  @Option(name: .shortAndLong, help: "Configuration, JSON or YAML.")
  var config: String?

  @Option(
    name: .long,
    help: "nnU-Net raw folder: train a U-Net that configures itself, without a configuration.")
  var dataset: String?

  @Option(name: .long, help: "Seed of all draws, whatever the configuration says.")
  var seed: UInt64?

  @Option(name: .long, help: "Steps, whatever the configuration says.")
  var iterations: Int?

  @Option(
    name: .long,
    help:
      "Weights to start from, whatever the configuration says; given more than once, their mean.")
  var initialWeights: [String] = []

  @Option(name: .shortAndLong, help: "Run folder.")
  var output: String?

  @Flag(name: .long, help: "Continue the run in the folder.")
  var resume = false

  @Flag(name: .long, help: "Print the full configuration and stop.")
  var printConfig = false

  @Flag(
    name: .long,
    help: "Compute blocks again in backward instead of remembering them: slower, less memory.")
  var checkpointActivations = false

  @Option(name: .long, help: "Stop cleanly after this many minutes.")
  var maxMinutes: Minutes?

  @OptionGroup(title: "General") var common: CommonOptions

  func run() throws {
    common.apply()
    var configuration = try readConfiguration()
    if let seed { configuration.seed = seed }
    if checkpointActivations { configuration.train.checkpointActivations = true }
    try configuration.validate()
    if let config { configuration.resolvePaths(relativeTo: config) }
    // These are relative to the working folder, as all paths of the command line.
    if !initialWeights.isEmpty { configuration.startFrom(initialWeights) }
    if printConfig, configuration.model.arch == SegmentationTrainer.architecture {
      return Console.shared.result([configuration.json().trimmingCharacters(in: .newlines)])
    }
    if printConfig {
      Console.shared.info(try configuration.networkDescription().convolutionSummary())
      return Console.shared.result([configuration.json().trimmingCharacters(in: .newlines)])
    }
    // An empty path would be the root of the file system.
    guard let output, !output.isEmpty else { throw CommandFailure.noRunFolder }
    if configuration.model.arch == SegmentationTrainer.architecture {
      return try trainSegmentation(configuration, output)
    }
    if configuration.model.arch == TVConvNet.architecture {
      return try trainFundus(configuration, output)
    }
    let stop = StopCondition(maxMinutes: maxMinutes)
    let trainer: Trainer
    do {
      trainer = try prepare(configuration, in: output)
    } catch TrainingError.stopped where Interruption.signal != nil {
      throw Interruption.failure("run the same command again: nothing had begun")
    }
    trainer.warnings.forEach(Console.shared.warning)
    let outcome = try trainer.run(
      shouldStop: { stop.isMet },
      report: { Console.shared.show($0) { String(format: "PSNR %.2f dB", $0) } })
    try StopCondition.check(outcome)
    let bundle = try trainer.exportBundle()
    if common.json {
      struct Document: Encodable {
        let ok = true
        let finished: Bool
        let bundle: String
      }
      Console.shared.result(Document(finished: outcome == .finished, bundle: bundle))
    } else {
      Console.shared.result([outcome.sentence, "bundle: \(bundle)"])
    }
  }

  /// Reads the data, which may take minutes where they are simulated.
  ///
  /// A run that is short of time does at least one step: else one with few minutes would never go on.
  private func prepare(
    _ configuration: TrainingConfiguration, in folder: String
  ) throws -> Trainer {
    var shown = Date()
    return try Trainer(
      configuration, folder: folder, resume: resume,
      shouldStop: { Interruption.signal != nil }
    ) { done, total in
      guard -shown.timeIntervalSinceNow > 2 else { return }
      shown = Date()
      Console.shared.progress("scan \(done) of \(total) prepared", done: done, total: total)
    }
  }

  /// The file's configuration, or that of a dataset.
  private func readConfiguration() throws -> TrainingConfiguration {
    switch (config, dataset) {
    case (nil, let dataset?): return try segmentationDefaults(dataset)
    case (let config?, nil):
      guard FileManager.default.fileExists(atPath: config) else {
        throw ImagingError.noSuchFile(file: config, reason: "the configuration should be there")
      }
      var configuration = try TrainingConfiguration(contentsOf: config)
      if let iterations { configuration.train.iterations = iterations }
      return configuration
    default:
      throw CommandFailure(
        code: ExitStatus.usage, kind: "usage", what: "no configuration",
        cause: "one of --config and --dataset is needed, and not both",
        advice: "name a configuration with -c, or an nnU-Net raw folder with --dataset")
    }
  }
}
