import Foundation
import Kernels
import TestSupport
import Testing

@Suite("Wavelet, shift and adaptive kernels")
struct FrequencyKernelTests {
  // MARK: - Wavelets

  struct Line: Sendable, CustomStringConvertible {
    let n, m, taps, inner: Int
    let map: [Int32]
    var description: String { "\(n) samples, \(m) coefficients, \(taps) taps, \(inner) columns" }

    /// Positions continued by reflection, with a hole for zero at one end.
    init(n: Int, taps: Int, inner: Int) {
      self.n = n
      self.taps = taps
      self.inner = inner
      m = (n + taps - 1) / 2
      map = (0..<2 * (m - 1) + taps).map { position in
        let sample = position - (taps - 2)
        if sample == -1 { return -1 }
        let folded = ((sample % (2 * n)) + 2 * n) % (2 * n)
        return Int32(folded < n ? folded : 2 * n - 1 - folded)
      }
    }

    /// Where each sample occurs.
    var inverse: (first: [Int32], list: [Int32]) {
      var (first, list): ([Int32], [Int32]) = ([0], [])
      for sample in 0..<n {
        list += map.indices.filter { map[$0] == Int32(sample) }.map(Int32.init)
        first.append(Int32(list.count))
      }
      return (first, list)
    }

    static let all = [1, 2, 3, 17, 48].flatMap { inner in
      [(1, 2), (2, 4), (7, 2), (70, 2), (101, 10), (40, 20)].map {
        Line(n: $0.0, taps: $0.1, inner: inner)
      }
    }
  }

  @Test("analysis equals the naive loop, in any split of rows", arguments: Level.all, Line.all)
  func analysis(level: Level, line: Line) {
    let x = normals(line.n * line.inner, seed: 1)
    let (low, high) = (normals(line.taps, seed: 2), normals(line.taps, seed: 3))
    let expected = Reference.waveletAnalysis(
      x, map: line.map, low: low, high: high, m: line.m, inner: line.inner)
    let count = line.m * line.inner
    for middle in [0, line.m / 3] {
      var other: [Float] = []
      let result = level.run {
        written(count) { lowBand in
          other = written(count) { highBand in
            k_wavelet_analysis(
              lowBand, highBand, x, line.map, low, high, line.taps, middle, line.m, line.inner)
            k_wavelet_analysis(
              lowBand, highBand, x, line.map, low, high, line.taps, 0, middle, line.inner)
          }
        }
      }
      #expect(disagreement(result, expected.low, tolerance: 3e-5) == nil)
      #expect(disagreement(other, expected.high, tolerance: 3e-5) == nil)
    }
  }

  @Test("synthesis equals the naive loop, in any split of rows", arguments: Level.all, Line.all)
  func synthesis(level: Level, line: Line) {
    let low = normals(line.m * line.inner, seed: 4)
    let high = normals(line.m * line.inner, seed: 5)
    let (lowTaps, highTaps) = (normals(line.taps, seed: 6), normals(line.taps, seed: 7))
    let expected = Reference.waveletSynthesis(
      low: low, high: high, map: line.map, lowTaps: lowTaps, highTaps: highTaps, n: line.n,
      inner: line.inner)
    let (first, list) = line.inverse
    for middle in [0, line.n / 3] {
      let result = level.run {
        written(line.n * line.inner) { x in
          for rows in [middle..<line.n, 0..<middle] {
            k_wavelet_synthesis(
              x, low, high, first, list, lowTaps, highTaps, line.taps, rows.lowerBound,
              rows.upperBound, line.m, line.inner)
          }
        }
      }
      #expect(disagreement(result, expected, tolerance: 3e-5) == nil)
    }
  }

  // MARK: - Shift

  @Test(
    "the context shift equals the naive loop in both directions", arguments: Level.all,
    [(1, 1, 5), (4, 6, 48), (2, 8, 20), (6, 2, 33), (8, 10, 3)])
  func shift(level: Level, shape: (height: Int, width: Int, c: Int)) {
    let (height, width, c) = shape
    let x = normals(height * width * c, seed: 8)
    let blocks = height % 2 == 0 ? normals(height / 2 * (width / 2) * c, seed: 9) : nil
    // Groups of unequal width, some of them empty, and channels beyond the last.
    let ends = (0..<16).map { Int32($0 * (c - c / 6) / 16) }
    for direction in [1, -1] {
      let expected = Reference.contextShift(
        x, blocks: blocks, ends: ends, direction: direction, keep: 1.25, moved: 0.25,
        height: height, width: width, c: c)
      let result = level.run {
        written(x.count) { y in
          for rows in [height / 2..<height, 0..<height / 2] {
            k_context_shift(
              y, x, blocks, ends, Int32(direction), 1.25, 0.25, rows.lowerBound, rows.upperBound,
              height, width, c)
          }
        }
      }
      #expect(disagreement(result, expected) == nil)
    }
  }

