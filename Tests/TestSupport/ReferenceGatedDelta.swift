/// The gated delta rule of one sequence, token by token in double precision, with its gradients.
public struct ReferenceGatedDelta {
  /// The number of tokens.
  public let tokens: Int
  /// Rows of the state.
  public let key: Int
  /// Columns of the state.
  public let value: Int
  /// Queries, `[T, K]`.
  public var q: [Double]
  /// Keys, `[T, K]`.
  public var k: [Double]
  /// Values, `[T, V]`.
  public var v: [Double]
  /// What is kept at each token, `[T]`.
  public var alpha: [Double]
  /// What is written at each token, `[T]`.
  public var beta: [Double]
  /// The initial state, `[K, V]`.
  public var state: [Double]

  /// One sequence.
  public init(
    tokens: Int, key: Int, value: Int, q: [Float], k: [Float], v: [Float], alpha: [Float],
    beta: [Float], state: [Float]
  ) {
    (self.tokens, self.key, self.value) = (tokens, key, value)
    (self.q, self.k, self.v) = (q.map(Double.init), k.map(Double.init), v.map(Double.init))
    (self.alpha, self.beta) = (alpha.map(Double.init), beta.map(Double.init))
    self.state = state.map(Double.init)
  }

  /// What is read at each token, the final state, and the states before each token.
  public func forward() -> (y: [Double], state: [Double], before: [[Double]]) {
    var (s, y, before) = (state, [Double](repeating: 0, count: tokens * value), [[Double]]())
    for t in 0..<tokens {
      before.append(s)
      for cell in s.indices { s[cell] *= alpha[t] }
      for j in 0..<value {
        let seen = (0..<key).reduce(0) { $0 + s[$1 * value + j] * k[t * key + $1] }
        let u = beta[t] * (v[t * value + j] - seen)
        for i in 0..<key { s[i * value + j] += k[t * key + i] * u }
        y[t * value + j] = (0..<key).reduce(0) { $0 + s[$1 * value + j] * q[t * key + $1] }
      }
    }
    return (y, s, before)
  }

  /// Gradients of q, k, v, α, β and the initial state.
  public struct Gradients {
    /// Of queries.
    public var q: [Double]
    /// Of keys.
    public var k: [Double]
    /// Of values.
    public var v: [Double]
    /// Of α.
    public var alpha: [Double]
    /// Of β.
    public var beta: [Double]
    /// Of the initial state.
    public var state: [Double]
  }

  /// The gradients of `Σ dy·y + Σ dstate·state`, token by token backwards.
  public func gradients(dy: [Float], dstate: [Float]) -> Gradients {
    let before = forward().before
    var g = Gradients(
      q: q.map { _ in 0 }, k: k.map { _ in 0 }, v: v.map { _ in 0 }, alpha: alpha.map { _ in 0 },
      beta: beta.map { _ in 0 }, state: dstate.map(Double.init))
    for t in (0..<tokens).reversed() {
      let faded = before[t].map { $0 * alpha[t] }
      for j in 0..<value {
        let out = Double(dy[t * value + j])
        let seen = (0..<key).reduce(0) { $0 + faded[$1 * value + j] * k[t * key + $1] }
        let u = beta[t] * (v[t * value + j] - seen)
        // The gradient of this column of the state, the readout's part included.
        var column = (0..<key).map { g.state[$0 * value + j] + q[t * key + $0] * out }
        let du = (0..<key).reduce(0) { $0 + column[$1] * k[t * key + $1] }
        for i in 0..<key {
          g.q[t * key + i] += (faded[i * value + j] + k[t * key + i] * u) * out
          g.k[t * key + i] += column[i] * u - faded[i * value + j] * beta[t] * du
        }
        g.beta[t] += du * (v[t * value + j] - seen)
        g.v[t * value + j] += beta[t] * du
        for i in 0..<key {
          column[i] -= k[t * key + i] * beta[t] * du
          g.alpha[t] += column[i] * before[t][i * value + j]
          g.state[i * value + j] = alpha[t] * column[i]
        }
      }
    }
    return g
  }
}
