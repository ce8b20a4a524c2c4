import Kernels
import Testing

@Suite("Windows as matrices")
struct WindowTests {
  static let cases: [(kernel: Int, group: Int, height: Int, width: Int, c: Int)] = [
    (3, 3, 5, 7, 2), (3, 1, 4, 3, 5), (3, 3, 1, 1, 1), (3, 1, 6, 1, 3), (5, 5, 3, 9, 2),
    (5, 1, 2, 2, 4), (7, 7, 4, 4, 1),
  ]

  @Test("rows hold the taps of each pixel, zero outside the image", arguments: cases)
  func rows(_ shape: (kernel: Int, group: Int, height: Int, width: Int, c: Int)) {
    let (kernel, group, height, width, c) = shape
    let images = 2
    let x = normals(images * height * width * c, seed: 1)
    for kernelRow in stride(from: 0, to: kernel, by: group) {
      // From the middle of the first image into the second.
      let first = height * width / 2
      let pixels = height * width
      var expected: [Float] = []
      for pixel in first..<first + pixels {
        let (image, place) = (pixel / (height * width), pixel % (height * width))
        for i in kernelRow..<kernelRow + group {
          for j in 0..<kernel {
            let (row, column) = (place / width + i - kernel / 2, place % width + j - kernel / 2)
            let isInside = (0..<height).contains(row) && (0..<width).contains(column)
            for channel in 0..<c {
              expected.append(
                isInside ? x[((image * height + row) * width + column) * c + channel] : 0)
            }
          }
        }
      }
      let rows = written(pixels * group * kernel * c) {
        k_window_rows($0, x, kernel, kernelRow, group, first, pixels, height, width, c)
      }
      #expect(rows == expected)
    }
  }

  @Test("weights are reordered, and mirrored for the input's gradient", arguments: [1, 3])
  func weights(group: Int) {
    let (kernel, out, inputs) = (3, 4, 5)
    let weight = normals(out * inputs * 9, seed: 2)
    for flip in [false, true] {
      let (rows, depth) = flip ? (inputs, out) : (out, inputs)
      var expected = [Float](repeating: 0, count: weight.count)
      for r in 0..<rows {
        for i in 0..<kernel {
          for j in 0..<kernel {
            for d in 0..<depth {
              let (o, c) = flip ? (d, r) : (r, d)
              let tap = flip ? (2 - i) * 3 + 2 - j : i * 3 + j
              let place = (((i / group * rows + r) * group + i % group) * kernel + j) * depth + d
              expected[place] = weight[(o * inputs + c) * 9 + tap]
            }
          }
        }
      }
      let matrices = written(weight.count) {
        k_window_weights($0, weight, flip, kernel, group, out, inputs)
      }
      #expect(matrices == expected)
    }
  }

  @Test("the gradient is the inverse reordering of summed parts", arguments: [1, 3])
  func gradient(group: Int) {
    let (kernel, out, inputs) = (3, 4, 5)
    let (first, second) = (normals(out * inputs * 9, seed: 3), normals(out * inputs * 9, seed: 4))
    let weights: [[Float]] = [first, second]
    let parts: [Float] = weights.flatMap { (weight: [Float]) -> [Float] in
      written(weight.count) { k_window_weights($0, weight, false, kernel, group, out, inputs) }
    }
    let old = normals(first.count, seed: 5)
    for accumulate in [false, true] {
      let expected = first.indices.map { ((accumulate ? old[$0] : 0) + first[$0]) + second[$0] }
      let gradient = written(over: old) { gradient in
        for range in [0..<1, 1..<4] {
          k_window_weight_gradient(
            gradient, parts, accumulate, range.lowerBound, range.upperBound, 2, kernel, group, out,
            inputs)
        }
      }
      #expect(gradient == expected)
    }
  }
}
