import Foundation
import Kernels
import TestSupport
import Testing

@Suite("Matrix products")
struct GEMMTests {
  /// Sizes around every tile: rows of 8, 6, 4, 2 and 1, panels of 16, pairs and triples of panels.
  static let shapes: [(rows: Int, k: Int, n: Int)] = [
    (1, 1, 1), (1, 48, 48), (2, 3, 5), (3, 12, 12), (5, 12, 48), (6, 17, 16), (7, 48, 12),
    (8, 24, 24), (9, 36, 36), (13, 5, 64), (31, 20, 80), (100, 33, 96), (33, 70, 113),
    (200, 2, 7), (17, 1100, 20),
  ]

  private func pack(_ b: [Float], k: Int, n: Int, strideK: Int, strideN: Int) -> [Float] {
    written(k_gemm_packed_count(k, n)) { k_gemm_pack($0, b, k, n, strideK, strideN) }
  }

  @Test("A packed product equals the naive one", arguments: Level.all, shapes)
  func plainProduct(level: Level, shape: (rows: Int, k: Int, n: Int)) {
    let (rows, k, n) = shape
    let x = normals(rows * k, seed: 1)
    let b = normals(k * n, seed: 2)
    let expected = Reference.product(x, b, rows: rows, k: k, n: n)
    let packed = pack(b, k: k, n: n, strideK: n, strideN: 1)
    let y = level.run {
      written(rows * n) { k_gemm($0, n, x, k, packed, nil, rows, n, k) }
    }
    #expect(disagreement(y, expected, tolerance: 1e-5 * Double(k).squareRoot()) == nil)
  }

