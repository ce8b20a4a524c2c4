import Kernels
import TestSupport
import Testing

@Suite("Normalisation kernels")
struct NormTests {
  static let shapes: [(rows: Int, c: Int)] = [
    (1, 1), (3, 7), (5, 12), (2, 16), (7, 24), (4, 36), (9, 48), (3, 96), (2, 200), (6, 384),
  ]

  @Test("Layer norm follows its formula", arguments: Level.all, shapes)
  func layerNorm(level: Level, shape: (rows: Int, c: Int)) {
    let (rows, c) = shape
    // Far from zero, so that a one-pass variance would lose its digits.
    var x = normals(rows * c, seed: 1).map { $0 + 30 }
    if rows > 2 { x[2 * c] = .nan }
    let (weight, bias) = (normals(c, seed: 2), normals(c, seed: 3))
    for hasAffine in [true, false] {
      let (w, b) = (hasAffine ? weight : nil, hasAffine ? bias : nil)
      let expected = Reference.layerNorm(x, weight: w, bias: b, eps: 1e-5, rows: rows, c: c)
      var (mean, rstd): ([Float], [Float]) = ([], [])
      level.run {
        let y = written(rows * c) { y in
          mean = written(rows) { mean in
            rstd = written(rows) { k_layer_norm_forward(y, mean, $0, x, w, b, 1e-5, rows, c) }
          }
        }
        // With one channel the output is 0 · rstd, where rounding of the mean shows most.
        #expect(disagreement(y, expected.y, tolerance: 3e-5) == nil)
        #expect(disagreement(mean, expected.mean) == nil)
        #expect(disagreement(rstd, expected.rstd) == nil)
        let inPlace = written(over: x) {
          k_layer_norm_forward($0, nil, nil, $0, w, b, 1e-5, rows, c)
        }
        #expect(inPlace.map(\.bitPattern) == y.map(\.bitPattern))
      }
    }
  }

  @Test("Layer norm gradients equal the Jacobian's", arguments: Level.all, shapes)
  func layerNormGradients(level: Level, shape: (rows: Int, c: Int)) {
    let (rows, c) = shape
    let (x, dy) = (normals(rows * c, seed: 4), normals(rows * c, seed: 5))
    let (weight, old) = (normals(c, seed: 6), normals(c, seed: 7))
    let oldX = normals(rows * c, seed: 8)
    for hasWeight in [true, false] {
      let w = hasWeight ? weight : nil
      let forward = Reference.layerNorm(x, weight: nil, bias: nil, eps: 1e-5, rows: rows, c: c)
      let (mean, rstd) = (forward.mean.map(Float.init), forward.rstd.map(Float.init))
      let expected = Reference.layerNormGradients(dy, x, weight: w, eps: 1e-5, rows: rows, c: c)
      level.run {
        var (dweight, dbias): ([Float], [Float]) = ([], [])
        let dx = written(rows * c) { dx in
          dweight = written(over: old) { dweight in
            dbias = written(over: old) {
              k_layer_norm_backward(dx, dweight, $0, dy, x, mean, rstd, w, false, rows, c)
            }
          }
        }
        // One channel: rstd is 1 / √eps, and what should cancel is multiplied by it.
        let tolerance = c == 1 ? 1e-3 : 2e-5
        #expect(disagreement(dx, expected.dx, tolerance: tolerance) == nil)
        #expect(
          disagreement(dweight, adding(old, to: expected.dweight), tolerance: 2e-5)
            == nil)
        #expect(disagreement(dbias, adding(old, to: expected.dbias)) == nil)
        let added = written(over: oldX) {
          k_layer_norm_backward($0, nil, nil, dy, x, mean, rstd, w, true, rows, c)
        }
        #expect(
          disagreement(added, zip(dx, oldX).map { Double($0) + Double($1) }) == nil)
      }
    }
  }

  @Test("Softmax and its logarithm, also far from zero", arguments: Level.all, shapes)
  func softmax(level: Level, shape: (rows: Int, c: Int)) {
    let (rows, c) = shape
    for offset in [Float(0), 1000, -1000] {
      var x = normals(rows * c, seed: 9, scale: 3).map { $0 + offset }
      if rows > 2 { x[3 * c - 1] = .nan }
      let expected = Reference.softmax(x, logarithm: false, rows: rows, c: c)
      let logarithm = Reference.softmax(x, logarithm: true, rows: rows, c: c)
      level.run {
        let y = written(rows * c) { k_softmax_forward($0, x, rows, c) }
        #expect(disagreement(y, expected, tolerance: 1e-6) == nil)
        #expect(
          disagreement(written(over: x) { k_softmax_forward($0, $0, rows, c) }, expected) == nil)
        let l = written(rows * c) { k_log_softmax_forward($0, x, rows, c) }
        #expect(disagreement(l, logarithm, tolerance: 2e-6) == nil)
      }
    }
  }

  @Test("Softmax gradients equal the Jacobian's", arguments: Level.all, shapes)
  func softmaxGradients(level: Level, shape: (rows: Int, c: Int)) {
    let (rows, c) = shape
    let (x, dy) = (normals(rows * c, seed: 10), normals(rows * c, seed: 11))
    let old = normals(rows * c, seed: 12)
    for logarithm in [false, true] {
      let y = Reference.softmax(x, logarithm: logarithm, rows: rows, c: c).map(Float.init)
      let gradient = Reference.softmaxGradient(dy, x, logarithm: logarithm, rows: rows, c: c)
      let kernel = logarithm ? k_log_softmax_backward : k_softmax_backward
      level.run {
        #expect(
          disagreement(written(rows * c) { kernel($0, dy, y, false, rows, c) }, gradient) == nil)
        #expect(
          disagreement(
            written(over: old) { kernel($0, dy, y, true, rows, c) },
            adding(old, to: gradient)) == nil)
      }
    }
  }

  @Test(
    "Channel-wise normalisation and the application of its gradient", arguments: Level.all, shapes)
  func channels(level: Level, shape: (rows: Int, c: Int)) {
    let (rows, c) = shape
    let n = rows * c
    var x = normals(n, seed: 13)
    x[n / 2] = .nan
    let (dy, old) = (normals(n, seed: 14), normals(n, seed: 15))
    let (mean, p, q, r) = (
      normals(c, seed: 16), normals(c, seed: 17), normals(c, seed: 18), normals(c, seed: 19)
    )
    let d = (0..<n).map { Double(x[$0]) - Double(mean[$0 % c]) }
    let gradient = (0..<n).map {
      Double(p[$0 % c]) * Double(dy[$0]) + Double(q[$0 % c]) * d[$0] + Double(r[$0 % c])
    }
    level.run {
      #expect(
        disagreement(
          written(n) { k_channel_normalise($0, x, mean, p, q, rows, c) },
          (0..<n).map { d[$0] * Double(p[$0 % c]) + Double(q[$0 % c]) }) == nil)
      #expect(
        disagreement(
          written(n) { k_channel_normalise_backward($0, dy, x, mean, p, q, r, false, rows, c) },
          gradient) == nil)
      #expect(
        disagreement(
          written(over: old) {
            k_channel_normalise_backward($0, dy, x, mean, p, q, r, true, rows, c)
          },
          adding(old, to: gradient)) == nil)
    }
  }
}
