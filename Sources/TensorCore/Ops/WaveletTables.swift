/// Which sample stands at each extended position of one transform: the boundary mode as tables.
///
/// Coefficient i reads the positions `2i … 2i + taps − 1`, tap t at `2i + t`.
struct WaveletTables: Hashable, Sendable {
  /// Samples of the signal.
  let signal: Int
  /// Coefficients of each band.
  let band: Int
  /// The sample at each position, −1 for none.
  let map: [Int32]
  /// Where each sample's positions begin in ``positions``, one entry more than there are samples.
  let first: [Int32]
  /// The positions of the samples, in order.
  let positions: [Int32]

  /// The tables of an analysis of `signal` samples.
  init(analysisOf signal: Int, taps: Int, _ boundary: WaveletBoundary) {
    let isShort = boundary == .periodization
    let band = isShort ? (signal + 1) / 2 : (signal + taps - 1) / 2
    self.init(signal: signal, band: band, taps: taps) { position in
      switch boundary {
      case .zero:
        let sample = position - (taps - 2)
        return (0..<signal).contains(sample) ? sample : nil
      case .symmetric:
        let sample = Self.modulo(position - (taps - 2), 2 * signal)
        return sample < signal ? sample : 2 * signal - 1 - sample
      case .periodic: return Self.modulo(position - (taps - 2), signal)
      case .periodization:
        return min(Self.modulo(position - (taps / 2 - 1), 2 * band), signal - 1)
      }
    }
  }

  /// The tables of a synthesis from bands of `band` coefficients; the signal has the size at which
  /// every sample is determined.
  init(synthesisFrom band: Int, taps: Int, _ boundary: WaveletBoundary) {
    guard boundary != .periodization else {
      self.init(signal: 2 * band, band: band, taps: taps) { position in
        Self.modulo(position - (taps / 2 - 1), 2 * band)
      }
      return
    }
    let signal = max(0, 2 * band - taps + 2)
    self.init(signal: signal, band: band, taps: taps) { position in
      let sample = position - (taps - 2)
      return (0..<signal).contains(sample) ? sample : nil
    }
  }

  private init(signal: Int, band: Int, taps: Int, sample: (Int) -> Int?) {
    self.signal = signal
    self.band = band
    map = (0..<max(0, 2 * (band - 1) + taps)).map { sample($0).map(Int32.init) ?? -1 }
    var counts = [Int32](repeating: 0, count: signal + 1)
    for entry in map where entry >= 0 { counts[Int(entry) + 1] += 1 }
    for index in 0..<signal { counts[index + 1] += counts[index] }
    first = counts
    var next = counts
    var positions = [Int32](repeating: 0, count: Int(counts[signal]))
    for (position, entry) in map.enumerated() where entry >= 0 {
      positions[Int(next[Int(entry)])] = Int32(position)
      next[Int(entry)] += 1
    }
    self.positions = positions
  }

  private static func modulo(_ a: Int, _ n: Int) -> Int { ((a % n) + n) % n }
}