  @Test("Packing a transposed matrix with swapped strides gives the same panels")
  func packingStrides() {
    let (k, n) = (19, 35)
    let b = normals(k * n, seed: 3)
    let transposed = Reference.transpose(b, rows: k, columns: n)
    #expect(
      pack(b, k: k, n: n, strideK: n, strideN: 1)
        == pack(transposed, k: k, n: n, strideK: 1, strideN: k))
  }

  @Test("Columns beyond the matrix are packed as zeros")
  func packingPadding() {
    let packed = pack([1, 2, 3], k: 1, n: 3, strideK: 3, strideN: 1)
    #expect(packed == [1, 2, 3] + [Float](repeating: 0, count: 13))
  }

  @Test("Strides leave the elements between rows alone", arguments: Level.all)
  func strides(level: Level) {
    let (rows, k, n, xStride, yStride) = (11, 9, 21, 13, 30)
    let x = normals(rows * xStride, seed: 4)
    let b = normals(k * n, seed: 5)
    let old = normals(rows * yStride, seed: 6)
    let dense = (0..<rows).flatMap { x[$0 * xStride..<$0 * xStride + k] }
    var expected = old.map(Double.init)
    for (index, value) in Reference.product(dense, b, rows: rows, k: k, n: n).enumerated() {
      expected[index / n * yStride + index % n] = value
    }
    let packed = pack(b, k: k, n: n, strideK: n, strideN: 1)
    let y = level.run {
      written(over: old) { k_gemm($0, yStride, x, xStride, packed, nil, rows, n, k) }
    }
    #expect(disagreement(y, expected) == nil)
  }

  /// The activations of the epilogue and what they compute.
  static let activations: [(code: k_activation, value: @Sendable (Double) -> Double)] = [
    (K_ACT_NONE, { $0 }),
    (K_ACT_RELU, { $0 < 0 ? 0 : $0 }),
    (K_ACT_RELU_SQUARED, { $0 < 0 ? 0 : $0 * $0 }),
    (K_ACT_SIGMOID, { 1 / (1 + exp(-$0)) }),
  ]

  @Test(
    "Every combination of epilogue parts is applied in the documented order", arguments: Level.all)
  func epilogue(level: Level) {
    let (rows, k, n) = (19, 12, 52)
    let x = normals(rows * k, seed: 7)
    let b = normals(k * n, seed: 8)
    let (bias, scale) = (normals(n, seed: 9), normals(n, seed: 10))
    let (multiply, residual) = (normals(rows * n, seed: 11), normals(rows * n, seed: 12))
    let old = normals(rows * n, seed: 13)
    let product = Reference.product(x, b, rows: rows, k: k, n: n)
    let packed = pack(b, k: k, n: n, strideK: n, strideN: 1)
    for (code, activation) in Self.activations {
      for parts in 0..<64 {
        let has = (0..<6).map { parts >> $0 & 1 == 1 }
        let expected = product.enumerated().map { index, value in
          let column = index % n
          var v = activation(value + (has[0] ? Double(bias[column]) : 0))
          if has[1] { v *= Double(multiply[index]) }
          if has[2] { v *= Double(scale[column]) }
          // The residual is another array, or y itself.
          if has[3] { v += Double(has[4] ? old[index] : residual[index]) }
          if has[5] { v += Double(old[index]) }
          return v
        }
        let y = level.run {
          written(over: old) { y in
            bias.withUnsafeBufferPointer { bias in
              scale.withUnsafeBufferPointer { scale in
                multiply.withUnsafeBufferPointer { multiply in
                  residual.withUnsafeBufferPointer { residual in
                    var epilogue = k_epilogue()
                    epilogue.activation = code
                    if has[0] { epilogue.bias = bias.baseAddress }
                    if has[1] { epilogue.multiply = multiply.baseAddress }
                    epilogue.multiply_stride = n
                    if has[2] { epilogue.scale = scale.baseAddress }
                    if has[3] {
                      epilogue.residual = has[4] ? UnsafePointer(y) : residual.baseAddress
                    }
                    epilogue.residual_stride = n
                    epilogue.accumulate = has[5]
                    k_gemm(y, n, x, k, packed, &epilogue, rows, n, k)
                  }
                }
              }
            }
          }
        }
        #expect(disagreement(y, expected) == nil, "activation \(code.rawValue), parts \(has)")
      }
    }
  }

  @Test("A row's result does not depend on the rows around it", arguments: Level.all)
  func rowIndependence(level: Level) {
    let (rows, k, n) = (101, 48, 60)
    let x = normals(rows * k, seed: 14)
    let packed = pack(normals(k * n, seed: 15), k: k, n: n, strideK: n, strideN: 1)
    let (whole, parts) = level.run {
      (
        written(rows * n) { k_gemm($0, n, x, k, packed, nil, rows, n, k) },
        written(rows * n) { y in
          x.withUnsafeBufferPointer { x in
            guard let x = x.baseAddress else { return }
            for (begin, end) in [(0, 1), (1, 14), (14, 101)] {
              k_gemm(y + begin * n, n, x + begin * k, k, packed, nil, end - begin, n, k)
            }
          }
        }
      )
    }
    #expect(whole == parts)
  }

  @Test("The weight gradient equals the naive sum over rows", arguments: Level.all, shapes)
  func transposedProduct(level: Level, shape: (rows: Int, k: Int, n: Int)) {
    let (rows, k, n) = shape
    let a = normals(rows * n, seed: 16)
    let b = normals(rows * k, seed: 17)
    let old = normals(n * k, seed: 18)
    let sums = Reference.transposedProduct(a, b, rows: rows, n: n, k: k)
    for accumulate in [false, true] {
      let expected = accumulate ? adding(old, to: sums) : sums
      let c = level.run {
        written(over: old) { k_gemm_tn($0, a, n, b, k, accumulate, rows, n, k) }
      }
      #expect(disagreement(c, expected, tolerance: 1e-5 * Double(rows).squareRoot()) == nil)
    }
  }

  @Test("The weight gradient of strided rows, longer than a block", arguments: Level.all)
  func transposedProductOfStridedRows(level: Level) {
    let (rows, k, n, aStride, bStride) = (1_300, 14, 27, 31, 14)
    let a = normals(rows * aStride, seed: 19)
    let b = normals(rows * bStride, seed: 20)
    let dense = (0..<rows).flatMap { a[$0 * aStride..<$0 * aStride + n] }
    let expected = Reference.transposedProduct(dense, b, rows: rows, n: n, k: k)
    let c = level.run {
      written(n * k) { k_gemm_tn($0, a, aStride, b, bStride, false, rows, n, k) }
    }
    #expect(disagreement(c, expected, tolerance: 1e-4) == nil)
  }

  @Test("Without rows the weight gradient is zero, or stays", arguments: Level.all)
  func transposedProductOfNothing(level: Level) {
    let old = normals(12, seed: 21)
    level.run {
      #expect(
        written(over: old) { k_gemm_tn($0, old, 3, old, 4, false, 0, 3, 4) }
          == [Float](repeating: 0, count: 12))
      #expect(written(over: old) { k_gemm_tn($0, old, 3, old, 4, true, 0, 3, 4) } == old)
    }
  }

  @Test("NaN reaches exactly the results that read it", arguments: Level.all)
  func notANumber(level: Level) {
    let (rows, k, n) = (9, 10, 20)
    var x = normals(rows * k, seed: 22)
    x[3 * k + 4] = .nan
    var b = normals(k * n, seed: 23)
    b[6 * n + 17] = .nan
    let packed = pack(b, k: k, n: n, strideK: n, strideN: 1)
    var epilogue = k_epilogue()
    epilogue.activation = K_ACT_RELU_SQUARED
    let (y, c) = level.run {
      (
        written(rows * n) { k_gemm($0, n, x, k, packed, &epilogue, rows, n, k) },
        written(k * n) { k_gemm_tn($0, x, k, normals(rows * n, seed: 24), n, false, rows, k, n) }
      )
    }
    for index in y.indices {
      #expect(y[index].isNaN == (index / n == 3 || index % n == 17))
    }
    for index in c.indices { #expect(c[index].isNaN == (index / n == 4)) }
  }

  @Test(
    "The fused feed-forward equals the formula", arguments: Level.all,
    [(1, 12, 48), (97, 24, 96), (200, 20, 50)])
  func feedForward(level: Level, shape: (rows: Int, c: Int, hidden: Int)) {
    let (rows, c, hidden) = shape
    let x = normals(rows * c, seed: 25)
    let key = normals(c * hidden, seed: 26, scale: 0.3)
    let receptance = normals(c * c, seed: 27, scale: 0.3)
    let value = normals(hidden * c, seed: 28, scale: 0.3)
    let (scale, residual) = (normals(c, seed: 29), normals(rows * c, seed: 30))
    let expected = Reference.feedForward(
      x, key: key, receptance: receptance, value: value, scale: scale, residual: residual,
      rows: rows, c: c, hidden: hidden)
    let packedKey = pack(key, k: c, n: hidden, strideK: hidden, strideN: 1)
    let packedReceptance = pack(receptance, k: c, n: c, strideK: c, strideN: 1)
    let packedValue = pack(value, k: hidden, n: c, strideK: c, strideN: 1)
    let (apart, inPlace) = level.run {
      var scratch = [Float](repeating: 0, count: k_feed_forward_scratch_count(c, hidden))
      return (
        written(rows * c) {
          k_feed_forward(
            $0, c, x, x, residual, scale, packedKey, packedReceptance, packedValue, &scratch, rows,
            c, hidden)
        },
        written(over: residual) {
          k_feed_forward(
            $0, c, x, x, $0, scale, packedKey, packedReceptance, packedValue, &scratch, rows, c,
            hidden)
        }
      )
    }
    #expect(disagreement(apart, expected, tolerance: 2e-5) == nil)
    #expect(inPlace == apart)
    let spaced = level.run {
      var scratch = [Float](repeating: 0, count: k_feed_forward_scratch_count(c, hidden))
      var wide = [Float](repeating: -7, count: rows * (c + 3))
      k_feed_forward(
        &wide, c + 3, x, x, residual, scale, packedKey, packedReceptance, packedValue, &scratch,
        rows, c, hidden)
      return wide
    }
    let between = [Float](repeating: -7, count: 3)
    let expectedSpaced = (0..<rows).flatMap { Array(apart[$0 * c..<($0 + 1) * c]) + between }
    #expect(spaced == expectedSpaced)

    var (gate, product): ([Float], [Float]) = ([], [])
    let keeping = level.run {
      var scratch = [Float](repeating: 0, count: k_feed_forward_scratch_count(c, hidden))
      return written(rows * c) { y in
        gate = written(rows * c) { gate in
          product = written(rows * c) {
            k_feed_forward_keeping(
              y, gate, $0, x, x, residual, scale, packedKey, packedReceptance, packedValue,
              &scratch, rows, c, hidden)
          }
        }
      }
    }
    #expect(keeping == apart)
    let composed = (0..<rows * c).map {
      Double(residual[$0]) + Double(scale[$0 % c]) * Double(gate[$0]) * Double(product[$0])
    }
    #expect(disagreement(composed.map(Float.init), expected, tolerance: 2e-5) == nil)
  }
}
