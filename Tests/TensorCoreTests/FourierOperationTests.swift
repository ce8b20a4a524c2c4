import Foundation
import TensorCore
import TestSupport
import Testing

/// The formulas, in double precision.
private enum Naive {
  /// `Σ x[n]·exp(∓2πi·k·n/size)` over all axes of `[axes…]` complex numbers.
  static func fft(_ x: [Double], axes: [Int], isInverse: Bool) -> [Double] {
    let count = axes.reduce(1, *)
    func position(_ index: Int) -> [Int] {
      var (rest, position) = (index, [Int](repeating: 0, count: axes.count))
      for axis in axes.indices.reversed() {
        position[axis] = rest % axes[axis]
        rest /= axes[axis]
      }
      return position
    }
    return (0..<count).flatMap { k -> [Double] in
      var (real, imaginary) = (0.0, 0.0)
      let frequency = position(k)
      for n in 0..<count {
        let at = position(n)
        let turns = axes.indices.reduce(0.0) {
          $0 + Double(frequency[$1] * at[$1]) / Double(axes[$1])
        }
        let angle = (isInverse ? 2 : -2) * Double.pi * turns
        real += x[2 * n] * cos(angle) - x[2 * n + 1] * sin(angle)
        imaginary += x[2 * n] * sin(angle) + x[2 * n + 1] * cos(angle)
      }
      return [real, imaginary]
    }
  }
}

@Suite("Fourier transforms as operations")
struct FourierOperationTests {
  private static let axes: [[Int]] = [[1], [8], [9], [4, 6], [5, 7], [3, 4, 5], [2, 1, 6]]

  @Test("complex transforms follow the formula for each item and channel", arguments: axes)
  func complex(axes: [Int]) {
    let points = axes.reduce(1, *)
    let x = Tensor.random(Shape([2] + axes + [3, 2]), seed: 4)
    let (forward, inverse) = (x.fft(), x.ifft())
    for item in 0..<2 {
      for channel in 0..<3 {
        func column(_ tensor: Tensor) -> [Float] {
          let values = tensor.values
          return (0..<points).flatMap { p in
            (0..<2).map { values[((item * points + p) * 3 + channel) * 2 + $0] }
          }
        }
        let signal = column(x).map(Double.init)
        #expect(
          Mismatch(
            column(forward), Naive.fft(signal, axes: axes, isInverse: false).map { Float($0) },
            relative: 1e-5) == nil)
        #expect(
          Mismatch(
            column(inverse),
            Naive.fft(signal, axes: axes, isInverse: true).map { Float($0 / Double(points)) },
            relative: 1e-5) == nil)
      }
    }
  }

  @Test("real transforms are the half of complex ones, and invert", arguments: axes, [1, 3, 4, 34])
  func real(axes: [Int], channels: Int) {
    let x = Tensor.random(Shape([2] + axes + [channels]), seed: 5)
    let complex = Tensor.stack([x, .zeros(x.shape)], axis: -1).fft()
    let half = x.rfft()
    let last = axes.count
    #expect(
      Mismatch(half, complex.sliced(axis: last, 0..<axes[last - 1] / 2 + 1), relative: 1e-5) == nil)
    #expect(Mismatch(half.irfft(last: axes[last - 1]), x, relative: 1e-5) == nil)
    let unitary = x.rfft(normalization: .ortho)
    #expect(Mismatch(unitary * Float(axes.reduce(1, *)).squareRoot(), half, relative: 1e-5) == nil)
  }

  @Test(
    "a half spectrum that no signal has follows the rule", arguments: [(6, 8), (5, 7), (4, 1)],
    [1, 2])
  func halfSpectrum(size: (rows: Int, width: Int), channels: Int) {
    let (rows, width) = size
    let half = width / 2 + 1
    let all = Tensor.random([1, rows, half, channels, 2], seed: 6)
    let spectrum = all.sliced(axis: 3, channels - 1..<channels)
    let values = spectrum.values.map(Double.init)
    var expected: [Float] = []
    for p in 0..<rows {
      for q in 0..<width {
        var sum = 0.0
        for r in 0..<rows {
          for c in 0..<half {
            let isSingle = c == 0 || (width % 2 == 0 && c == width / 2)
            let angle =
              2 * Double.pi * (Double(r * p) / Double(rows) + Double(c * q) / Double(width))
            let index = 2 * (r * half + c)
            sum +=
              (isSingle ? 1 : 2) * (values[index] * cos(angle) - values[index + 1] * sin(angle))
          }
        }
        expected.append(Float(sum / Double(rows * width)))
      }
    }
    let image = all.irfft(last: width).sliced(axis: 3, channels - 1..<channels)
    #expect(Mismatch(image.values, expected, relative: 1e-5) == nil)
  }

  @Test("large transforms agree with small parts, whatever the number of threads")
  func threads() {
    let x = Tensor.random([2, 96, 80, 5], seed: 7)
    let before = Engine.shared.threads
    defer { Engine.shared.threads = before }
    Engine.shared.threads = 1
    let single = x.rfft()
    Engine.shared.threads = 3
    let several = x.rfft()
    #expect(single.values == several.values)
    #expect(Mismatch(several.irfft(last: 80), x, relative: 1e-5) == nil)
  }
}
