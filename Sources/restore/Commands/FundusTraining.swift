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
    let start = Date()
    let steps = configuration.train.iterations
    let isFinished = try trainer.run(
      shouldStop: {
        Interruption.signal != nil
          || maxMinutes.map { -start.timeIntervalSinceNow >= $0 * 60 } ?? false
      },
      report: { step, loss in
        let text = String(format: "step %d/%d  loss %.5f", step, steps, loss)
        Console.shared.progress(text, done: step, total: steps)
      })
    if Interruption.signal != nil, !isFinished {
      throw Interruption.failure("add --resume to continue from the checkpoint just written")
    }
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
          finished: isFinished, step: trainer.step, cupDice: trainer.best?.dice[0],
          discDice: trainer.best?.dice[1], weights: trainer.bestWeights, bundle: bundle))
    }
    let best = trainer.best.map {
      String(
        format: "best validation at step %d: Dice of the cup %.3f, of the disc %.3f", $0.step,
        $0.dice[0], $0.dice[1])
    }
    Console.shared.result(
      [isFinished ? "finished" : "stopped; --resume continues", best, "bundle: \(bundle)"]
        .compactMap(\.self))
  }
}
