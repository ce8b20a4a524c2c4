/// Exact percentiles in two passes over the values, without sorting or copying them.
///
/// Float32 values are ordered like the 32-bit keys made from their bits; a histogram of the upper half
/// of the keys finds the upper half of the wanted one, a second histogram the lower half.
public struct OrderStatistics: Sendable {
  /// Which values count; NaN and infinities never do.
  public enum Selection: String, Sendable, Codable, CaseIterable {
    /// Every finite value.
    case all
    /// Every finite value greater than 0.
    case positive

    func includes(_ value: Float) -> Bool {
      switch self {
      case .all: value.isFinite
      case .positive: value > 0 && value.isFinite
      }
    }
  }

  private let values: [Float]
  private let selection: Selection
  private let histogram: [Int]
  /// The number of values that count.
  public let count: Int

  /// Prepares the percentiles of some values.
  ///
  /// - Parameters:
  ///   - values: The values, any number.
  ///   - selection: Which of them count.
  public init(of values: [Float], selection: Selection = .all) {
    var histogram = [Int](repeating: 0, count: 1 << 16)
    for value in values where selection.includes(value) {
      histogram[Int(Self.key(value) >> 16)] += 1
    }
    self.values = values
    self.selection = selection
    self.histogram = histogram
    count = histogram.reduce(0, +)
  }

  /// A percentile, interpolated linearly between order statistics as NumPy does by default.
  ///
  /// - Parameter percent: The percentage, in `0 ... 100`.
  /// - Returns: The value below which that part of the values lies; nil if no value counts.
  public func percentile(_ percent: Double) -> Double? {
    precondition((0...100).contains(percent), "percentile: \(percent) is not in 0 ... 100")
    guard count > 0 else { return nil }
    let position = percent / 100 * Double(count - 1)
    let rank = Int(position)
    let fraction = position - Double(rank)
    let low = Double(value(atRank: rank))
    guard fraction > 0, rank + 1 < count else { return low }
    let high = Double(value(atRank: rank + 1))
    // From the nearer end, so that the result never leaves the interval by rounding.
    return fraction < 0.5
      ? low + (high - low) * fraction : high - (high - low) * (1 - fraction)
  }

  /// The value that stands at a place of the sorted values.
  ///
  /// - Parameter rank: The place, in `0 ..< count`.
  /// - Returns: The value.
  public func value(atRank rank: Int) -> Float {
    precondition((0..<count).contains(rank), "OrderStatistics: rank \(rank) of \(count)")
    let (upper, rest) = Self.bin(ofRank: rank, in: histogram)
    var lowerHistogram = [Int](repeating: 0, count: 1 << 16)
    for value in values where selection.includes(value) {
      let key = Self.key(value)
      if Int(key >> 16) == upper { lowerHistogram[Int(key & 0xFFFF)] += 1 }
    }
    let (lower, _) = Self.bin(ofRank: rest, in: lowerHistogram)
    return Self.value(UInt32(upper) << 16 | UInt32(lower))
  }

  /// The bin that holds a rank, and the rank inside the bin.
  private static func bin(ofRank rank: Int, in histogram: [Int]) -> (bin: Int, rest: Int) {
    var rest = rank
    for (bin, count) in histogram.enumerated() {
      if rest < count { return (bin, rest) }
      rest -= count
    }
    preconditionFailure("OrderStatistics: rank \(rank) lies beyond the values")
  }

  /// A key that is ordered like the value: the bits of negative values run backwards.
  private static func key(_ value: Float) -> UInt32 {
    let bits = value.bitPattern
    return bits >> 31 == 1 ? ~bits : bits | 0x8000_0000
  }

  private static func value(_ key: UInt32) -> Float {
    Float(bitPattern: key >> 31 == 1 ? key & 0x7FFF_FFFF : ~key)
  }
}
