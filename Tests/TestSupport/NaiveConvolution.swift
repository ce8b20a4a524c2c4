public import TensorCore

/// Plain loops for convolutions, summed in `Double`: the oracles of every faster form.
public enum NaiveConvolution {
  /// Positions with three spatial axes; missing ones have size 1.
  private struct Grid {
    let sizes: [Int]

    init(_ sizes: [Int]) { self.sizes = [Int](repeating: 1, count: 3 - sizes.count) + sizes }

    var positions: [[Int]] {
      (0..<sizes[0]).flatMap { d in
        (0..<sizes[1]).flatMap { h in (0..<sizes[2]).map { w in [d, h, w] } }
      }
    }

    /// The position's number, nil outside.
    func index(_ position: [Int]) -> Int? {
      guard zip(position, sizes).allSatisfy({ (0..<$1).contains($0) }) else { return nil }
      return (position[0] * sizes[1] + position[1]) * sizes[2] + position[2]
    }
  }

  private static func three(_ values: [Int], filler: Int) -> [Int] {
    [Int](repeating: filler, count: 3 - values.count) + values
  }

  /// Convolution of `x: [N, ..., I]` with `weight: [O, I / groups, k...]`; one number per spatial axis.
  public static func convolve(
    _ x: Tensor, _ weight: Tensor, bias: Tensor? = nil, stride: [Int], padding: [Int],
    dilation: [Int], groups: Int = 1
  ) -> Tensor {
    let input = Array(x.shape.dimensions.dropFirst().dropLast())
    let kernel = Array(weight.shape.dimensions.dropFirst(2))
    let output = input.indices.map { axis in
      (input[axis] + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1) / stride[axis] + 1
    }
    let (from, to, taps) = (Grid(input), Grid(output), Grid(kernel))
    let step = three(stride, filler: 1)
    let (pad, spread) = (three(padding, filler: 0), three(dilation, filler: 1))
    let (inputs, outputs) = (x.shape.channels, weight.shape[0])
    let (inputsPerGroup, outputsPerGroup) = (inputs / groups, outputs / groups)
    let tapCount = kernel.reduce(1, *)
    let (xs, ws) = (x.values, weight.values)
    var result: [Float] = []
    for item in 0..<x.shape[0] {
      for position in to.positions {
        for channel in 0..<outputs {
          var sum = bias.map { Double($0.values[channel]) } ?? 0
          for (tap, offset) in taps.positions.enumerated() {
            let source = (0..<3).map { position[$0] * step[$0] - pad[$0] + offset[$0] * spread[$0] }
            guard let index = from.index(source) else { continue }
            let first = channel / outputsPerGroup * inputsPerGroup
            for member in 0..<inputsPerGroup {
              let value = xs[(item * from.positions.count + index) * inputs + first + member]
              let factor = ws[(channel * inputsPerGroup + member) * tapCount + tap]
              sum += Double(value) * Double(factor)
            }
          }
          result.append(Float(sum))
        }
      }
    }
    return Tensor(Shape([x.shape[0]] + output + [outputs]), result)
  }

  /// Transposed convolution of `x: [N, ..., I]` with `weight: [I, O / groups, k...]`: each input element
  /// adds its multiple of the kernel to the output.
  public static func transposedConvolve(
    _ x: Tensor, _ weight: Tensor, bias: Tensor? = nil, stride: [Int], padding: [Int],
    outputPadding: [Int], dilation: [Int], groups: Int = 1
  ) -> Tensor {
    let input = Array(x.shape.dimensions.dropFirst().dropLast())
    let kernel = Array(weight.shape.dimensions.dropFirst(2))
    let output = input.indices.map { axis in
      (input[axis] - 1) * stride[axis] - 2 * padding[axis] + dilation[axis] * (kernel[axis] - 1)
        + outputPadding[axis] + 1
    }
    let (from, to, taps) = (Grid(input), Grid(output), Grid(kernel))
    let step = three(stride, filler: 1)
    let (pad, spread) = (three(padding, filler: 0), three(dilation, filler: 1))
    let inputs = x.shape.channels
    let (inputsPerGroup, outputsPerGroup) = (inputs / groups, weight.shape[1])
    let outputs = outputsPerGroup * groups
    let tapCount = kernel.reduce(1, *)
    let shape = Shape([x.shape[0]] + output + [outputs])
    let (xs, ws) = (x.values, weight.values)
    var sums = (0..<shape.count).map { element in
      bias.map { Double($0.values[element % outputs]) } ?? 0
    }
    for item in 0..<x.shape[0] {
      for (index, position) in from.positions.enumerated() {
        for (tap, offset) in taps.positions.enumerated() {
          let target = (0..<3).map { position[$0] * step[$0] - pad[$0] + offset[$0] * spread[$0] }
          guard let place = to.index(target) else { continue }
          for channel in 0..<inputs {
            let value = Double(xs[(item * from.positions.count + index) * inputs + channel])
            let first = channel / inputsPerGroup * outputsPerGroup
            for member in 0..<outputsPerGroup {
              let factor = ws[(channel * outputsPerGroup + member) * tapCount + tap]
              sums[(item * to.positions.count + place) * outputs + first + member] +=
                value * Double(factor)
            }
          }
        }
      }
    }
    return Tensor(shape, sums.map(Float.init))
  }
}
