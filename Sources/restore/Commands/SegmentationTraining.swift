import ArgumentParser
import Foundation
import Imaging
import Inference
import Layers
import Models
import Train

extension TrainCommand {
  /// The configuration of a run on an nnU-Net raw folder without a configuration file.
  func segmentationDefaults(_ folder: String) throws -> TrainingConfiguration {
    // One folder has one name, as in configurations: a run goes on from wherever it is called.
    let path =
      folder.isEmpty ? folder : URL(fileURLWithPath: folder).standardizedFileURL.path
    var configuration = SegmentationTrainer.defaults(for: path)
    if let iterations { configuration.train.iterations = iterations }
    return configuration
  }

  /// Trains a U-Net on an nnU-Net raw folder.
  func trainSegmentation(_ configuration: TrainingConfiguration, _ output: String) throws {
    let trainer = try SegmentationTrainer(
      configuration, folder: output, resume: resume,
      progress: { Console.shared.detail($0) })
    let plan = trainer.plan
    func list(_ numbers: [Int]) -> String { numbers.map(String.init).joined(separator: "x") }
    Console.shared.info(
      "plan: \(plan.axes)D patches of \(list(plan.patch)), spacing "
        + plan.spacing.map { String(format: "%.3g", $0) }.joined(separator: "x")
        + " mm, \(plan.pooling.count) steps down, batches of \(trainer.batch), "
        + "\(plan.labels.count) structures")
    let kinds = trainer.convolutions.sorted { $0.key.rawValue < $1.key.rawValue }
      .map { "\($0.value) \($0.key.rawValue)" }
    Console.shared.info("convolutions: " + kinds.joined(separator: ", "))
    Console.shared.info(
      "held back for validation: " + trainer.validationNames.prefix(20).joined(separator: ", "))
    trainer.warnings.forEach(Console.shared.warning)
    let stop = StopCondition(maxMinutes: maxMinutes)
    let outcome = try trainer.run(
      shouldStop: { stop.isMet }, report: { Console.shared.showDice($0) })
    try StopCondition.check(outcome)
    let bundle = try trainer.exportBundle()
    struct Document: Encodable {
      let ok = true
      let finished: Bool
      let step: Int
      let dice: [String: Double]
      let bundle: String
    }
    let dice = trainer.best?.byName ?? [:]
    if common.json {
      return Console.shared.result(
        Document(finished: outcome == .finished, step: trainer.step, dice: dice, bundle: bundle))
    }
    let best = trainer.best.map { best in
      "best validation at step \(best.step): Dice "
        + zip(plan.labels, best.dice).map { String(format: "%@ %.3f", $0.name, $1) }
        .joined(separator: ", ")
    }
    Console.shared.result(
      [outcome.sentence, best, "bundle: \(bundle)"]
        .compactMap(\.self))
  }
}
