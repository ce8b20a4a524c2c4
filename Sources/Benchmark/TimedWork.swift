/// One timed thing, and how near it came to what the machine can do.
public struct TimedWork: Sendable, Encodable {
  /// What was timed, as in `linear`.
  public let name: String
  /// Its size, as in `65536 x 48 x 192`.
  public let size: String
  /// Seconds of one call.
  public let timing: Timing
  /// Floating-point operations; nil if memory is what counts.
  public let operations: Double?
  /// Bytes that must be moved; nil if arithmetic is what counts.
  public let bytes: Double?
  /// GFLOP/s of the median; nil without operations.
  public let gflops: Double?
  /// GB/s of the median; nil without bytes.
  public let gigabytesPerSecond: Double?
  /// The part of the peak that bounds it, multiply-adds or the triad.
  public let share: Double
  /// The same work by another library, timed by turns; nil if there is none.
  public let opponent: Opponent?

  /// Another library's time for the same work.
  public struct Opponent: Sendable, Encodable {
    /// As in `oneDNN 2.6.3`.
    public let name: String
    /// Seconds of one call.
    public let timing: Timing
    /// Its median over ours: above 1 if ours is faster.
    public let ratio: Double
  }

  /// What a call must do at least.
  enum Work {
    /// Floating-point operations.
    case operations(Double)
    /// Bytes moved.
    case bytes(Double)
  }

  init(
    _ name: String, _ size: String, _ work: Work, _ timing: Timing, peak: MachinePeak,
    opponent: (name: String, timing: Timing)? = nil
  ) {
    self.name = name
    self.size = size
    self.timing = timing
    switch work {
    case .operations(let count):
      operations = count
      bytes = nil
      gflops = 1e-9 * count / timing.median
      gigabytesPerSecond = nil
      share = 1e-9 * count / timing.median / peak.multiplyAdd
    case .bytes(let count):
      operations = nil
      bytes = count
      gflops = nil
      gigabytesPerSecond = 1e-9 * count / timing.median
      share = 1e-9 * count / timing.median / peak.triad
    }
    self.opponent = opponent.map {
      Opponent(name: $0.name, timing: $0.timing, ratio: $0.timing.median / timing.median)
    }
  }
}
