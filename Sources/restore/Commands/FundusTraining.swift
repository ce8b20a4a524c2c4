import ArgumentParser
import Foundation
import Train

extension TrainCommand {
  /// Trains the optic disc and cup network on a folder of photographs.
  func trainFundus(_ configuration: TrainingConfiguration, _ output: String) throws {
    let trainer = try FundusTrainer(configuration, folder: output, resume: resume)
    Console.shared.info(
      "\(trainer.trainingCount) images; held back for validation: "
        + trainer.validationNames.prefix(20).joined(separator: ", ")
        + (trainer.validationNames.count > 20
          ? " and \(trainer.validationNames.count - 20) more" : ""))
    if configuration.model.initialWeights.files.isEmpty {
      Console.shared.info("no pretraining: all weights start at random")
    }
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
      let cupDice: Double?
      let discDice: Double?
      let weights: String
      let bundle: String
    }
    if common.json {
      return Console.shared.result(
        Document(
          finished: outcome == .finished, step: trainer.step, cupDice: trainer.best?.dice[0],
          discDice: trainer.best?.dice[1], weights: trainer.bestWeights, bundle: bundle))
    }
    let best = trainer.best.map {
      String(
        format: "best validation at step %d: Dice of the cup %.3f, of the disc %.3f", $0.step,
        $0.dice[0], $0.dice[1])
    }
    Console.shared.result(
      [outcome.sentence, best, "bundle: \(bundle)"]
        .compactMap(\.self))
  }
}
