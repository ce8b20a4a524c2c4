import Foundation
import Kernels
import Testing

@Suite("Window and spectrum kernels")
struct WindowsTests {
  @Test(
    "gathered windows times packed weights are a convolution and its gradient", arguments: Level.all
  )
  func convolution(level: Level) {
    let (height, width, inputs, outputs) = (11, 9, 5, 18)
    let windows = k_windows(
      kernel_height: 3, kernel_width: 2, stride_height: 2, stride_width: 1, padding_height: 1,
      padding_width: 0, dilation_height: 1, dilation_width: 2)
    let (rows, columns, taps) = (6, 7, 6)
    let x = normals(height * width * inputs, seed: 1)
    let w = normals(outputs * inputs * taps, seed: 2)
    let dy = normals(rows * columns * outputs, seed: 3)
    var y = [Double](repeating: 0, count: dy.count)
    var dx = [Double](repeating: 0, count: x.count)
    for p in 0..<rows * columns {
      for t in 0..<taps {
        let (r, s) = (p / columns * 2 + t / 2 - 1, p % columns + t % 2 * 2)
        guard (0..<height).contains(r), (0..<width).contains(s) else { continue }
        for o in 0..<outputs {
          for i in 0..<inputs {
            let weight = Double(w[(o * inputs + i) * taps + t])
            y[p * outputs + o] += weight * Double(x[(r * width + s) * inputs + i])
            dx[(r * width + s) * inputs + i] += weight * Double(dy[p * outputs + o])
          }
        }
      }
    }
    let panels = (outputs + 15) / 16
    let packed = written(k_gemm_packed_count(taps * inputs, outputs)) {
      k_windows_pack($0, w, 0, panels, outputs, inputs, taps, 0, taps)
    }
    let packedBack = written(k_gemm_packed_count(taps * outputs, inputs)) {
      k_windows_pack_transposed($0, w, 0, 1, outputs, inputs, taps)
    }
    level.run {
      withUnsafePointer(to: windows) { windows in
        let gathered = written(rows * columns * taps * inputs) {
          k_windows_gather($0, x, windows, 0, rows * columns, columns, height, width, inputs)
        }
        let product = written(y.count) {
          k_gemm(
            $0, outputs, gathered, taps * inputs, packed, nil, rows * columns, outputs,
            taps * inputs)
        }
        #expect(disagreement(product, y) == nil)
        let back = written(height * width * taps * outputs) {
          k_windows_gather_transposed(
            $0, dy, windows, 0, height * width, width, rows, columns, outputs)
        }
        let gradient = written(dx.count) {
          k_gemm(
            $0, inputs, back, taps * outputs, packedBack, nil, height * width, inputs,
            taps * outputs)
        }
        #expect(disagreement(gradient, dx) == nil)
      }
    }
  }

  @Test("padded rows times the packed taps of a kernel's rows are a convolution")
  func paddedRows() {
    let (height, width, inputs, outputs, stride) = (4, 6, 5, 18, 8)
    let x = normals(height * width * stride, seed: 1)
    let w = normals(outputs * inputs * 6, seed: 2)
    // Kernels of two rows and three columns, one row of zeros above, one pixel at both ends.
    var expected = [Double](repeating: 0, count: height * width * outputs)
    for row in 0..<height {
      for column in 0..<width {
        for t in 0..<6 {
          let (r, s) = (row + t / 3 - 1, column + t % 3 - 1)
          guard (0..<height).contains(r), (0..<width).contains(s) else { continue }
          for o in 0..<outputs {
            for i in 0..<inputs {
              expected[(row * width + column) * outputs + o] +=
                Double(w[(o * inputs + i) * 6 + t]) * Double(x[(r * width + s) * stride + i])
            }
          }
        }
      }
    }
    let padded = written((height + 1) * (width + 2) * inputs) { padded in
      for row in 0...height {
        k_padded_row(
          padded + row * (width + 2) * inputs, x, stride, row - 1, height, width, 1, inputs)
      }
    }
    let sums = written(expected.count) { sums in
      for tapRow in 0..<2 {
        let packed = written(k_gemm_packed_count(3 * inputs, outputs)) {
          k_windows_pack($0, w, 0, 2, outputs, inputs, 6, tapRow * 3, tapRow * 3 + 3)
        }
        var epilogue = k_epilogue()
        epilogue.accumulate = tapRow > 0
        for row in 0..<height {
          k_gemm(
            sums + row * width * outputs, outputs,
            Array(padded[((row + tapRow) * (width + 2) * inputs)...]), inputs, packed, &epilogue,
            width, outputs, 3 * inputs)
        }
      }
    }
    #expect(disagreement(sums, expected) == nil)
    let outside = written(8 * inputs) { k_padded_row($0, x, stride, 4, height, width, 1, inputs) }
    #expect(outside == [Float](repeating: 0, count: 8 * inputs))
  }

