/// A random number generator whose stream depends on its seed alone, on every platform.
///
/// The bits come from xoshiro256** with its 256-bit state filled by SplitMix64. Every derived number
/// (uniform, normal, index, permutation) is computed with integer and correctly rounded `Double`
/// operations only, never with the platform's mathematics library, so that two machines draw the same
/// noise, the same crops and the same initial weights. The whole state is `Codable`: a generator that
/// was saved and restored continues its stream exactly, in the middle of a pair of normal numbers too.
///
/// Not for cryptography.
///
/// Source: Blackman, Vigna, *Scrambled Linear Pseudorandom Number Generators*, ACM TOMS 47(4), 2021;
/// Steele, Lea, Flood, *Fast Splittable Pseudorandom Number Generators*, OOPSLA 2014.
public struct SeededGenerator: RandomNumberGenerator, Sendable, Codable, Equatable {
  private var s0: UInt64
  private var s1: UInt64
  private var s2: UInt64
  private var s3: UInt64

  /// Bit pattern of the second normal number of a pair, until it is asked for.
  ///
  /// Kept as bits so that any text encoding of the state is exact.
  var spareNormal: UInt64?

  /// Creates the generator of a seed.
  ///
  /// - Parameter seed: Any value; neighbouring seeds give unrelated streams.
  public init(seed: UInt64) {
    self.init(filling: SplitMix64(state: seed))
  }

  /// Creates one of the independent streams of a seed, named by one or more numbers.
  ///
  /// `init(seed: 1, stream: epoch, sample)` draws the same numbers for that sample of that epoch
  /// whatever was drawn before and on whichever thread. The order of the numbers matters, and
  /// `stream: 3` differs from `stream: 3, 0` and from the plain `init(seed:)`.
  ///
  /// - Parameters:
  ///   - seed: The seed of the whole experiment.
  ///   - stream: First number of the stream's name, for example an epoch or a volume.
  ///   - substreams: Further numbers of the name, for example a sample or a slice.
  public init(seed: UInt64, stream: UInt64, _ substreams: UInt64...) {
    var key = SplitMix64.mixed(seed)
    // Each number is spread over all bits before it meets the key, and the key is mixed again in
    // between; for one seed, different single numbers can therefore never meet in one state.
    for number in [stream] + substreams {
      key = SplitMix64.mixed(key ^ SplitMix64.mixed(number &+ 0xD1B5_4A32_D192_ED03))
    }
    self.init(filling: SplitMix64(state: key))
  }

  private init(filling source: SplitMix64) {
    var source = source
    // Four outputs of SplitMix64 at different counters are never all zero, the one state that
    // xoshiro must not have.
    s0 = source.next()
    s1 = source.next()
    s2 = source.next()
    s3 = source.next()
    spareNormal = nil
  }

  /// Returns the next 64 random bits.
  ///
  /// - Returns: A value uniform over all of `UInt64`.
  public mutating func next() -> UInt64 {
    let scrambled = s1 &* 5
    let result = (scrambled << 7 | scrambled >> 57) &* 9
    let shifted = s1 << 17
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    s3 = s3 << 45 | s3 >> 19
    return result
  }
}

/// The counter-based generator that spreads a seed over the state of a larger one.
private struct SplitMix64 {
  private var state: UInt64

  init(state: UInt64) {
    self.state = state
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return Self.mixed(state)
  }

  /// A bijection of 64-bit numbers in which every input bit reaches every output bit.
  static func mixed(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
