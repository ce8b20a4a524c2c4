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

  // MARK: - Kernels of samples

  @Test(
    "convolution by sample equals the convolution of each sample",
    arguments: [
      ([3, 7, 6, 5], [9, 3, 3], [1, 1], [1, 1], [1, 1]),
      ([1, 20, 23, 18], [17, 3, 3], [2, 2], [1, 1], [1, 1]),
      ([2, 11, 9, 4], [6, 5, 3], [1, 2], [2, 0], [1, 2]),
      ([2, 8, 8, 64], [48, 1, 1], [2, 2], [0, 0], [1, 1]),
      ([2, 5, 4, 7], [33, 1, 1], [1, 1], [0, 0], [1, 1]),
      ([2, 40, 40, 20], [20, 3, 3], [1, 1], [2, 2], [2, 2]),
    ] as [([Int], [Int], [Int], [Int], [Int])])
  func samples(x: [Int], kernel: [Int], stride: [Int], padding: [Int], dilation: [Int]) {
    let (n, inputs) = (x[0], x[3])
    let image = Tensor.random(Shape(x), seed: 10)
    let weight = Tensor.random(Shape([n, kernel[0], inputs] + kernel[1...]), seed: 11)
    let bias = Tensor.random([kernel[0]], seed: 12)
    let leaves = [image.tracked(), weight.tracked(), bias.tracked()]
    let y = leaves[0].convolvedBySample(
      with: leaves[1], bias: leaves[2], stride: stride, padding: padding, dilation: dilation)
    let others = [image.tracked(), weight.tracked(), bias.tracked()]
    let parts = (0..<n).map { item in
      others[0].sliced(axis: 0, item..<item + 1).convolved(
        with: others[1].sliced(axis: 0, item..<item + 1).reshaped(
          to: Shape([kernel[0], inputs] + kernel[1...])), bias: others[2], stride: stride,
        padding: padding, dilation: dilation)
    }
    let expected = Tensor.concatenate(parts, axis: 0)
    #expect(Mismatch(y.detached(), expected.detached(), relative: 1e-5) == nil)
    let upstream = Tensor.random(y.shape, seed: 13)
    let gradients = Tensor.gradients(of: [y], upstream: [upstream])
    let reference = Tensor.gradients(of: [expected], upstream: [upstream])
    for (leaf, other) in zip(leaves, others) {
      guard let a = gradients[leaf], let b = reference[other] else {
        Issue.record("a gradient is missing")
        return
      }
      #expect(Mismatch(a, b, relative: 1e-5) == nil)
    }
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
