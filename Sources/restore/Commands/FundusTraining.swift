import ArgumentParser
import Foundation
import Train

extension TrainCommand {
  /// Trains the optic disc and cup network on a folder of photographs.
  func trainFundus(_ configuration: TrainingConfiguration, _ output: String) throws {
    guard !resume else {
      throw CommandFailure(
        code: ExitStatus.usage, kind: "usage", what: "cannot resume",
        cause: "runs of the optic disc network are not continued", advice: "start a new run folder")
    }
    let trainer = try FundusTrainer(configuration, folder: output)
    Console.shared.info(
      "held back for validation: \(trainer.validationNames.joined(separator: ", "))")
    Console.shared.info("no pretraining: all weights that are not given start at random")
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
    struct Document: Encodable {
      let ok = true
      let finished: Bool
      let step: Int
      let cupDice: Double
      let discDice: Double
      let weights: String
    }
    guard let best = trainer.best else {
      throw CommandFailure(
        code: ExitStatus.failure, kind: "internal", what: "no validation",
        cause: "no step was done",
        advice: "set train.iterations to at least 1")
    }
    if common.json {
      return Console.shared.result(
        Document(
          finished: isFinished, step: best.step, cupDice: best.cup, discDice: best.disc,
          weights: trainer.bestWeights))
    }
    Console.shared.result([
      isFinished ? "finished" : "stopped",
      String(
        format: "best validation at step %d: Dice of the cup %.3f, of the disc %.3f", best.step,
        best.cup, best.disc), "weights: \(trainer.bestWeights)",
    ])
  }
}
