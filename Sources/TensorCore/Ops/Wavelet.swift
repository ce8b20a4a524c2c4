/// A pair of filter banks for a discrete wavelet transform.
///
/// Names are the usual ones: `haar`, `db1` … `db10` (Daubechies, extremal phase; `db1` is Haar) and
/// `bior1.1` … `bior6.8` (biorthogonal splines, orders of synthesis and analysis).
public struct Wavelet: Hashable, Sendable {
  /// The name, as in `bior4.4`.
  public let name: String
  /// The analysis low-pass filter; its length is even.
  public let analysisLow: [Double]
  /// The analysis high-pass filter.
  public let analysisHigh: [Double]
  /// The synthesis low-pass filter.
  public let synthesisLow: [Double]
  /// The synthesis high-pass filter.
  public let synthesisHigh: [Double]

  /// The Haar wavelet, `s · (1, 1)` and `s · (1, −1)` with `s = 1/√2`.
  public static let haar = Wavelet("haar", analysis: haarFilter, synthesis: haarFilter)

  private static let haarFilter = [Double](repeating: 0.7071067811865476, count: 2)

  /// All names that ``init(named:)`` knows.
  public static var names: [String] {
    ["haar"] + WaveletCoefficients.daubechies.indices.map { "db\($0 + 1)" }
      + WaveletCoefficients.biorthogonal.keys.sorted().map { "bior\($0)" }
  }

  /// The wavelet of that name, nil if there is none.
  public init?(named name: String) {
    if name == "haar" {
      self = .haar
    } else if let pair = WaveletCoefficients.biorthogonal[String(name.dropFirst(4))],
      name.hasPrefix("bior")
    {
      self.init(name, analysis: pair.analysis, synthesis: pair.synthesis)
    } else if name.hasPrefix("db"), let order = Int(name.dropFirst(2)),
      (1...WaveletCoefficients.daubechies.count).contains(order), name == "db\(order)"
    {
      let scaling = WaveletCoefficients.daubechies[order - 1]
      self.init(name, analysis: scaling.reversed(), synthesis: scaling)
    } else {
      return nil
    }
  }

  /// The high-pass filters follow from the low-pass filters of the other side, with alternating signs.
  private init(_ name: String, analysis: [Double], synthesis: [Double]) {
    self.name = name
    analysisLow = analysis
    synthesisLow = synthesis
    analysisHigh = synthesis.enumerated().map { $0.isMultiple(of: 2) ? -$1 : $1 }
    synthesisHigh = analysis.enumerated().map { $0.isMultiple(of: 2) ? $1 : -$1 }
  }

  /// The length of the filters, even.
  public var taps: Int { analysisLow.count }
}

/// How a wavelet transform continues a signal beyond its ends.
///
/// But for ``periodization`` a signal of n samples has `⌊(n + taps − 1) / 2⌋` coefficients in each
/// band, enough for perfect reconstruction.
public enum WaveletBoundary: String, Sendable, CaseIterable, Codable {
  /// With zeros.
  case zero
  /// By reflection about the ends; the end samples are repeated: `… b a | a b …`.
  case symmetric
  /// By repetition of the signal.
  case periodic
  /// By repetition of the signal, with only `⌈n / 2⌉` coefficients in each band; an odd signal is made
  /// even with a copy of its last sample.
  case periodization
}
