import TensorCore
import TestSupport
import Testing

@Suite("Shifts and bands")
struct FrequencyOperationTests {
  /// The published rule for offsets and widths, one channel at a time.
  private static func shifted(_ x: Tensor) -> Tensor {
    let offsets = [
      (0, 1), (0, -1), (1, 0), (-1, 0), (0, 2), (0, -2), (2, 0), (-2, 0), (1, 1), (-1, -1),
      (1, -1), (-1, 1), (2, 2), (-2, -2), (2, -2), (-2, 2),
    ]
    let (items, height, width, channels) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
    let values = x.values
    var result = [Float](repeating: 0, count: x.count)
    var first = 0
    for (dy, dx) in offsets {
      let count = Int(Double(channels) / 9 * (1 / Double(abs(dy) + abs(dx))))
      for item in 0..<items {
        for row in 0..<height where (0..<height).contains(row - dy) {
          for column in 0..<width where (0..<width).contains(column - dx) {
            for channel in first..<first + count {
              let from = ((item * height + row - dy) * width + column - dx) * channels + channel
              result[((item * height + row) * width + column) * channels + channel] = values[from]
            }
          }
        }
      }
      first += count
    }
    return Tensor(x.shape, result)
  }

  @Test(
    "the context shift moves each group of channels by its offset",
    arguments: [
      [1, 1, 1, 48], [2, 3, 3, 8], [1, 7, 5, 9], [2, 6, 11, 20], [1, 9, 4, 48], [1, 5, 6, 384],
    ] as [Shape])
  func contextShift(shape: Shape) {
    let x = Tensor.random(shape, seed: 1)
    #expect(x.contextShifted().values == Self.shifted(x).values)
  }

  @Test(
    "the fused wavelet shift equals its parts",
    arguments: [[2, 6, 10, 20], [1, 2, 2, 48], [1, 16, 8, 96]] as [Shape], [0.5, 0.3] as [Float])
  func waveletShift(shape: Shape, weight: Float) {
    let x = Tensor.random(shape, seed: 2)
    func mixed(_ x: Tensor) -> Tensor { Self.shifted(x) * weight + x * (1 - weight) }
    let parts = x.waveletShifted(input: mixed, low: mixed) * weight + x * (1 - weight)
    #expect(Mismatch(x.waveletShifted(weight: weight), parts, relative: 1e-6) == nil)
  }

  @Test("odd maps are resized after the transform and back")
  func oddShift() {
    let x = Tensor.random([1, 5, 8, 20], seed: 3)
    func mixed(_ x: Tensor) -> Tensor { Self.shifted(x) * 0.5 + x * 0.5 }
    let bands = x.waveletDecomposed(by: .haar, boundary: .zero, axes: [1, 2])
    let low = mixed(bands.sliced(axis: 0, 0..<1).reshaped(to: [1, 3, 4, 20]))
    let composed = Tensor.concatenate(
      [low.reshaped(to: [1, 1, 3, 4, 20]), bands.sliced(axis: 0, 1..<4)], axis: 0
    ).waveletComposed(by: .haar, boundary: .zero, axes: [1, 2])
    #expect(composed.shape == [1, 6, 8, 20])
    let resized = composed.resized(to: [5, 8], mode: .linear(alignCorners: false))
    let expected = (mixed(x) + resized) * 0.5 + x * 0.5
    #expect(Mismatch(x.waveletShifted(), expected, relative: 1e-6) == nil)
  }

  // MARK: - Bands

  /// Low-pass through whole Fourier transforms.
  private static func low(_ x: Tensor, _ bands: FrequencyBands, _ divisor: Int) -> Tensor {
    let (height, width) = (x.shape[1], x.shape[2])
    let mask = bands.mask(divisor, height: height, width: width).map { Float($0 ? 1 : 0) }
    return (x.rfft(normalization: .ortho) * Tensor([1, height, width / 2 + 1, 1, 1], mask))
      .irfft(last: width, normalization: .ortho)
  }

  @Test(
    "band modulation equals masks on whole spectra",
    arguments: [
      [1, 64, 64, 5], [2, 9, 8, 4], [1, 5, 5, 2], [1, 21, 18, 3], [1, 128, 96, 2], [1, 3, 70, 17],
      [2, 1, 1, 2],
    ] as [Shape])
  func bands(shape: Shape) {
    let bands = FrequencyBands(divisors: [2, 4, 8])
    let x = Tensor.random(shape, seed: 4)
    let weights = Tensor.random(shape.replacing(axis: 3, with: 3), seed: 5)
    var (previous, expected) = (x, Tensor.zeros(shape))
    for (index, divisor) in bands.divisors.enumerated() {
      let low = Self.low(x, bands, divisor)
      expected = expected + weights.sliced(axis: 3, index..<index + 1) * (previous - low)
      previous = low
    }
    let y = x.bandModulated(by: bands, weights: weights)
    #expect(Mismatch(y, expected + previous, relative: 1e-5) == nil)
  }

  @Test("limits on the published grid are 15, 8 and 4")
  func limits() {
    let bands = FrequencyBands(divisors: [2, 4, 8])
    #expect(bands.divisors.map(bands.limit) == [15, 8, 4])
  }

  @Test("weights of 1 change nothing")
  func identity() {
    let x = Tensor.random([2, 16, 12, 3], seed: 6)
    let y = x.bandModulated(
      by: FrequencyBands(divisors: [2, 4, 8]), weights: .ones([2, 16, 12, 3]))
    #expect(Mismatch(y, x, relative: 1e-6) == nil)
  }

  @Test("results do not depend on the number of threads")
  func threads() {
    let x = Tensor.random([2, 40, 36, 20], seed: 7)
    let weights = Tensor.random([2, 40, 36, 3], seed: 8)
    let kernels = Tensor.random([2, 40, 36, 45], seed: 9)
    func results() -> [[Float]] {
      [
        x.bandModulated(by: FrequencyBands(divisors: [2, 4, 8]), weights: weights).values,
        x.waveletShifted().values,
        x.adaptivelyConvolved(with: kernels, kernel: 3, group: 4).values,
        x.waveletDecomposed(by: .haar, boundary: .zero, axes: [1, 2]).values,
      ]
    }
    let before = Engine.shared.threads
    defer { Engine.shared.threads = before }
    Engine.shared.threads = 1
    let single = results()
    Engine.shared.threads = 3
    #expect(results() == single)
  }
}
