import Kernels
import TestSupport
import Testing

@Suite("Translation-variant convolution kernels")
struct TVConvTests {
  /// Channels with every tail and more than one sweep; maps smaller than the kernel; both sizes of map
  /// that stride 2 takes to the same output.
  static let problems: [TVConvProblem] = [
    TVConvProblem(batch: 1, c: 1, kernel: 1, stride: 1, height: 2, width: 3),
    TVConvProblem(batch: 2, c: 5, kernel: 3, stride: 1, height: 1, width: 1),
    TVConvProblem(batch: 3, c: 17, kernel: 3, stride: 1, height: 5, width: 4),
    TVConvProblem(batch: 2, c: 12, kernel: 3, stride: 2, height: 9, width: 10),
    TVConvProblem(batch: 1, c: 33, kernel: 3, stride: 3, height: 8, width: 7),
    TVConvProblem(batch: 2, c: 7, kernel: 5, stride: 1, height: 6, width: 3),
    TVConvProblem(batch: 1, c: 20, kernel: 5, stride: 2, height: 7, width: 8),
    TVConvProblem(batch: 1, c: 4, kernel: 7, stride: 1, height: 5, width: 9),
    TVConvProblem(batch: 40, c: 70, kernel: 3, stride: 1, height: 3, width: 40),
  ]

  private func sizes(_ problem: TVConvProblem) -> k_tvconv {
    k_tvconv(
      batch: problem.batch, channels: problem.c, kernel: problem.kernel, stride: problem.stride,
      in_height: problem.height, in_width: problem.width, out_height: problem.rows,
      out_width: problem.columns)
  }

  @Test(
    "The convolution equals the naive loop, in any split of rows", arguments: Level.all, problems)
  func forward(level: Level, problem: TVConvProblem) {
    let x = normals(problem.inputCount, seed: 1)
    var weights = normals(problem.weightCount, seed: 2)
    // A NaN must reach the output of its own position and channel only.
    weights[weights.count / 2] = .nan
    var expected = [Double](repeating: 0, count: problem.outputCount)
    problem.forEachProduct { expected[$0] += Double(x[$1]) * Double(weights[$2]) }
    var sizes = sizes(problem)
    let (rows, middle) = (problem.rows, problem.rows / 2)
    let (whole, split) = level.run {
      (
        written(problem.outputCount) { k_tvconv_forward($0, x, weights, &sizes, 0, rows) },
        written(problem.outputCount) {
          k_tvconv_forward($0, x, weights, &sizes, middle, rows)
          k_tvconv_forward($0, x, weights, &sizes, 0, middle)
        }
      )
    }
    #expect(disagreement(whole, expected) == nil)
    #expect(whole.map(\.bitPattern) == split.map(\.bitPattern))
  }

  @Test("Both gradients equal the naive loop", arguments: Level.all, problems)
  func gradients(level: Level, problem: TVConvProblem) {
    let x = normals(problem.inputCount, seed: 3)
    let weights = normals(problem.weightCount, seed: 4)
    let dy = normals(problem.outputCount, seed: 5)
    var expectedInput = [Double](repeating: 0, count: problem.inputCount)
    var expectedWeights = [Double](repeating: 0, count: problem.weightCount)
    problem.forEachProduct { output, input, weight in
      expectedInput[input] += Double(dy[output]) * Double(weights[weight])
      expectedWeights[weight] += Double(dy[output]) * Double(x[input])
    }
    var sizes = sizes(problem)
    let (inputRows, rows) = (problem.height, problem.rows)
    let (dx, dweights) = level.run {
      (
        written(problem.inputCount) {
          k_tvconv_input_gradient($0, dy, weights, &sizes, 1, inputRows)
          k_tvconv_input_gradient($0, dy, weights, &sizes, 0, 1)
        },
        written(problem.weightCount) {
          k_tvconv_weight_gradient($0, dy, x, &sizes, 1, rows)
          k_tvconv_weight_gradient($0, dy, x, &sizes, 0, 1)
        }
      )
    }
    #expect(disagreement(dx, expectedInput) == nil)
    #expect(disagreement(dweights, expectedWeights, tolerance: 3e-5) == nil)
  }
}
