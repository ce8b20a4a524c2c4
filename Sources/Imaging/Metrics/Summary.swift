import Randomness

/// Mean, spread and confidence interval of a metric over cases.
///
/// Only finite values count in the figures; how many are infinite (equal images have an infinite PSNR)
/// or undefined is kept, so that a case is never left out without being counted.
///
/// Source of the interval: Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, §13.3, the
/// percentile interval.
public struct Summary: Sendable, Equatable {
  /// The number of bootstrap resamples.
  public static let resamples = 2000
  /// The part of the resampled means that lies inside the interval.
  public static let confidence = 0.95

  /// The number of cases, whatever their values.
  public let count: Int
  /// The number of infinite values.
  public let infiniteCount: Int
  /// The number of values that are NaN.
  public let undefinedCount: Int
  /// The mean of the finite values; nil if there is none.
  public let mean: Double?
  /// Their standard deviation with divisor n − 1; nil for fewer than two.
  public let standardDeviation: Double?
  /// Their median; nil if there is none.
  public let median: Double?
  /// The 95 % bootstrap confidence interval of the mean; nil for fewer than two finite values.
  public let interval: ClosedRange<Double>?

  /// Summarises a metric.
  ///
  /// - Parameters:
  ///   - values: One value a case, any number.
  ///   - seed: Decides the resamples; equal values and seeds give equal intervals.
  public init(of values: [Double], seed: UInt64 = 0) {
    let finite = values.filter(\.isFinite)
    count = values.count
    infiniteCount = values.count { $0.isInfinite }
    undefinedCount = values.count { $0.isNaN }
    guard !finite.isEmpty else {
      (mean, standardDeviation, median, interval) = (nil, nil, nil, nil)
      return
    }
    let mean = finite.reduce(0, +) / Double(finite.count)
    self.mean = mean
    median = quantile(0.5, ofSorted: finite.sorted())
    guard finite.count > 1 else {
      (standardDeviation, interval) = (nil, nil)
      return
    }
    let squares = finite.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    standardDeviation = (squares / Double(finite.count - 1)).squareRoot()
    var generator = SeededGenerator(seed: seed)
    let means = (0..<Self.resamples).map { _ in
      var sum = 0.0
      for _ in finite.indices { sum += finite[generator.nextInt(below: finite.count)] }
      return sum / Double(finite.count)
    }.sorted()
    let tail = (1 - Self.confidence) / 2
    interval = quantile(tail, ofSorted: means)...quantile(1 - tail, ofSorted: means)
  }
}