  @Test(
    "spectra of pairs of signals are split and joined", arguments: Level.all,
    [1, 2, 3, 6, 7, 16])
  func pairs(level: Level, n: Int) {
    let pairs = 9
    let half = n / 2 + 1
    let signals = normals(n * 2 * pairs, seed: 4)
    // Complex signal p has the parts 2p and 2p + 1.
    func transform(_ value: (Int) -> (Double, Double), _ k: Int) -> (Double, Double) {
      (0..<n).reduce((0.0, 0.0)) { sum, m in
        let angle = -2 * Double.pi * Double(k * m) / Double(n)
        let (a, b) = value(m)
        return (
          sum.0 + a * cos(angle) - b * sin(angle), sum.1 + a * sin(angle) + b * cos(angle)
        )
      }
    }
    func signal(_ m: Int, _ c: Int) -> Double { Double(signals[m * 2 * pairs + c]) }
    let joined = (0..<n).flatMap { k in
      (0..<pairs).flatMap { p -> [Float] in
        let z = transform({ (signal($0, 2 * p), signal($0, 2 * p + 1)) }, k)
        return [Float(z.0), Float(z.1)]
      }
    }
    func weight(_ k: Int) -> Double { k == 0 || 2 * k == n ? 0.5 : 2 }
    let split = (0..<half).flatMap { k in
      (0..<2 * pairs).flatMap { c -> [Double] in
        let z = transform({ (signal($0, c), 0) }, k)
        return [weight(k) * z.0, weight(k) * z.1]
      }
    }
    level.run {
      let result = written(2 * half * 2 * pairs) {
        k_spectrum_split($0, joined, 0.5, 2, n, pairs)
      }
      #expect(disagreement(result, split, tolerance: 1e-5) == nil)
      let back = written(2 * n * pairs) { k_spectrum_join($0, result, 2, 0.5, n, pairs) }
      #expect(disagreement(back, joined.map(Double.init), tolerance: 1e-5) == nil)
    }
  }

  @Test(
    "two rows are split and joined as a pair of signals is", arguments: Level.all, [1, 2, 5, 8, 67])
  func rowPairs(level: Level, n: Int) {
    let (half, gap) = (n / 2 + 1, 3)
    let z = normals(2 * n, seed: 6)
    level.run {
      let pair = written(4 * half) { k_spectrum_split($0, z, 0.5, 2, n, 1) }
      var rows = [Float](repeating: -7, count: 4 * half + gap)
      k_row_spectra_split(&rows, 2 * half + gap, z, 0.5, 2, n)
      for k in 0..<half {
        #expect(Array(rows[2 * k..<2 * k + 2]) == Array(pair[4 * k..<4 * k + 2]))
        let other = 2 * half + gap + 2 * k
        #expect(Array(rows[other..<other + 2]) == Array(pair[4 * k + 2..<4 * k + 4]))
      }
      #expect(rows[2 * half..<2 * half + gap].allSatisfy { $0 == -7 })
      let joined = written(2 * n) { k_spectrum_join($0, pair, 2, 0.5, n, 1) }
      let joinedRows = written(2 * n) {
        k_row_spectra_join($0, rows, 2 * half + gap, 2, 0.5, n)
      }
      #expect(joinedRows == joined)
      var signals = [Float](repeating: -7, count: 2 * n + gap)
      k_rows_split(&signals, n + gap, z, n)
      for i in 0..<n {
        #expect(signals[i] == z[2 * i])
        #expect(signals[n + gap + i] == z[2 * i + 1])
      }
      #expect(written(2 * n) { k_rows_join($0, signals, n + gap, n) } == z)
    }
  }

  @Test("complex numbers are transposed", arguments: Level.all)
  func transpose(level: Level) {
    let (rows, columns) = (13, 10)
    let x = normals(2 * rows * columns, seed: 5)
    let y = level.run {
      written(2 * rows * columns) { k_transpose_complex($0, rows, x, columns, rows, columns) }
    }
    for i in 0..<rows {
      for j in 0..<columns {
        #expect(y[2 * (j * rows + i)] == x[2 * (i * columns + j)])
        #expect(y[2 * (j * rows + i) + 1] == x[2 * (i * columns + j) + 1])
      }
    }
  }
}
