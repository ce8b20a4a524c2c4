import Imaging

/// How smoothly the masks of one structure follow one another.
public struct TemporalConsistency: Codable, Equatable, Sendable {
  /// The mean Dice of neighbouring frames' masks; pairs of empty masks do not count.
  public let neighbourDice: Double
  /// The mean magnitude of the area's second difference `A(t−1) − 2A(t) + A(t+1)`, as a part of the
  /// clip's mean true area.
  public let areaJitter: Double

  /// The consistency of masks over several clips, each clip counting the same.
  ///
  /// - Parameters:
  ///   - masks: Frames of each clip, each frame's pixels.
  ///   - areas: The mean true area of each clip, pixels; clips without it have no jitter.
  init(_ masks: [[[Bool]]], areas: [Double]) {
    var (dice, jitter): ([Double], [Double]) = ([], [])
    for (frames, area) in zip(masks, areas) {
      let pairs = zip(frames, frames.dropFirst()).compactMap { Self.dice($0, $1) }
      if !pairs.isEmpty { dice.append(Self.mean(pairs)) }
      let counts = frames.map { Double($0.count { $0 }) }
      guard counts.count >= 3, area > 0 else { continue }
      jitter.append(
        Self.mean(
          (1..<counts.count - 1).map {
            abs(counts[$0 - 1] - 2 * counts[$0] + counts[$0 + 1]) / area
          }))
    }
    neighbourDice = Self.mean(dice)
    areaJitter = Self.mean(jitter)
  }

  /// Nil if both masks are empty.
  static func dice(_ a: [Bool], _ b: [Bool]) -> Double? {
    let overlap = OverlapScore(of: a, against: b)
    return overlap.union == 0 ? nil : overlap.dice
  }

  private static func mean(_ values: [Double]) -> Double {
    values.isEmpty ? 0 : values.reduce(0, +) / Double(values.count)
  }
}
