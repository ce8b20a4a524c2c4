import Layers
public import Models

/// Everything that a training run depends on, as it stands in `config.json` of the run folder.
///
/// Keys in files are the property names in snake case. Absent keys take the defaults given here.
public struct TrainingConfiguration: Codable, Sendable, Equatable {
  /// Which network.
  public var model = ModelSection()
  /// What it learns from.
  public var data = DataSection()
  /// Several things to learn at once: each is `data` with some keys changed; empty for `data` alone.
  public var tasks: [DataSection] = []
  /// How weights move.
  public var optim = OptimizerSection()
  /// How the learning rate moves.
  public var schedule = ScheduleSection()
  /// What is minimised.
  public var loss = LossSection()
  /// How long, and how often it is checked.
  public var train = LoopSection()
  /// When the state is written.
  public var checkpoint = CheckpointSection()
  /// Seeds initial weights, order of samples, augmentation and noise.
  public var seed: UInt64 = 0

  /// The defaults.
  public init() {}

  /// Which network is trained.
  public struct ModelSection: Codable, Sendable, Equatable {
    /// A name of the model catalogue.
    public var arch = "restore-rwkv"
    /// A named configuration of that architecture.
    public var preset = "light"
    /// Other convolutions than the preset's: `preset`, a kind such as `weighted`, or a kind with options.
    public var convolution = ConvolutionSelection.ofPreset
    /// Other values of some of the preset's hyperparameters, by their keys in a bundle.
    public var hyperparameters: [String: HyperparameterValue] = [:]
    /// The bundle's name.
    public var name = "model"
    /// Weights to start from instead of random ones.
    public var initialWeights = InitialWeights()

    /// The defaults.
    public init() {}
  }

  /// The optimiser.
  public struct OptimizerSection: Codable, Sendable, Equatable {
    /// `adam`, `adamw` or `sgd` (with Nesterov's momentum).
    public var name = "adam"
    /// The peak learning rate.
    public var learningRate = 2e-4
    /// Decay of the two moments.
    public var betas = [0.9, 0.999]
    /// Added to the root of the second moment.
    public var eps = 1e-8
    /// Decay of weights.
    public var weightDecay = 0.0
    /// Momentum of `sgd`.
    public var momentum = 0.9
    /// Largest Euclidean norm of all gradients together; 0 for no clipping.
    public var clip = 1.0
    /// Decay of the running mean of weights that validation and bundles use; 0 for none.
    public var ema = 0.0

    /// The defaults.
    public init() {}
  }

  /// The learning rate over time.
  public struct ScheduleSection: Codable, Sendable, Equatable {
    /// `cosine`, `step` or `constant`.
    public var name = "cosine"
    /// Steps of linear warm-up.
    public var warmup = 0
    /// Where the cosine ends.
    public var minimum = 1e-6
    /// Steps between falls of the `step` schedule.
    public var fallEvery = 100_000
    /// Factor of each fall.
    public var fallFactor = 0.5

    /// The defaults.
    public init() {}
  }

  /// The loss.
  public struct LossSection: Codable, Sendable, Equatable {
    /// `l1`, `l2`, `charbonnier`, `psnr` (the mean over samples of the logarithm of the squared error) or `translation` (that of FS-RWKV).
    public var name = "l1"
    /// Charbonnier's ε, in normalised intensity.
    public var epsilon = 1e-3
    /// Weight of the distance of spectra; 0 for none.
    public var frequencyWeight = 0.0
    /// Weight of one minus the structural similarity; 0 for none.
    public var similarityWeight = 0.0
    /// Its scales: 1 for SSIM, 2 to 5 for MS-SSIM.
    public var similarityScales = 1

    /// The defaults.
    public init() {}
  }

  /// The loop.
  public struct LoopSection: Codable, Sendable, Equatable {
    /// Steps in all.
    public var iterations = 300_000
    /// Samples a step; 0 for what the plan of `unet-segmentation` suggests.
    public var batch = 4
    /// How a batch mixes tasks: `equal` parts, or `pooled` like the slices of all tasks together.
    public var mixing = "equal"
    /// Parts of equal size in which a step's samples are computed one after the other: the same
    /// gradient, with the memory of one part.
    public var accumulate = 1
    /// Whether backward computes blocks again instead of remembering what is inside: slower by about a
    /// forward pass, for a fraction of the memory; no bit changes.
    public var checkpointActivations = false
    /// Batches made ahead on a thread of their own; 0 makes each when it is needed.
    public var prefetch = 2
    /// Steps between validations.
    public var validateEvery = 1000
    /// Slices of each validation volume, evenly spaced.
    public var validationSlices = 12
    /// Steps between lines of the log.
    public var logEvery = 50

    /// The defaults.
    public init() {}
  }

  /// Checkpoints.
  public struct CheckpointSection: Codable, Sendable, Equatable {
    /// Steps between checkpoints.
    public var everySteps = 1000
    /// Minutes between checkpoints, whichever comes first.
    public var everyMinutes = 10.0
    /// How many checkpoints' weights are kept under names of their own, beside the latest and the best.
    public var keep = 0

    /// The defaults.
    public init() {}
  }

