/// Where a computation's time went: calls and seconds for each kind of operation and phase.
public struct OperationProfile: Sendable {
  /// What an operation was doing.
  public enum Phase: String, Hashable, Sendable, CaseIterable {
    /// Computing its output.
    case forward
    /// Computing the gradients of its inputs.
    case backward
    /// Re-laying out weights before either (packed panels, blocked weights).
    case preparing
  }

  /// One line: all calls of a kind, in one phase, on tensors of one number of channels.
  public struct Entry: Sendable {
    /// The kind of operation.
    public let kind: OperationKind
    /// What it was doing.
    public let phase: Phase
    /// Channels of the operation's first input.
    public let channels: Int
    /// How often.
    public internal(set) var calls: Int
    /// Seconds in all.
    public internal(set) var seconds: Double
  }

  private struct Key: Hashable {
    let kind: OperationKind
    let phase: Phase
    let channels: Int
  }

  private var lines: [Key: Entry] = [:]

  /// Without any time yet.
  public init() {}

  /// All lines, the longest time first.
  public var entries: [Entry] { lines.values.sorted { $0.seconds > $1.seconds } }

  /// Seconds of all operations together.
  public var seconds: Double { lines.values.reduce(0) { $0 + $1.seconds } }

  mutating func add(_ kind: OperationKind, _ phase: Phase, channels: Int, _ seconds: Double) {
    let key = Key(kind: kind, phase: phase, channels: channels)
    var entry =
      lines[key] ?? Entry(kind: kind, phase: phase, channels: channels, calls: 0, seconds: 0)
    entry.calls += 1
    entry.seconds += seconds
    lines[key] = entry
  }
}

extension Engine {
  /// Runs `body` and also says how long each kind of operation took in it.
  ///
  /// What is left to the whole time went into memory, bookkeeping and the sums of gradients.
  public func profiling<Result, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> (result: Result, profile: OperationProfile) {
    try perform { () throws(Failure) in
      let outer = profile
      profile = OperationProfile()
      defer { profile = outer }
      let result = try body()
      return (result, profile ?? OperationProfile())
    }
  }

  /// To be called on the engine thread around the work of one operation.
  func timed(
    _ kind: OperationKind, _ phase: OperationProfile.Phase, _ inputs: @autoclosure () -> [Shape],
    _ body: () -> Void
  ) {
    guard profile != nil else { return body() }
    let start = ContinuousClock.now
    body()
    let time = start.duration(to: .now).components
    profile?.add(
      kind, phase, channels: inputs().first?.channels ?? 0,
      Double(time.seconds) + Double(time.attoseconds) * 1e-18)
  }
}
