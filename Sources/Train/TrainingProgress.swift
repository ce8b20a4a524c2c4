/// What a run reports while it goes on.
public struct TrainingProgress: Sendable {
  /// Steps done.
  public let step: Int
  /// Steps in all.
  public let steps: Int
  /// Mean loss since the last report.
  public let loss: Double
  /// Learning rate of the last step.
  public let learningRate: Double
  /// Samples a second since the last report.
  public let samplesPerSecond: Double
  /// Seconds until the end at the present speed.
  public let secondsLeft: Double
  /// The score of the last validation since the run began or was continued: the foreground PSNR in dB of a
  /// restoration, the mean Dice of a segmentation.
  public let validationScore: Double?
}

/// How a run ended.
public enum TrainingOutcome: Sendable, Equatable {
  /// All steps are done.
  case finished
  /// It was asked to stop and can be resumed.
  case stopped
}