  @Test("sums of blocks equal the naive loop", arguments: Level.all, [1, 5, 48])
  func blocks(level: Level, c: Int) {
    let (height, width) = (3, 5)
    let x = normals(4 * height * width * c, seed: 10)
    var expected = [Double](repeating: 0, count: height * width * c)
    for row in 0..<2 * height {
      for column in 0..<2 * width {
        for channel in 0..<c {
          expected[(row / 2 * width + column / 2) * c + channel] +=
            0.5 * Double(x[(row * 2 * width + column) * c + channel])
        }
      }
    }
    let result = level.run {
      written(expected.count) { y in
        k_block_sum(y, x, 0.5, 1, height, width, c)
        k_block_sum(y, x, 0.5, 0, 1, width, c)
      }
    }
    #expect(disagreement(result, expected) == nil)
  }

  // MARK: - Adaptive convolution

  @Test(
    "adaptive convolution and its gradients equal the naive loops", arguments: Level.all,
    [(3, 8, 4, 5, 16), (3, 8, 1, 1, 8), (5, 3, 6, 5, 9), (1, 1, 3, 4, 2), (3, 20, 4, 3, 40)])
  func adaptive(
    level: Level, shape: (kernel: Int, group: Int, height: Int, width: Int, c: Int)
  ) {
    let (kernel, group, height, width, c) = shape
    let count = height * width * c
    let weights = count / group * kernel * kernel
    let (x, w, dy) = (
      normals(count, seed: 11), normals(weights, seed: 12), normals(count, seed: 13)
    )
    var y = [Double](repeating: 0, count: count)
    var dx = y
    var dw = [Double](repeating: 0, count: weights)
    Reference.adaptive(kernel: kernel, group: group, height: height, width: width, c: c) {
      y[$0] += Double(x[$1]) * Double(w[$2])
      dx[$1] += Double(dy[$0]) * Double(w[$2])
      dw[$2] += Double(dy[$0]) * Double(x[$1])
    }
    let splits = [height / 2..<height, 0..<height / 2]
    level.run {
      let forward = written(count) { result in
        for rows in splits {
          k_adaptive_forward(
            result, x, w, kernel, group, rows.lowerBound, rows.upperBound, height, width, c)
        }
      }
      #expect(disagreement(forward, y) == nil)
      let input = written(count) { result in
        for rows in splits {
          k_adaptive_input_gradient(
            result, dy, w, kernel, group, rows.lowerBound, rows.upperBound, height, width, c)
        }
      }
      #expect(disagreement(input, dx) == nil)
      let weight = written(weights) { result in
        for rows in splits {
          k_adaptive_weight_gradient(
            result, dy, x, kernel, group, rows.lowerBound, rows.upperBound, height, width, c)
        }
      }
      #expect(disagreement(weight, dw) == nil)
    }
  }

  // MARK: - Mixtures

