import Inference

extension ModelBundle {
  /// Makes sure that a model does what a command asks of it.
  ///
  /// - Parameters:
  ///   - task: What is asked.
  ///   - model: What the user called the model.
  /// - Throws: A ``CommandFailure`` of wrong usage if it does something else.
  func require(_ task: ModelCard.Task, of model: String) throws(CommandFailure) {
    guard card.task != task else { return }
    throw CommandFailure(
      code: ExitStatus.usage, kind: "usage", what: "model does not \(task.rawValue) (\(model))",
      cause: "its task is \(card.task.rawValue)",
      advice: "`restore models list` shows each model's task")
  }
}
