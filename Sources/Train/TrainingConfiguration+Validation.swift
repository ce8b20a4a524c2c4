import Foundation
import Layers

extension TrainingConfiguration {
  /// Checks all values.
  ///
  /// - Throws: ``TrainingError/invalidValue(key:reason:)`` for the first that does not fit.
  public func validate() throws(TrainingError) {
    try validateTasks()
    try optim.validate()
    try schedule.validate()
    try loss.validate(smallestCrop: allTasks.map(\.crop).min() ?? 0)
    try train.validate(leastBatch: model.arch == SegmentationTrainer.architecture ? 0 : 1)
    try checkpoint.validate()
  }

  private func validateTasks() throws(TrainingError) {
    for (index, task) in allTasks.enumerated() {
      try task.validate(prefix: tasks.isEmpty ? "data" : "tasks.\(index)")
    }
    for (index, task) in allTasks.enumerated() where task.turns > 1 {
      try require(
        tasks.count > 1 && train.mixing == "equal",
        tasks.isEmpty ? "data.turns" : "tasks.\(index).turns",
        "goes with several `tasks` and `train.mixing: equal` only")
    }
    var names = Set<String>()
    for (index, task) in tasks.enumerated() {
      let key = "tasks.\(index)"
      try require(
        task.neighbours == tasks[0].neighbours, "\(key).neighbours",
        "differs from that of the first task")
      try require(
        task.crop == tasks[0].crop, "\(key).crop", "differs from that of the first task")
      try require(
        names.insert(RunFolder.fileName(task.name)).inserted, "\(key).name",
        "`\(task.name)` names another task, or a file of the same name")
    }
  }

  /// Refuses keys that a training does not heed, so that none is left aside in silence.
  ///
  /// - Parameters:
  ///   - heeded: The keys of `data` that it heeds, in snake case, beside `split`.
  ///   - countsSlices: Whether it heeds `train.validation_slices`.
  /// - Throws: ``TrainingError/invalidValue(key:reason:)`` for the first other that is set.
  func requireNoUnheededKeys(
    heeding heeded: Set<String>, countsSlices: Bool = true
  ) throws(TrainingError) {
    func refuse(_ key: String) throws(TrainingError) {
      throw .invalidValue(key: key, reason: "does not go with `\(model.arch)`")
    }
    for (key, isSet) in [
      ("tasks", !tasks.isEmpty), ("loss", loss != LossSection()),
      ("train.accumulate", train.accumulate != 1),
      ("train.checkpoint_activations", train.checkpointActivations),
      ("train.mixing", train.mixing != LoopSection().mixing),
      ("train.prefetch", train.prefetch != LoopSection().prefetch),
      (
        "train.validation_slices",
        !countsSlices && train.validationSlices != LoopSection().validationSlices
      ),
    ] where isSet { try refuse(key) }
    let (given, usual) = (Self.section("data", of: self), Self.section("data", of: Self()))
    for key in given.keys.sorted() where key != "split" && !heeded.contains(key) {
      let isUsual = (given[key] as? NSObject)?.isEqual(usual[key]) ?? false
      if !isUsual { try refuse("data." + key) }
    }
  }

  /// A section as it stands in the file of a configuration.
  private static func section(
    _ name: String, of configuration: TrainingConfiguration
  ) -> [String: Any] {
    let object = try? JSONSerialization.jsonObject(with: Data(configuration.json().utf8))
    guard let section = (object as? [String: Any])?[name] as? [String: Any] else {
      preconditionFailure("configuration: no section \(name)")
    }
    return section
  }
}

/// Throws if a value is not what it has to be.
private func require(
  _ condition: Bool, _ key: String, _ reason: String
) throws(TrainingError) {
  if !condition { throw .invalidValue(key: key, reason: reason) }
}

