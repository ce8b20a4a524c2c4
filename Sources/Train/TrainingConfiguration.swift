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

  /// The tasks, of which there is at least one.
  public var allTasks: [DataSection] { tasks.isEmpty ? [data] : tasks }

  /// Who trains, validates and tests, for each task, as files and folders say now.
  ///
  /// - Returns: One split a task.
  /// - Throws: ``TrainingError/invalidSplit(file:reason:)``.
  public func splits() throws(TrainingError) -> [DataSplit] {
    var splits: [DataSplit] = []
    for section in allTasks { splits.append(try DataSplit(contentsOf: section.split, section)) }
    // What one task learns from must not judge another, nor whom: one person has many images.
    var (parts, people): ([String: Int], [String: Int]) = ([:], [:])
    for (section, split) in zip(allTasks, splits) {
      try split.note(&parts) { source in
        .invalidSplit(
          file: section.split, reason: "another task has \(source) in another part than this one")
      }
      for (part, subjects) in [split.train, split.validation, split.test].enumerated() {
        for name in subjects.map(\.subject)
        where people.updateValue(part, forKey: name) ?? part != part {
          throw .invalidSplit(
            file: section.split,
            reason:
              "another task has the subject \(name) in another part than this one; if they are "
              + "two persons, split files can name them apart")
        }
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
