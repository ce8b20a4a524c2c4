import Kernels
import TestSupport
import Testing

@Suite("Depthwise convolution kernels")
struct DepthwiseTests {
  struct Case: Sendable, CustomStringConvertible {
    let kernel, height, width, c: Int
    var description: String { "\(kernel)x\(kernel) on \(height)x\(width)x\(c)" }
    var count: Int { height * width * c }

    /// Kernels with loops of their own and one without; widths below, at and around a strip of 8 and a
    /// block of 64; channels with every tail.
    static let all: [Case] = [1, 3, 5, 7, 9].flatMap { kernel in
      [
        (1, 1, 1), (4, 3, 12), (2, 7, 5), (9, 8, 24), (5, 10, 36), (3, 21, 48), (6, 16, 16),
        (2, 70, 17), (11, 33, 4),
      ].map { Case(kernel: kernel, height: $0.0, width: $0.1, c: $0.2) }
    }
  }

  @Test(
    "The convolution equals the naive loop, in any split of rows", arguments: Level.all, Case.all)
  func forward(level: Level, shape: Case) {
    let (kernel, height, width, c) = (shape.kernel, shape.height, shape.width, shape.c)
    var x = normals(shape.count, seed: 1)
    // A NaN must reach every window that holds it, and no other.
    x[shape.count / 2] = .nan
    let taps = normals(kernel * kernel * c, seed: 2)
    let expected = Reference.depthwise(x, taps, kernel: kernel, height: height, width: width, c: c)
    let middle = height / 2
    let (whole, split) = level.run {
      (
        written(shape.count) {
          k_depthwise_forward($0, x, taps, kernel, 0, height, height, width, c)
        },
        written(shape.count) {
          k_depthwise_forward($0, x, taps, kernel, middle, height, height, width, c)
          k_depthwise_forward($0, x, taps, kernel, 0, middle, height, width, c)
        }
      )
    }
    #expect(disagreement(whole, expected) == nil)
    #expect(whole.map(\.bitPattern) == split.map(\.bitPattern))
  }

  @Test("Flipped taps give the gradient with respect to the image", arguments: Level.all, Case.all)
  func inputGradient(level: Level, shape: Case) {
    let (kernel, height, width, c) = (shape.kernel, shape.height, shape.width, shape.c)
    let dy = normals(shape.count, seed: 3)
    let weight = normals(c * kernel * kernel, seed: 4)
    let taps = written(weight.count) { k_depthwise_pack($0, weight, false, kernel, c) }
    let flipped = written(weight.count) { k_depthwise_pack($0, weight, true, kernel, c) }
    #expect(taps == Reference.transpose(weight, rows: c, columns: kernel * kernel))
    let expected = Reference.depthwiseInputGradient(
      dy, taps, kernel: kernel, height: height, width: width, c: c)
    let dx = level.run {
      written(shape.count) {
        k_depthwise_forward($0, dy, flipped, kernel, 0, height, height, width, c)
      }
    }
    #expect(disagreement(dx, expected) == nil)
  }

  @Test("The taps' gradient adds up over row ranges", arguments: Level.all, Case.all)
  func tapGradient(level: Level, shape: Case) {
    let (kernel, height, width, c) = (shape.kernel, shape.height, shape.width, shape.c)
    let (dy, x) = (normals(shape.count, seed: 5), normals(shape.count, seed: 6))
    let old = normals(kernel * kernel * c, seed: 7)
    let sums = Reference.depthwiseTapGradient(
      dy, x, kernel: kernel, height: height, width: width, c: c)
    let middle = height / 2
    let dtaps = level.run {
      written(over: old) {
        k_depthwise_weight_gradient($0, dy, x, kernel, 0, middle, height, width, c)
        k_depthwise_weight_gradient($0, dy, x, kernel, middle, height, height, width, c)
      }
    }
    #expect(
      disagreement(dtaps, adding(old, to: sums), tolerance: 3e-5) == nil)
    let weight = normals(old.count, seed: 8)
    #expect(
      written(over: weight) { k_depthwise_unpack($0, old, true, kernel, c) }
        == zip(weight, Reference.transpose(old, rows: kernel * kernel, columns: c)).map(+))
  }

  @Test("A NaN in the gradient reaches the taps of its channel only", arguments: Level.all)
  func notANumber(level: Level) {
    var dy = normals(6 * 20 * 18, seed: 9)
    dy[(2 * 20 + 10) * 18 + 17] = .nan
    let x = normals(dy.count, seed: 10)
    let dtaps = level.run {
      written(over: [Float](repeating: 0, count: 25 * 18)) {
        k_depthwise_weight_gradient($0, dy, x, 5, 0, 6, 6, 20, 18)
      }
    }
    for index in dtaps.indices { #expect(dtaps[index].isNaN == (index % 18 == 17)) }
  }
}
