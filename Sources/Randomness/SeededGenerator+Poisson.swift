extension SeededGenerator {
  /// Returns the next number of the Poisson distribution.
  ///
  /// Below a mean of 10 the arrivals of a process of rate 1 are counted until their exponential
  /// waiting times exceed the mean; above, transformed rejection is used. Both are exact up to the
  /// rounding of `Double`, and use only the portable logarithm.
  ///
  /// - Parameter mean: The mean λ, finite, in `0 ... 1e15`.
  /// - Returns: A whole number ≥ 0.
  ///
  /// Source: Hörmann, *The transformed rejection method for generating Poisson random variables*,
  /// Insurance: Mathematics and Economics 12(1), 1993 (algorithm PTRS).
  public mutating func nextPoisson(mean: Double) -> Double {
    precondition(mean >= 0 && mean <= 1e15, "nextPoisson: mean \(mean) is not in 0 ... 1e15")
    return mean < 10 ? countedArrivals(mean) : rejected(mean)
  }

  private mutating func countedArrivals(_ mean: Double) -> Double {
    var count = 0.0
    var time = 0.0
    while true {
      // 1 - u lies in (0, 1], where the logarithm is finite.
      time -= portableLog(1 - nextUniformDouble())
      guard time <= mean else { return count }
      count += 1
    }
  }

  private mutating func rejected(_ mean: Double) -> Double {
    let b = 0.931 + 2.53 * mean.squareRoot()
    let a = -0.059 + 0.02483 * b
    let inverseAlpha = 1.1239 + 1.1328 / (b - 3.4)
    let vr = 0.9277 - 3.6224 / (b - 2)
    let logMean = portableLog(mean)
    while true {
      let u = nextUniformDouble() - 0.5
      let v = 1 - nextUniformDouble()
      let us = 0.5 - abs(u)
      let k = ((2 * a / us + b) * u + mean + 0.43).rounded(.down)
      if us >= 0.07 && v <= vr { return k }
      if k < 0 || (us < 0.013 && v > us) { continue }
      let bound = portableLog(v * inverseAlpha / (a / (us * us) + b))
      if bound <= k * logMean - mean - Self.logFactorial(k) { return k }
    }
  }

  /// ln k! for a whole number k ≥ 0: a product of small ones, Stirling's series for larger ones.
  ///
  /// The series' error is below 1e-10 from 10 on.
  private static func logFactorial(_ k: Double) -> Double {
    guard k >= 10 else {
      var product = 1.0
      var factor = 2.0
      while factor <= k {
        product *= factor
        factor += 1
      }
      return portableLog(product)
    }
    let halfLogTau = 0.918938533204672742
    let square = 1 / (k * k)
    let series = (1.0 / 12 - square * (1.0 / 360 - square * (1.0 / 1260 - square / 1680))) / k
    return (k + 0.5) * portableLog(k) - k + halfLogTau + series
  }
}
