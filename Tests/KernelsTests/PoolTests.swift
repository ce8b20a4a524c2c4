import Kernels
import TestSupport
import Testing

extension k_pool_axis {
  fileprivate init(_ axis: Reference.PoolAxis) {
    self.init(
      input: axis.input, output: axis.output, kernel: axis.kernel, stride: axis.stride,
      padding: axis.padding, dilation: axis.dilation)
  }
}

@Suite("Pooling kernels")
struct PoolTests {
  typealias Axis = Reference.PoolAxis

  struct Case: Sendable, CustomStringConvertible {
    let description: String
    let axes: [Axis]
    let c: Int
    var inputs: Int { axes.reduce(1) { $0 * $1.input } }
    var outputs: Int { axes.reduce(1) { $0 * $1.output } }
    var shape: k_pool {
      k_pool(
        depth: k_pool_axis(axes[0]), height: k_pool_axis(axes[1]), width: k_pool_axis(axes[2]))
    }

    private static let one = Axis(input: 1, kernel: 1, stride: 1)
    static let all = [
      Case(description: "1D", axes: [one, one, Axis(input: 11, kernel: 2, stride: 2)], c: 12),
      Case(
        description: "2D",
        axes: [one, Axis(input: 6, kernel: 2, stride: 2), Axis(input: 8, kernel: 2, stride: 2)],
        c: 17),
      Case(
        description: "2D, overlapping and padded",
        axes: [
          one, Axis(input: 7, kernel: 3, stride: 2, padding: 1),
          Axis(input: 5, kernel: 5, stride: 1, padding: 2),
        ], c: 3),
      Case(
        description: "2D, dilated, with skipped inputs",
        axes: [
          one, Axis(input: 9, kernel: 2, stride: 3, dilation: 2),
          Axis(input: 10, kernel: 3, stride: 1, padding: 1, dilation: 3),
        ], c: 20),
      Case(
        description: "3D",
        axes: [
          Axis(input: 4, kernel: 2, stride: 2), Axis(input: 5, kernel: 3, stride: 2, padding: 1),
          Axis(input: 6, kernel: 3, stride: 3),
        ], c: 16),
      Case(
        description: "2D, a last window that reaches beyond the padding",
        axes: [
          one,
          {
            var axis = Axis(input: 5, kernel: 3, stride: 2, padding: 0)
            axis.output = 3
            return axis
          }(), Axis(input: 4, kernel: 2, stride: 2),
        ], c: 5),
    ]
  }

  @Test("Maxima, their positions and their gradients", arguments: Level.all, Case.all)
  func maxPool(level: Level, shape: Case) {
    let (c, outputs) = (shape.c, shape.outputs)
    // Few distinct values, so that ties occur.
    var x = normals(shape.inputs * c, seed: 1).map { ($0 * 2).rounded() }
    x[shape.inputs / 2 * c] = .nan
    x[1] = -.infinity
    let expected = Reference.maxPool(x, shape.axes, c: c)
    var plan = shape.shape
    let (dy, old) = (normals(outputs * c, seed: 2), normals(x.count, seed: 3))
    let gradient = Reference.maxPoolGradient(dy, index: expected.index, shape.axes, c: c)
    level.run {
      var index: [Int32] = []
      let y = written(outputs * c) { y in
        index = written(
          outputs * c, over: [Int32](repeating: -7, count: outputs * c), margin: -8
        ) {
          k_max_pool_forward(y, $0, x, &plan, 0, outputs / 2, c)
          k_max_pool_forward(y, $0, x, &plan, outputs / 2, outputs, c)
        }
      }
      #expect(disagreement(y, expected.y) == nil)
      #expect(index == expected.index)
      let alone = written(outputs * c) { k_max_pool_forward($0, nil, x, &plan, 0, outputs, c) }
      #expect(alone.map(\.bitPattern) == y.map(\.bitPattern))

      let dx = written(x.count) {
        k_max_pool_backward($0, dy, index, &plan, false, 0, shape.inputs / 3, c)
        k_max_pool_backward($0, dy, index, &plan, false, shape.inputs / 3, shape.inputs, c)
      }
      #expect(disagreement(dx, gradient) == nil)
      let added = written(over: old) {
        k_max_pool_backward($0, dy, index, &plan, true, 0, shape.inputs, c)
      }
      #expect(disagreement(added, adding(old, to: gradient)) == nil)
    }
  }

  @Test("Averages with and without padding, and their gradients", arguments: Level.all, Case.all)
  func averagePool(level: Level, shape: Case) {
    let (c, outputs) = (shape.c, shape.outputs)
    var x = normals(shape.inputs * c, seed: 4)
    x[shape.inputs / 2 * c] = .nan
    var plan = shape.shape
    let (dy, old) = (normals(outputs * c, seed: 5), normals(x.count, seed: 6))
    for countsPadding in [false, true] {
      let expected = Reference.averagePool(x, shape.axes, countsPadding: countsPadding, c: c)
      let gradient = Reference.averagePoolGradient(
        dy, shape.axes, countsPadding: countsPadding, c: c)
      level.run {
        let y = written(outputs * c) {
          k_average_pool_forward($0, x, &plan, countsPadding, outputs / 2, outputs, c)
          k_average_pool_forward($0, x, &plan, countsPadding, 0, outputs / 2, c)
        }
        #expect(disagreement(y, expected) == nil)
        let dx = written(x.count) {
          k_average_pool_backward($0, dy, &plan, countsPadding, false, 0, shape.inputs, c)
        }
        #expect(disagreement(dx, gradient) == nil)
        let added = written(over: old) {
          k_average_pool_backward($0, dy, &plan, countsPadding, true, 0, shape.inputs, c)
        }
        #expect(disagreement(added, adding(old, to: gradient)) == nil)
      }
    }
  }
}
