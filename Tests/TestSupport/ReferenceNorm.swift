import Foundation

extension Reference {
  /// Layer norm over the last axis: the output, and each row's mean and inverse deviation.
  public static func layerNorm(
    _ x: [Float], weight: [Float]?, bias: [Float]?, eps: Double, rows: Int, c: Int
  ) -> (y: [Double], mean: [Double], rstd: [Double]) {
    var y: [Double] = []
    var means: [Double] = []
    var inverses: [Double] = []
    for row in 0..<rows {
      let values = x[row * c..<(row + 1) * c].map(Double.init)
      let mean = values.reduce(0, +) / Double(c)
      let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(c)
      let inverse = 1 / (variance + eps).squareRoot()
      for (channel, value) in values.enumerated() {
        y.append(
          (value - mean) * inverse * Double(weight?[channel] ?? 1) + Double(bias?[channel] ?? 0))
      }
      means.append(mean)
      inverses.append(inverse)
    }
    return (y, means, inverses)
  }

  /// The gradients of ``layerNorm(_:weight:bias:eps:rows:c:)``, written with the Jacobian
  /// `∂h_j/∂x_i = rstd · (δ_ij − 1/c − h_i·h_j/c)` of the normalised values h.
  public static func layerNormGradients(
    _ dy: [Float], _ x: [Float], weight: [Float]?, eps: Double, rows: Int, c: Int
  ) -> (dx: [Double], dweight: [Double], dbias: [Double]) {
    let (h, _, rstd) = layerNorm(x, weight: nil, bias: nil, eps: eps, rows: rows, c: c)
    var dx = [Double](repeating: 0, count: rows * c)
    var dweight = [Double](repeating: 0, count: c)
    var dbias = dweight
    for row in 0..<rows {
      for j in 0..<c {
        let g = Double(dy[row * c + j])
        dweight[j] += g * h[row * c + j]
        dbias[j] += g
        for i in 0..<c {
          let jacobian =
            (i == j ? 1 : 0) - 1 / Double(c) - h[row * c + i] * h[row * c + j] / Double(c)
          dx[row * c + i] += g * Double(weight?[j] ?? 1) * rstd[row] * jacobian
        }
      }
    }
    return (dx, dweight, dbias)
  }

  /// Softmax over the last axis, or its logarithm.
  public static func softmax(_ x: [Float], logarithm: Bool, rows: Int, c: Int) -> [Double] {
    (0..<rows).flatMap { row -> [Double] in
      let values = x[row * c..<(row + 1) * c].map(Double.init)
      let most = values.contains(where: \.isNaN) ? .nan : values.max() ?? 0
      let total = values.reduce(0) { $0 + exp($1 - most) }
      return values.map { logarithm ? $0 - most - log(total) : exp($0 - most) / total }
    }
  }

  /// The gradient of ``softmax(_:logarithm:rows:c:)``, by its Jacobian.
  public static func softmaxGradient(
    _ dy: [Float], _ x: [Float], logarithm: Bool, rows: Int, c: Int
  ) -> [Double] {
    let p = softmax(x, logarithm: false, rows: rows, c: c)
    var dx = [Double](repeating: 0, count: rows * c)
    for row in 0..<rows {
      for j in row * c..<(row + 1) * c {
        for i in row * c..<(row + 1) * c {
          let jacobian = (i == j ? 1 : 0) - p[i]
          dx[i] += Double(dy[j]) * (logarithm ? jacobian : p[j] * jacobian)
        }
      }
    }
    return dx
  }
}
