extension SeededGenerator {
  // MARK: - Uniform

  /// Returns the next uniform number of single precision.
  ///
  /// - Returns: A multiple of 2⁻²⁴ in `[0, 1)`, each equally likely.
  public mutating func nextUniform() -> Float {
    Float(next() >> 40) * 0x1p-24
  }

  /// Returns the next uniform number of double precision.
  ///
  /// - Returns: A multiple of 2⁻⁵³ in `[0, 1)`, each equally likely.
  public mutating func nextUniformDouble() -> Double {
    Double(next() >> 11) * 0x1p-53
  }

  /// Fills a buffer with uniform numbers.
  ///
  /// Equal to a call of ``nextUniform()`` per element, scaled.
  ///
  /// - Parameters:
  ///   - buffer: Elements to write, any number.
  ///   - low: Smallest value, finite.
  ///   - high: End of the range, finite and not below `low`; reached only where rounding to `Float`
  ///     leaves no value in between.
  public mutating func fillUniform(
    _ buffer: UnsafeMutableBufferPointer<Float>, low: Float = 0, high: Float = 1
  ) {
    precondition(
      low.isFinite && high.isFinite && low <= high,
      "fillUniform: low \(low) and high \(high) do not bound a range")
    let range = high - low
    // A local copy keeps the state in registers for the length of the loop.
    var generator = self
    for index in buffer.indices { buffer[index] = low + range * generator.nextUniform() }
    self = generator
  }

  // MARK: - Normal

  /// Returns the next number of the standard normal distribution in single precision.
  ///
  /// - Returns: ``nextNormalDouble()`` rounded to `Float`.
  public mutating func nextNormal() -> Float {
    Float(nextNormalDouble())
  }

  /// Returns the next number of the standard normal distribution, mean 0 and deviation 1.
  ///
  /// Numbers are made in pairs by the polar method; the second of a pair is kept as part of the
  /// state.
  ///
  /// - Returns: A finite number.
  ///
  /// Source: Marsaglia, Bray, *A Convenient Method for Generating Normal Variables*, SIAM Review
  /// 6(3), 1964.
  public mutating func nextNormalDouble() -> Double {
    if let spare = spareNormal {
      spareNormal = nil
      return Double(bitPattern: spare)
    }
    while true {
      let u = 2 * nextUniformDouble() - 1
      let v = 2 * nextUniformDouble() - 1
      let s = u * u + v * v
      guard s > 0, s < 1 else { continue }
      let factor = (-2 * portableLog(s) / s).squareRoot()
      spareNormal = (v * factor).bitPattern
      return u * factor
    }
  }

  /// Fills a buffer with normal numbers.
  ///
  /// Equal to a call of ``nextNormalDouble()`` per element, scaled in `Double`.
  ///
  /// - Parameters:
  ///   - buffer: Elements to write, any number.
  ///   - mean: Mean of the distribution.
  ///   - standardDeviation: Standard deviation, finite and ≥ 0.
  public mutating func fillNormal(
    _ buffer: UnsafeMutableBufferPointer<Float>, mean: Float = 0, standardDeviation: Float = 1
  ) {
    precondition(
      standardDeviation.isFinite && standardDeviation >= 0,
      "fillNormal: standard deviation \(standardDeviation) is not a finite number ≥ 0")
    var generator = self
    for index in buffer.indices {
      let value = Double(mean) + Double(standardDeviation) * generator.nextNormalDouble()
      buffer[index] = Float(value)
    }
    self = generator
  }

  // MARK: - Indices and orders

  /// Returns the next index below a bound, every index equally likely.
  ///
  /// - Parameter bound: Number of indices, > 0.
  /// - Returns: A value in `0..<bound`.
  ///
  /// Source: Lemire, *Fast Random Integer Generation in an Interval*, ACM TOMACS 29(1), 2019.
  public mutating func nextInt(below bound: Int) -> Int {
    precondition(bound > 0, "nextInt: bound \(bound) is not > 0")
    let bound = UInt64(bound)
    var product = next().multipliedFullWidth(by: bound)
    if product.low < bound {
      // 2⁶⁴ mod bound: products whose low half lies below it belong to the indices that would
      // otherwise come up once too often.
      let surplus = (0 &- bound) % bound
      while product.low < surplus { product = next().multipliedFullWidth(by: bound) }
    }
    return Int(product.high)
  }

  /// Shuffles an array, every order equally likely.
  ///
  /// - Parameter elements: The array to reorder.
  public mutating func shuffle<Element>(_ elements: inout [Element]) {
    for last in stride(from: elements.count - 1, to: 0, by: -1) {
      elements.swapAt(last, nextInt(below: last + 1))
    }
  }

  /// Returns the numbers below a count in random order.
  ///
  /// - Parameter count: How many numbers, ≥ 0.
  /// - Returns: Each of `0..<count` once.
  public mutating func permutation(_ count: Int) -> [Int] {
    precondition(count >= 0, "permutation: count \(count) is negative")
    var order = Array(0..<count)
    shuffle(&order)
    return order
  }
}
