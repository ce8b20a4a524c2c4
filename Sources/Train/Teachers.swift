import Inference
import Models
import TensorCore

/// Trained networks that a training learns from beside the clean images: distillation.
///
/// A clean image holds detail that no network could tell from the degraded one; it pulls the weights hither
/// and thither. The restoration of a network that is trained already does not. The target of a task with a
/// teacher is their weighted mean, whose squared error has the gradient of both squared errors, weighted.
///
/// Source: Hinton et al., *Distilling the knowledge in a neural network*, arXiv:1503.02531, 2015 (the weighted
/// sum of both targets).
final class Teachers {
  private struct Lesson {
    let runner: ModelRunner
    let weight: Float
  }

  /// What the teachers are called, for a card; each once.
  let names: [String]
  /// One a task; nil for those without.
  private let lessons: [Lesson?]

  /// Loads the teachers of all tasks, each once.
  ///
  /// - Throws: What loading bundles throws, or ``TrainingError/invalidValue(key:reason:)`` if a teacher is for
  ///   other images than those of its task.
  init(_ configuration: TrainingConfiguration) throws {
    var runners: [String: ModelRunner] = [:]
    var names: [String] = []
    lessons = try configuration.allTasks.enumerated().map { number, section -> Lesson? in
      guard !section.teacher.isEmpty else { return nil }
      let key = configuration.tasks.isEmpty ? "data.teacher" : "tasks.\(number).teacher"
      let runner: ModelRunner
      if let known = runners[section.teacher] {
        runner = known
      } else {
        let bundle = try ModelBundle.find(section.teacher)
        runner = ModelRunner(try bundle.loadModel())
        runners[section.teacher] = runner
        names.append("\(bundle.card.name) \(bundle.card.version)")
      }
      try Self.check(runner.model, section, key: key)
      return Lesson(runner: runner, weight: Float(section.teacherWeight))
    }
    self.names = names
  }

  private static func check(
    _ model: any RestorationModel, _ section: TrainingConfiguration.DataSection, key: String
  ) throws(TrainingError) {
    let channels = 2 * section.neighbours + 1
    guard model.inChannels == channels, model.outChannels == 1, model.spatialAxes == 2 else {
      throw .invalidValue(
        key: key,
        reason:
          "`\(section.teacher)` takes \(model.inChannels) and gives \(model.outChannels) channels "
          + "along \(model.spatialAxes) axes; slices with neighbours \(section.neighbours) have "
          + "\(channels), their targets 1")
    }
    if let bound = model.boundSize, bound.height != section.crop || bound.width != section.crop {
      throw .invalidValue(
        key: key,
        reason: "`\(section.teacher)` is bound to \(bound.height)x\(bound.width), crops have "
          + "\(section.crop)")
    }
  }

  /// What a network is to learn; on the engine's thread.
  ///
  /// - Parameters:
  ///   - degraded: `[N, H, W, C]`.
  ///   - clean: `[N, H, W, 1]`.
  ///   - tasks: The task of each of the N.
  /// - Returns: `[N, H, W, 1]`: for tasks without a teacher the clean images.
  func targets(_ degraded: Tensor, _ clean: Tensor, tasks: [Int]) -> Tensor {
    guard tasks.contains(where: { lessons[$0] != nil }) else { return clean }
    return Tensor.concatenate(
      tasks.enumerated().map { index, task in
        let target = clean.sliced(axis: 0, index..<index + 1)
        guard let lesson = lessons[task] else { return target }
        let restored = lesson.runner(degraded.sliced(axis: 0, index..<index + 1))
        return target * (1 - lesson.weight) + restored * lesson.weight
      }, axis: 0)
  }
}
