public import Randomness

/// A map between intensities that is straight between some points.
public struct IntensityCurve: Sendable, Equatable {
  /// One point of the curve.
  public struct Knot: Sendable, Equatable {
    /// The intensity that is mapped.
    public let input: Float
    /// What becomes of it.
    public let output: Float

    /// A point.
    public init(input: Float, output: Float) { (self.input, self.output) = (input, output) }
  }

  /// The points, by ascending inputs; before the first and after the last the curve is constant.
  public let knots: [Knot]

  /// A curve through some points.
  ///
  /// - Parameter knots: At least one, by ascending inputs.
  public init(_ knots: [Knot]) {
    precondition(
      !knots.isEmpty && zip(knots, knots.dropFirst()).allSatisfy { $0.input < $1.input },
      "IntensityCurve: inputs of \(knots) do not ascend")
    self.knots = knots
  }

  /// The contrast of another magnetic resonance sequence, drawn: which tissue is bright and which dark.
  ///
  /// What gives no signal stays 0; the brightest of the five points in `(0, 1]` becomes 1, and what lies beyond 1
  /// ends as far above the last of them. The curve may fall as well as rise, as fluid is dark in one sequence and
  /// bright in another.
  ///
  /// Source: the randomised contrasts of Billot et al., *SynthSeg: Segmentation of brain MRI scans of any contrast
  /// and resolution without retraining*, Medical Image Analysis 86, 2023, here for a scan in place of label maps.
  ///
  /// - Parameter generator: Where the random numbers come from.
  /// - Returns: A curve of normalised intensities.
  public static func contrast(using generator: inout SeededGenerator) -> IntensityCurve {
    let places = (0..<5).map { Float($0 + 1) / 5 + 0.12 * (generator.nextUniform() - 0.5) }
    let values = places.map { _ in 0.05 + 0.95 * generator.nextUniform() }
    let highest = values.max() ?? 1
    let knots = zip(places, values).map { Knot(input: $0, output: $1 / highest) }
    let last = knots[knots.count - 1]
    return IntensityCurve(
      [Knot(input: 0, output: 0)] + knots
        + [Knot(input: last.input + 2, output: last.output + 1)])
  }

  /// What becomes of one intensity.
  public func callAsFunction(_ intensity: Float) -> Float {
    guard let after = knots.firstIndex(where: { $0.input > intensity }) else {
      return knots[knots.count - 1].output
    }
    guard after > 0 else { return knots[0].output }
    let (low, high) = (knots[after - 1], knots[after])
    let part = (intensity - low.input) / (high.input - low.input)
    return low.output + part * (high.output - low.output)
  }
}
