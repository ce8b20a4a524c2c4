import Foundation
import Kernels
import TestSupport
import Testing

/// A CPU without products of bfloat16 runs the packing tests alone.
@Suite("Products of bfloat16")
struct BFloat16Tests {
  static let isSupported = k_has_bf16()

  static let shapes: [(rows: Int, k: Int, n: Int)] = [
    (1, 1, 1), (2, 3, 5), (3, 12, 12), (7, 48, 12), (8, 24, 24), (9, 36, 36), (13, 5, 64),
    (31, 20, 80), (100, 33, 96), (33, 70, 113), (17, 1100, 20),
  ]

  /// To nearest even, by way of doubles: 8 bits of significand.
  private func rounded(_ x: Float) -> Float {
    if x == 0 || !x.isFinite { return x }
    let ulp = scalbn(1.0, Int(x.exponent) - 7)
    return Float((Double(x) / ulp).rounded(.toNearestOrEven) * ulp)
  }

  private func words(
    _ count: Int, _ body: (UnsafeMutablePointer<UInt32>) -> Void
  ) -> [UInt32] {
    written(count, over: [UInt32](repeating: 7, count: count), margin: 0xdead_beef, body)
  }

  private func pack(_ b: [Float], k: Int, n: Int) -> [UInt32] {
    words(k_gemm_bf16_packed_count(k, n)) { k_gemm_bf16_pack($0, b, k, n, n, 1) }
  }

  @Test("Packing rounds to nearest even, pairs rows and fills with zeros")
  func packing() {
    let (half, up) = (Float(1 + 1.0 / 256), Float(1 + 3.0 / 256))
    let packed = pack([half, up, -2, 1e30, .infinity, .nan], k: 3, n: 2)
    func pair(_ word: UInt32) -> [Float] {
      [Float(bitPattern: word << 16), Float(bitPattern: word & 0xffff_0000)]
    }
    #expect(packed.count == 32)
    #expect(pair(packed[0]) == [1, -2] && pair(packed[1]) == [1 + 4.0 / 256, rounded(1e30)])
    #expect(packed[2..<16].allSatisfy { $0 == 0 } && packed[18...].allSatisfy { $0 == 0 })
    #expect(pair(packed[16]) == [.infinity, 0] && pair(packed[17])[0].isNaN)
  }

  @Test(
    "A product equals the naive one of rounded values", .enabled(if: isSupported), arguments: shapes
  )
  func product(shape: (rows: Int, k: Int, n: Int)) {
    let (rows, k, n) = shape
    let (x, b) = (normals(rows * k, seed: 1), normals(k * n, seed: 2))
    let (bias, residual) = (normals(n, seed: 3), normals(rows * n, seed: 4))
    let packed = pack(b, k: k, n: n)
    let input = words(rows * k_bf16_words(k)) { k_bf16_round($0, x, nil, k, rows, k) }
    let product = Reference.product(
      x.map(rounded), b.map(rounded), rows: rows, k: k, n: n)
    let expected = product.enumerated().map { index, value in
      max(value + Double(bias[index % n]), 0) + Double(residual[index])
    }
    let y = written(rows * n) { y in
      bias.withUnsafeBufferPointer { bias in
        residual.withUnsafeBufferPointer { residual in
          var epilogue = k_epilogue()
          epilogue.bias = bias.baseAddress
          epilogue.activation = K_ACT_RELU
          epilogue.residual = residual.baseAddress
          epilogue.residual_stride = n
          k_gemm_bf16(y, n, input, packed, &epilogue, rows, n, k)
        }
      }
    }
    #expect(disagreement(y, expected, tolerance: 1e-5 * Double(k).squareRoot()) == nil)
  }

  @Test("Rounding multiplies by the gate first", .enabled(if: isSupported))
  func gate() {
    let (rows, k, stride) = (3, 21, 25)
    let (x, g) = (normals(rows * stride, seed: 5), normals(rows * stride, seed: 6))
    let found = words(rows * 11) { k_bf16_round($0, x, g, stride, rows, k) }
    for row in 0..<rows {
      for column in 0..<22 {
        let word = found[row * 11 + column / 2]
        let value = Float(bitPattern: column % 2 == 0 ? word << 16 : word & 0xffff_0000)
        let wanted = column < k ? rounded(x[row * stride + column] * g[row * stride + column]) : 0
        #expect(value == wanted)
      }
    }
  }

  @Test(
    "The feed-forward equals naive products of rounded values", .enabled(if: isSupported),
    arguments: [(1, 2, 3), (5, 12, 48), (130, 24, 97), (129, 48, 192)])
  func feedForward(rows: Int, c: Int, hidden: Int) {
    let (x, other) = (normals(rows * c, seed: 7), normals(rows * c, seed: 13))
    // Hidden values well below 1: one at the middle between two bfloat16 may round either way.
    let key = normals(c * hidden, seed: 8, scale: 0.3 / Float(c).squareRoot())
    let receptance = normals(c * c, seed: 9)
    let (value, scale) = (normals(hidden * c, seed: 10), normals(c, seed: 11))
    let residual = normals(rows * c, seed: 12)
    let square = Reference.product(x.map(rounded), key.map(rounded), rows: rows, k: c, n: hidden)
      .map { rounded(Float(max($0, 0) * max($0, 0))) }
    let mixed = Reference.product(square, value.map(rounded), rows: rows, k: hidden, n: c)
    let (packedKey, packedValue) = (pack(key, k: c, n: hidden), pack(value, k: hidden, n: c))
    let packedReceptance = pack(receptance, k: c, n: c)
    var scratch = [UInt32](repeating: 0, count: k_feed_forward_bf16_scratch_count(c, hidden))
    for isShared in [true, false] {
      let gate = Reference.product(
        (isShared ? x : other).map(rounded), receptance.map(rounded), rows: rows, k: c, n: c)
      let expected = mixed.indices.map { index in
        Double(residual[index]) + Double(scale[index % c]) * mixed[index] / (1 + exp(-gate[index]))
      }
      let y = written(rows * c) { y in
        x.withUnsafeBufferPointer { x in
          other.withUnsafeBufferPointer { other in
            k_feed_forward_bf16(
              y, c, x.baseAddress, isShared ? x.baseAddress : other.baseAddress, residual, scale,
              packedKey, packedReceptance, packedValue, &scratch, rows, c, hidden)
          }
        }
      }
      #expect(disagreement(y, expected, tolerance: 1e-2) == nil)
    }
  }
}