  /// Checks all values.
  ///
  /// - Throws: ``TrainingError/invalidValue(key:reason:)`` for the first that does not fit.
  public func validate() throws(TrainingError) {
    func require(_ condition: Bool, _ key: String, _ reason: String) throws(TrainingError) {
      if !condition { throw .invalidValue(key: key, reason: reason) }
    }
    for (index, task) in allTasks.enumerated() {
      try task.validate(prefix: tasks.isEmpty ? "data" : "tasks.\(index)")
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
    try require(
      ["equal", "pooled"].contains(train.mixing), "train.mixing",
      "`\(train.mixing)` is not equal or pooled")
    try require(
      ["adam", "adamw", "sgd"].contains(optim.name), "optim.name",
      "`\(optim.name)` is not adam, adamw or sgd")
    try require(
      optim.learningRate > 0 && optim.learningRate.isFinite, "optim.learning_rate",
      "is not positive")
    try require(
      optim.betas.count == 2 && optim.betas.allSatisfy { (0..<1).contains($0) }, "optim.betas",
      "are not two numbers in 0..<1")
    try require(optim.eps > 0, "optim.eps", "is not positive")
    try require(optim.weightDecay >= 0, "optim.weight_decay", "is negative")
    try require(optim.clip >= 0, "optim.clip", "is negative")
    try require((0..<1).contains(optim.momentum), "optim.momentum", "is not in 0..<1")
    try require((0..<1).contains(optim.ema), "optim.ema", "is not in 0..<1")
    try require(
      ["cosine", "step", "constant"].contains(schedule.name), "schedule.name",
      "`\(schedule.name)` is not cosine, step or constant")
    try require(schedule.fallEvery > 0, "schedule.fall_every", "is not positive")
    try require((0...1).contains(schedule.fallFactor), "schedule.fall_factor", "is not in 0...1")
    try require(schedule.warmup >= 0, "schedule.warmup", "is negative")
    try require(
      schedule.minimum >= 0 && schedule.minimum.isFinite, "schedule.minimum", "is negative")
    try require(
      ["l1", "l2", "charbonnier", "psnr", "translation"].contains(loss.name), "loss.name",
      "`\(loss.name)` is not l1, l2, charbonnier, psnr or translation")
    try require(loss.frequencyWeight >= 0, "loss.frequency_weight", "is negative")
    try require(loss.similarityWeight >= 0, "loss.similarity_weight", "is negative")
    try require(
      (1...5).contains(loss.similarityScales), "loss.similarity_scales", "is not in 1...5")
    if loss.similarityWeight > 0, let crop = allTasks.map(\.crop).min() {
      let least = SimilarityLoss(scales: loss.similarityScales).leastSize
      try require(
        crop >= least, "loss.similarity_scales",
        "needs crops of \(least) pixels or more, they have \(crop)")
    }
    try require(loss.epsilon > 0, "loss.epsilon", "is not positive")
    try require(train.iterations > 0, "train.iterations", "is not positive")
    let least = model.arch == SegmentationTrainer.architecture ? 0 : 1
    try require((least...1024).contains(train.batch), "train.batch", "is not in \(least)...1024")
    try require(
      train.accumulate >= 1 && train.batch.isMultiple(of: train.accumulate), "train.accumulate",
      "\(train.accumulate) does not divide train.batch, \(train.batch)")
    try require((0...64).contains(train.prefetch), "train.prefetch", "is not in 0...64")
    try require(train.validateEvery > 0, "train.validate_every", "is not positive")
    try require(train.validationSlices > 0, "train.validation_slices", "is not positive")
    try require(train.logEvery > 0, "train.log_every", "is not positive")
    try require(checkpoint.everySteps > 0, "checkpoint.every_steps", "is not positive")
    try require(checkpoint.everyMinutes > 0, "checkpoint.every_minutes", "is not positive")
    try require(checkpoint.keep >= 0, "checkpoint.keep", "is negative")
  }

  /// The tasks, of which there is at least one.
  public var allTasks: [DataSection] { tasks.isEmpty ? [data] : tasks }

  /// Refuses keys that only the training of restorations heeds, so that none is left aside in silence.
  ///
  /// - Throws: ``TrainingError/invalidValue(key:reason:)`` for the first that is set.
  func requireNoRestorationKeys() throws(TrainingError) {
    for (key, isSet) in [
      ("tasks", !tasks.isEmpty), ("loss", loss != LossSection()),
      ("train.accumulate", train.accumulate != 1),
      ("train.checkpoint_activations", train.checkpointActivations),
    ] where isSet {
      throw .invalidValue(key: key, reason: "does not go with `\(model.arch)`")
    }
  }

  /// Who trains, validates and tests, for each task, as files and folders say now.
  ///
  /// - Returns: One split a task.
  /// - Throws: ``TrainingError/invalidSplit(file:reason:)``.
  public func splits() throws(TrainingError) -> [DataSplit] {
    var splits: [DataSplit] = []
    for section in allTasks { splits.append(try DataSplit(contentsOf: section.split, section)) }
    // What one task learns from must not judge another.
    var parts: [String: Int] = [:]
    for (section, split) in zip(allTasks, splits) {
      try split.note(&parts) { source in
        .invalidSplit(
          file: section.split, reason: "another task has \(source) in another part than this one")
      }
    }
    return splits
  }

  /// The course of a run.
  ///
  /// - Parameter samples: Samples of a step.
  /// - Returns: What the loop needs to know.
  func plan(samples: Int) -> TrainingPlan {
    TrainingPlan(
      steps: train.iterations, samples: samples, logEvery: train.logEvery,
      validateEvery: train.validateEvery, checkpoint: checkpoint,
      schedule: LearningRateSchedule(self), ema: optim.ema, seed: seed)
  }

  /// The network that is trained, with a channel for each slice that it is shown.
  ///
  /// - Throws: `ModelError` if a name is unknown or a value does not fit.
  public func networkDescription() throws(ModelError) -> ModelDescription {
    try model.description(neighbours: allTasks[0].neighbours)
  }
}