extension TrainingConfiguration.OptimizerSection {
  /// Steps are computed in single precision, in which 1 − β may be 0 and ε too.
  fileprivate func validate() throws(TrainingError) {
    try require(
      ["adam", "adamw", "sgd"].contains(name), "optim.name",
      "`\(name)` is not adam, adamw or sgd")
    try require(
      learningRate > 0 && learningRate.isFinite, "optim.learning_rate",
      "is not positive")
    try require(
      betas.count == 2 && betas.allSatisfy { (0..<1).contains(Float($0)) }, "optim.betas",
      "are not two numbers in 0..<1, in single precision")
    try require(
      eps > 0 && Float(eps).isNormal, "optim.eps", "is not positive in single precision")
    try require(
      weightDecay >= 0 && Float(weightDecay).isFinite, "optim.weight_decay",
      "is negative, or beyond single precision")
    try require(clip >= 0, "optim.clip", "is negative")
    for (key, value) in [("momentum", momentum), ("ema", ema)] {
      try require(
        value >= 0 && Float(value) < 1, "optim.\(key)", "is not in 0..<1, in single precision")
    }
  }
}

extension TrainingConfiguration.ScheduleSection {
  fileprivate func validate() throws(TrainingError) {
    try require(
      ["cosine", "step", "constant"].contains(name), "schedule.name",
      "`\(name)` is not cosine, step or constant")
    try require(fallEvery > 0, "schedule.fall_every", "is not positive")
    try require((0...1).contains(fallFactor), "schedule.fall_factor", "is not in 0...1")
    try require(warmup >= 0, "schedule.warmup", "is negative")
    try require(
      minimum >= 0 && minimum.isFinite, "schedule.minimum", "is negative")
  }
}

extension TrainingConfiguration.LossSection {
  fileprivate func validate(smallestCrop: Int) throws(TrainingError) {
    try require(
      ["l1", "l2", "charbonnier", "psnr", "translation"].contains(name), "loss.name",
      "`\(name)` is not l1, l2, charbonnier, psnr or translation")
    for (key, weight) in [
      ("frequency_weight", frequencyWeight), ("similarity_weight", similarityWeight),
    ] {
      try require(
        weight >= 0 && Float(weight).isFinite, "loss.\(key)",
        "is negative, or beyond single precision")
    }
    try require(
      (1...5).contains(similarityScales), "loss.similarity_scales", "is not in 1...5")
    if similarityWeight > 0 {
      let least = SimilarityLoss(scales: similarityScales).leastSize
      try require(
        smallestCrop >= least, "loss.similarity_scales",
        "needs crops of \(least) pixels or more, they have \(smallestCrop)")
    }
    // A square that is 0 in single precision would give 0 / 0 where an image is met.
    let square = Float(epsilon) * Float(epsilon)
    try require(
      epsilon > 0 && square.isNormal, "loss.epsilon",
      "is not positive, or its square is none in single precision")
  }
}

extension TrainingConfiguration.LoopSection {
  fileprivate func validate(leastBatch: Int) throws(TrainingError) {
    try require(
      ["equal", "pooled"].contains(mixing), "train.mixing",
      "`\(mixing)` is not equal or pooled")
    try require(iterations > 0, "train.iterations", "is not positive")
    try require(
      (leastBatch...1024).contains(batch), "train.batch", "is not in \(leastBatch)...1024")
    try require(
      accumulate >= 1 && batch.isMultiple(of: accumulate), "train.accumulate",
      "\(accumulate) does not divide train.batch, \(batch)")
    try require((0...64).contains(prefetch), "train.prefetch", "is not in 0...64")
    try require(validateEvery > 0, "train.validate_every", "is not positive")
    try require(validationSlices > 0, "train.validation_slices", "is not positive")
    try require(logEvery > 0, "train.log_every", "is not positive")
  }
}

extension TrainingConfiguration.CheckpointSection {
  fileprivate func validate() throws(TrainingError) {
    try require(everySteps > 0, "checkpoint.every_steps", "is not positive")
    try require(everyMinutes > 0, "checkpoint.every_minutes", "is not positive")
    try require(keep >= 0, "checkpoint.keep", "is negative")
  }
}
