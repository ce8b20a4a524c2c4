import Foundation

extension Reference {
  /// `x · B` with `x: [rows, k]` and `b: [k, n]`, both row-major and dense.
  public static func product(
    _ x: [Float], _ b: [Float], rows: Int, k: Int, n: Int
  ) -> [Double] {
    var y = [Double](repeating: 0, count: rows * n)
    for row in 0..<rows {
      for column in 0..<n {
        for i in 0..<k {
          y[row * n + column] += Double(x[row * k + i]) * Double(b[i * n + column])
        }
      }
    }
    return y
  }

  /// `aᵀ · b` with `a: [rows, n]` and `b: [rows, k]`: the sum over rows, shape `[n, k]`.
  public static func transposedProduct(
    _ a: [Float], _ b: [Float], rows: Int, n: Int, k: Int
  ) -> [Double] {
    var c = [Double](repeating: 0, count: n * k)
    for row in 0..<rows {
      for i in 0..<n {
        for j in 0..<k { c[i * k + j] += Double(a[row * n + i]) * Double(b[row * k + j]) }
      }
    }
    return c
  }

  /// The transpose of a dense `[rows, columns]` matrix.
  public static func transpose<Element>(
    _ x: [Element], rows: Int, columns: Int
  ) -> [Element] {
    (0..<columns).flatMap { column in (0..<rows).map { row in x[row * columns + column] } }
  }

  /// `residual + scale · σ(x·Wr) · (max(x·Wk, 0)² · Wv)`: the channel mixing of RWKV-like blocks.
  ///
  /// `x, residual: [rows, c]`, `key: [c, hidden]`, `receptance: [c, c]`, `value: [hidden, c]`,
  /// `scale: [c]`.
  public static func feedForward(
    _ x: [Float], key: [Float], receptance: [Float], value: [Float], scale: [Float],
    residual: [Float], rows: Int, c: Int, hidden: Int
  ) -> [Double] {
    let activations = product(x, key, rows: rows, k: c, n: hidden).map { $0 > 0 ? $0 * $0 : 0 }
    let gates = product(x, receptance, rows: rows, k: c, n: c).map { 1 / (1 + exp(-$0)) }
    return (0..<rows * c).map { index in
      let (row, channel) = index.quotientAndRemainder(dividingBy: c)
      var mixed = 0.0
      for i in 0..<hidden {
        mixed += activations[row * hidden + i] * Double(value[i * c + channel])
      }
      return Double(residual[index]) + Double(scale[channel]) * gates[index] * mixed
    }
  }
}
