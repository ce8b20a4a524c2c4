import Foundation

/// The bidirectional WKV by its definition: every token sums over all others, in double precision.
///
/// O(T²), without recurrence, chunks or shared maxima, so it shares no step with the kernels that it
/// checks. Tensors are `[batch, tokens, channels]` in the order of the sequence.
public struct ReferenceWKV {
  /// Sequences.
  public var batch: Int
  /// Tokens of a sequence.
  public var tokens: Int
  /// Channels of a token.
  public var channels: Int
  /// Decay per channel, divided by the number of tokens: `[channels]`.
  public var w: [Double]
  /// Bonus of a token for itself, divided likewise: `[channels]`.
  public var u: [Double]
  /// Keys `[batch, tokens, channels]`.
  public var k: [Double]
  /// Values `[batch, tokens, channels]`.
  public var v: [Double]

  /// The output, the gradients of `Σ output · upstream`, and how large the terms are that they sum up.
  public struct Gradients {
    /// The output itself: ``ReferenceWKV/output()``.
    public var output: [Double]
    /// Gradient in the decay.
    public var w: [Double]
    /// Gradient in the bonus.
    public var u: [Double]
    /// Gradient in the keys.
    public var k: [Double]
    /// Gradient in the values.
    public var v: [Double]
    /// Largest sum of magnitudes behind an element of ``w``.
    ///
    /// Keys, decay and bonus act through differences of values. Where one token outweighs all others
    /// these cancel, and single precision can only be judged against what was there before.
    public var wScale = 0.0
    /// Likewise for ``u``.
    public var uScale = 0.0
    /// Likewise for ``k``.
    public var kScale = 0.0
  }

  /// A problem with all tensors given.
  public init(
    batch: Int, tokens: Int, channels: Int, w: [Double], u: [Double], k: [Double], v: [Double]
  ) {
    self.batch = batch
    self.tokens = tokens
    self.channels = channels
    self.w = w
    self.u = u
    self.k = k
    self.v = v
  }

  /// The output `[batch, tokens, channels]`.
  public func output() -> [Double] {
    var y = [Double](repeating: 0, count: k.count)
    forEachToken { index, shares, channel in
      for (other, share) in shares.enumerated() {
        y[index.base + index.token * channels + channel] +=
          share * v[index.base + other * channels + channel]
      }
    }
    return y
  }

  /// The analytic gradients of `Σ output · upstream`.
  public func gradients(upstream: [Double]) -> Gradients {
    let y = output()
    let zeros = [Double](repeating: 0, count: k.count)
    let none = [Double](repeating: 0, count: channels)
    var gradients = Gradients(output: y, w: none, u: none, k: zeros, v: zeros)
    var (wSize, uSize, kSize) = (none, none, zeros)
    forEachToken { index, shares, channel in
      let here = index.base + index.token * channels + channel
      for (other, share) in shares.enumerated() {
        let there = index.base + other * channels + channel
        let toValue = upstream[here] * share
        let toKey = toValue * (v[there] - y[here])
        let size = abs(toValue) * (abs(v[there]) + abs(y[here]))
        gradients.v[there] += toValue
        gradients.k[there] += toKey
        kSize[there] += size
        if other == index.token {
          gradients.u[channel] += toKey
          uSize[channel] += size
        } else {
          let distance = Double(abs(other - index.token) - 1)
          gradients.w[channel] -= distance * toKey
          wSize[channel] += distance * size
        }
      }
    }
    gradients.wScale = wSize.max() ?? 0
    gradients.uScale = uSize.max() ?? 0
    gradients.kScale = kSize.max() ?? 0
    return gradients
  }

  /// Calls `body` with the share that each token of a sequence has in one token's output.
  private func forEachToken(
    _ body: (_ index: (base: Int, token: Int), _ shares: [Double], _ channel: Int) -> Void
  ) {
    var shares = [Double](repeating: 0, count: tokens)
    for item in 0..<batch {
      let base = item * tokens * channels
      for channel in 0..<channels {
        for token in 0..<tokens {
          for other in 0..<tokens {
            let key = k[base + other * channels + channel]
            let distance = Double(abs(other - token) - 1)
            shares[other] = other == token ? u[channel] + key : key - w[channel] * distance
          }
          let largest = shares.max() ?? 0
          var total = 0.0
          for other in 0..<tokens {
            shares[other] = exp(shares[other] - largest)
            total += shares[other]
          }
          for other in 0..<tokens { shares[other] /= total }
          body((base, token), shares, channel)
        }
      }
    }
  }
}
