import Foundation

/// The learning rate at each step.
public struct LearningRateSchedule: Sendable {
  let section: TrainingConfiguration.ScheduleSection
  let peak: Double
  let iterations: Int

  /// The schedule of a configuration.
  public init(_ configuration: TrainingConfiguration) {
    section = configuration.schedule
    peak = configuration.optim.learningRate
    iterations = configuration.train.iterations
  }

  /// A schedule that rises to a peak and ends after so many steps.
  init(_ section: TrainingConfiguration.ScheduleSection, peak: Double, iterations: Int) {
    (self.section, self.peak, self.iterations) = (section, peak, iterations)
  }

  /// The rate of a step, counted from 0.
  ///
  /// Linear warm-up to the peak, then half a cosine that would be at the minimum after the last step (the authors'
  /// schedule with no warm-up), falls by a factor every so many steps, or constant.
  public func rate(at step: Int) -> Double {
    if step < section.warmup { return peak * Double(step + 1) / Double(section.warmup) }
    if section.name == "step" {
      return peak * pow(section.fallFactor, Double((step - section.warmup) / section.fallEvery))
    }
    guard section.name == "cosine" else { return peak }
    let length = max(1, iterations - section.warmup)
    let progress = min(1, Double(step - section.warmup) / Double(length))
    return section.minimum + (peak - section.minimum) * (1 + cos(.pi * progress)) / 2
  }
}
