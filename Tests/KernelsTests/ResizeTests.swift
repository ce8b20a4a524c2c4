import Kernels
import TestSupport
import Testing

@Suite("Resampling kernels")
struct ResizeTests {
  /// Up, down, by odd ratios, and to and from one pixel.
  static let sizes: [(input: [Int], output: [Int])] = [
    ([1, 4, 5], [1, 8, 10]), ([1, 9, 6], [1, 3, 4]), ([2, 3, 4], [5, 7, 3]),
    ([1, 1, 7], [1, 4, 1]),
    ([3, 5, 1], [2, 5, 6]),
  ]
  static let modes: [(k_resize_mode, Reference.ResizeMode)] = [
    (K_RESIZE_NEAREST, .nearest), (K_RESIZE_LINEAR, .linear),
    (K_RESIZE_LINEAR_CORNERS, .linearCorners),
  ]

  /// The tables of one axis.
  private struct Tables {
    let input, output: Int
    var low: [Int32]
    var fraction: [Float]
    var first: [Int32]

    init(_ mode: k_resize_mode, input: Int, output: Int) {
      self.input = input
      self.output = output
      low = [Int32](repeating: 0, count: output)
      fraction = [Float](repeating: 0, count: output)
      first = [Int32](repeating: 0, count: input + 1)
      k_resize_plan(
        &low, &fraction, &first, mode, Float(input) / Float(output), input, output)
    }

    func withAxis<Result>(_ body: (k_resize_axis) -> Result) -> Result {
      low.withUnsafeBufferPointer { low in
        fraction.withUnsafeBufferPointer { fraction in
          first.withUnsafeBufferPointer { first in
            body(
              k_resize_axis(
                input: input, output: output, low: low.baseAddress,
                fraction: fraction.baseAddress, first: first.baseAddress))
          }
        }
      }
    }
  }

  private func withPlan<Result>(
    _ mode: k_resize_mode, _ size: (input: [Int], output: [Int]),
    _ body: (UnsafePointer<k_resize>) -> Result
  ) -> Result {
    let tables = zip(size.input, size.output).map { Tables(mode, input: $0, output: $1) }
    return tables[0].withAxis { depth in
      tables[1].withAxis { height in
        tables[2].withAxis { width in
          var plan = k_resize(depth: depth, height: height, width: width)
          return body(&plan)
        }
      }
    }
  }

  @Test("Resampling multiplies by the matrix of the formula", arguments: Level.all, sizes)
  func forward(level: Level, size: (input: [Int], output: [Int])) {
    let (inputs, outputs) = (size.input.reduce(1, *), size.output.reduce(1, *))
    for (mode, reference) in Self.modes {
      for c in [1, 12, 18] {
        var x = normals(inputs * c, seed: 1)
        x[inputs / 2 * c] = .nan
        let matrices = zip(size.input, size.output).map {
          Reference.resizeMatrix(reference, input: $0, output: $1)
        }
        let expected = Reference.resize(x, matrices, c: c)
        let y = level.run {
          withPlan(mode, size) { plan in
            written(outputs * c) {
              k_resize_forward($0, x, plan, 0, outputs / 2, c)
              k_resize_forward($0, x, plan, outputs / 2, outputs, c)
            }
          }
        }
        #expect(disagreement(y, expected) == nil, "\(reference), \(c) channels")
      }
    }
  }

  @Test("The gradient multiplies by the transposed matrix", arguments: Level.all, sizes)
  func backward(level: Level, size: (input: [Int], output: [Int])) {
    let (inputs, outputs) = (size.input.reduce(1, *), size.output.reduce(1, *))
    for (mode, reference) in Self.modes {
      for c in [1, 12, 18] {
        let (dy, old) = (normals(outputs * c, seed: 2), normals(inputs * c, seed: 3))
        let transposed = zip(size.input, size.output).map { input, output in
          let matrix = Reference.resizeMatrix(reference, input: input, output: output)
          return (0..<input).map { i in (0..<output).map { matrix[$0][i] } }
        }
        let gradient = Reference.resize(dy, transposed, c: c)
        level.run {
          withPlan(mode, size) { plan in
            let dx = written(inputs * c) {
              k_resize_backward($0, dy, plan, false, inputs / 2, inputs, c)
              k_resize_backward($0, dy, plan, false, 0, inputs / 2, c)
            }
            #expect(disagreement(dx, gradient) == nil, "\(reference), \(c) channels")
            let added = written(over: old) {
              k_resize_backward($0, dy, plan, true, 0, inputs, c)
            }
            #expect(
              disagreement(added, adding(old, to: gradient)) == nil,
              "\(reference), \(c) channels")
          }
        }
      }
    }
  }
}
