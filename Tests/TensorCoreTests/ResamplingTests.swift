import TensorCore
import TestSupport
import Testing

@Suite("Pooling, resizing, pixel shuffle")
struct ResamplingTests {
  static let pools: [(shape: [Int], kernel: [Int], stride: [Int], padding: [Int])] = [
    ([2, 8, 6, 5], [2, 2], [2, 2], [0, 0]), ([1, 9, 7, 3], [3, 3], [2, 2], [1, 1]),
    ([1, 7, 8, 20], [3, 2], [1, 2], [1, 0]), ([2, 11, 4], [4], [3], [2]),
    ([1, 4, 6, 5, 3], [2, 3, 2], [2, 2, 1], [0, 1, 0]),
  ]

  /// Values of each window of an `[N, ..., C]` tensor, the outputs in row-major order.
  private func windows(
    _ x: Tensor, _ kernel: [Int], _ stride: [Int], _ padding: [Int]
  ) -> (shape: Shape, windows: [[Float]]) {
    let sizes = x.shape.dimensions.dropFirst().dropLast()
    let output = zip(Array(sizes), kernel.indices).map { size, axis in
      (size + 2 * padding[axis] - kernel[axis]) / stride[axis] + 1
    }
    let shape = Shape([x.shape[0]] + output + [x.shape.channels])
    let values = x.values
    let taps = Shape(kernel)
    let windows = (0..<shape.count).map { element -> [Float] in
      let position = zip(shape.strides, shape.dimensions).map { element / $0 % $1 }
      return (0..<taps.count).compactMap { tap in
        var source = position
        for axis in kernel.indices {
          let offset = tap / taps.strides[axis] % kernel[axis]
          source[axis + 1] = position[axis + 1] * stride[axis] - padding[axis] + offset
          guard (0..<x.shape[axis + 1]).contains(source[axis + 1]) else { return nil }
        }
        return values[zip(source, x.shape.strides).map(*).reduce(0, +)]
      }
    }
    return (shape, windows)
  }

  @Test("pooling agrees with plain loops", arguments: pools)
  func pooling(_ sizes: [Int], _ kernel: [Int], _ stride: [Int], _ padding: [Int]) {
    let x = Tensor.random(Shape(sizes), seed: 1)
    let (shape, windows) = windows(x, kernel, stride, padding)
    let maxima = Tensor(shape, windows.map { $0.max() ?? .nan })
    #expect(Mismatch(x.maxPooled(kernel: kernel, stride: stride, padding: padding), maxima) == nil)
    let size = Float(kernel.reduce(1, *))
    for countsPadding in [true, false] {
      let means = Tensor(
        shape, windows.map { $0.reduce(0, +) / (countsPadding ? size : Float($0.count)) })
      let actual = x.averagePooled(
        kernel: kernel, stride: stride, padding: padding, countsPadding: countsPadding)
      #expect(Mismatch(actual, means, relative: 1e-6) == nil)
    }
  }

  @Test("the stride of a pooling is the kernel unless given")
  func stride() {
    let x = Tensor.random([1, 6, 9, 2], seed: 1)
    #expect(x.maxPooled(kernel: [2, 3]).shape == [1, 3, 3, 2])
    #expect(x.averagePooled(kernel: [3]).shape == [1, 2, 3, 2])
  }

  /// The two samples between which an output lies, and the weight of the second.
  private func sample(
    _ output: Int, from size: Int, to newSize: Int, _ mode: ResizeMode
  ) -> (Int, Int, Double) {
    let scale = Double(size) / Double(newSize)
    let place: Double
    switch mode {
    case .nearest:
      let nearest = min(size - 1, Int((Double(output) * scale).rounded(.down)))
      return (nearest, nearest, 0)
    case .linear(alignCorners: false): place = max(0, (Double(output) + 0.5) * scale - 0.5)
    case .linear(alignCorners: true):
      place = newSize == 1 ? 0 : Double(output) * Double(size - 1) / Double(newSize - 1)
    }
    let low = min(size - 1, Int(place))
    return (low, min(size - 1, low + 1), place - Double(low))
  }

  @Test(
    "resizing agrees with plain loops",
    arguments: [
      ([2, 5, 4, 3], [10, 8]), ([1, 7, 9, 17], [3, 5]), ([1, 4, 4, 2], [4, 9]), ([1, 6, 2], [15]),
      ([1, 3, 4, 5, 2], [6, 8, 3]), ([1, 5, 5, 1], [1, 1]), ([1, 1, 1, 2], [3, 4]),
    ] as [([Int], [Int])],
    [ResizeMode.nearest, .linear(alignCorners: false), .linear(alignCorners: true)])
  func resize(_ source: ([Int], [Int]), _ mode: ResizeMode) {
    var expected = Tensor.random(Shape(source.0), seed: 1)
    let actual = expected.resized(to: source.1, mode: mode)
    // One axis after the other.
    for (axis, size) in source.1.enumerated() {
      let entries = (0..<size).map { output -> Tensor in
        let (low, high, weight) = sample(output, from: expected.shape[axis + 1], to: size, mode)
        let a = expected.sliced(axis: axis + 1, low..<low + 1)
        let b = expected.sliced(axis: axis + 1, high..<high + 1)
        return a * Float(1 - weight) + b * Float(weight)
      }
      expected = .concatenate(entries, axis: axis + 1)
    }
    #expect(Mismatch(actual, expected, relative: 2e-6) == nil)
  }

  @Test(
    "pixel shuffle puts channel c·r² + i·r + j to pixel (i, j) of channel c", arguments: [1, 2, 3])
  func pixelShuffle(_ factor: Int) {
    let (height, width, channels) = (3, 4, 5)
    let x = Tensor.random([2, height, width, channels * factor * factor], seed: 1)
    let y = x.pixelShuffled(by: factor)
    #expect(y.shape == [2, height * factor, width * factor, channels])
    let expected = x.reshaped(to: [2, height, width, channels, factor, factor])
      .permuted([0, 1, 4, 2, 5, 3]).reshaped(to: y.shape)
    #expect(Mismatch(y, expected) == nil)
    #expect(Mismatch(y.pixelUnshuffled(by: factor), x) == nil)
  }
}