  @Test("mixtures and channel scales equal the formulas", arguments: Level.all, [1, 16, 37])
  func blend(level: Level, c: Int) {
    let rows = 5
    let (a, b, dy) = (
      normals(rows * c, seed: 14), normals(rows * c, seed: 15), normals(rows * c, seed: 16)
    )
    let (m, shift, old) = (normals(c, seed: 17), normals(c, seed: 18), normals(c, seed: 19))
    func doubles(_ value: (Int, Int) -> Double) -> [Double] {
      (0..<rows * c).map { value($0, $0 % c) }
    }
    func sums(_ value: (Int) -> Double) -> [Double] {
      (0..<c).map { channel in
        (0..<rows).reduce(0.0) { $0 + value($1 * c + channel) }
      }
    }
    level.run {
      #expect(
        disagreement(
          written(rows * c) { k_blend_forward($0, a, b, m, rows, c) },
          doubles { Double(b[$0]) + Double(m[$1]) * (Double(a[$0]) - Double(b[$0])) }) == nil)
      var (da, db): ([Float], [Float]) = ([], [])
      let dm = written(over: old) { dm in
        da = written(rows * c) { da in
          db = written(rows * c) { db in k_blend_backward(da, db, dm, dy, a, b, m, rows, c) }
        }
      }
      #expect(disagreement(da, doubles { Double(dy[$0]) * Double(m[$1]) }) == nil)
      #expect(disagreement(db, doubles { Double(dy[$0]) * (1 - Double(m[$1])) }) == nil)
      let expected = sums { Double(dy[$0]) * (Double(a[$0]) - Double(b[$0])) }
      #expect(disagreement(dm, adding(old, to: expected)) == nil)
      #expect(
        disagreement(
          written(rows * c) { k_channel_affine_forward($0, a, m, shift, rows, c) },
          doubles { Double(m[$1]) * Double(a[$0]) + Double(shift[$1]) }) == nil)
      #expect(
        disagreement(
          written(rows * c) { k_shifted_relu_rows($0, c, a, shift, rows, c) },
          doubles { max(0, Double(a[$0]) + Double(shift[$1])) }) == nil)
      var (dx, dscale): ([Float], [Float]) = ([], [])
      let dshift = written(over: old) { dshift in
        dscale = written(over: old) { dscale in
          dx = written(rows * c) { dx in
            k_channel_affine_backward(dx, dscale, dshift, dy, a, m, rows, c)
          }
        }
      }
      #expect(disagreement(dx, doubles { Double(dy[$0]) * Double(m[$1]) }) == nil)
      #expect(
        disagreement(dscale, adding(old, to: sums { Double(dy[$0]) * Double(a[$0]) })) == nil)
      #expect(disagreement(dshift, adding(old, to: sums { Double(dy[$0]) })) == nil)
    }
  }

  // MARK: - Dynamic kernels

  @Test(
    "the assembly of kernels equals the formula", arguments: Level.all,
    [(3, 5, 3, false), (2, 18, 1, true), (4, 33, 2, false)])
  func assembly(
    level: Level, shape: (outputs: Int, inputs: Int, kernel: Int, isTanh: Bool)
  ) {
    let (outputs, inputs, k, isTanh) = shape
    let taps = 3
    let a = normals(outputs * inputs * k * k, seed: 20)
    let local = normals(outputs * k * k * taps, seed: 21)
    var descriptor = [Float](repeating: 0, count: inputs + taps - 1)
    descriptor.replaceSubrange(1...inputs, with: normals(inputs, seed: 22))
    let (channel, filter) = (normals(inputs, seed: 23), normals(outputs, seed: 24))
    let spatial = normals(k * k, seed: 25)
    var expected = [Double](repeating: 0, count: a.count)
    for o in 0..<outputs {
      for i in 0..<inputs {
        for ky in 0..<k {
          for kx in 0..<k {
            let e = (o * k + ky) * k + kx
            let logit = (0..<taps).reduce(0.0) {
              $0 + Double(local[e * taps + $1]) * Double(descriptor[i + $1])
            }
            let h = isTanh ? 1 + tanh(logit) : 1.5 / (1 + exp(-logit))
            expected[((o * inputs + i) * k + ky) * k + kx] =
              Double(a[(o * k + ky) * inputs * k + i * k + kx]) * h * Double(channel[i])
              * Double(filter[o]) * Double(spatial[ky * k + kx])
          }
        }
      }
    }
    var scratch = [Float](repeating: 0, count: k * inputs)
    let result = level.run {
      local.withUnsafeBufferPointer { local in
        descriptor.withUnsafeBufferPointer { descriptor in
          channel.withUnsafeBufferPointer { channel in
            filter.withUnsafeBufferPointer { filter in
              spatial.withUnsafeBufferPointer { spatial in
                var factors = k_kernel_factors(
                  local: local.baseAddress, descriptor: descriptor.baseAddress, taps: taps,
                  is_tanh: isTanh, multiplier: 1.5, channel: channel.baseAddress,
                  filter: filter.baseAddress, spatial: spatial.baseAddress)
                return written(a.count) { y in
                  k_assemble_kernel_forward(y, a, &factors, &scratch, 1, outputs, inputs, k)
                  k_assemble_kernel_forward(y, a, &factors, &scratch, 0, 1, inputs, k)
                }
              }
            }
          }
        }
      }
    }
    #expect(disagreement(result, expected, tolerance: 2e-5) == nil)
  }

  @Test("spectra are scaled by their groups", arguments: Level.all)
  func spectrum(level: Level) {
    let count = 37
    let (w, old) = (normals(2 * count, seed: 26), normals(2 * count, seed: 27))
    let attention = normals(4, seed: 28)
    let groups = (0..<count).map { Int32($0 * 7 % 4) }
    func scaled(_ index: Int) -> Double {
      1.5 * Double(attention[Int(groups[index / 2])]) * Double(w[index])
    }
    level.run {
      let fresh = written(2 * count) {
        k_spectrum_scale($0, w, attention, groups, 1.5, false, 0, count)
      }
      #expect(disagreement(fresh, (0..<2 * count).map(scaled)) == nil)
      let added = written(over: old) {
        k_spectrum_scale($0, w, attention, groups, 1.5, true, 0, count)
      }
      #expect(disagreement(added, adding(old, to: (0..<2 * count).map(scaled))) == nil)
      var sums = [Double](repeating: 0, count: 4)
      for index in 0..<2 * count {
        sums[Int(groups[index / 2])] += 1.5 * Double(w[index]) * Double(old[index])
      }
      let gradient = written(over: attention) {
        k_spectrum_scale_backward(nil, $0, old, w, attention, groups, 1.5, 0, count)
      }
      #expect(disagreement(gradient, adding(attention, to: sums), tolerance: 3e-5) == nil)
    }
  }
}
