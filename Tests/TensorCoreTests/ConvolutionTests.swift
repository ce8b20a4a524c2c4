import TensorCore
import TestSupport
import Testing

/// A convolution's shapes and geometry; in a transposed one, `weight` is `[I, O / groups, k...]`.
struct ConvolutionCase: Sendable, CustomTestStringConvertible {
  let name: String
  let x: Shape
  let weight: Shape
  var stride: [Int]
  var padding: [Int]
  var outputPadding: [Int]
  var dilation: [Int]
  var groups: Int

  init(
    _ name: String, x: Shape, weight: Shape, stride: Int = 1, padding: Int = 0,
    outputPadding: Int = 0, dilation: Int = 1, groups: Int = 1
  ) {
    func all(_ value: Int) -> [Int] { [Int](repeating: value, count: x.rank - 2) }
    self.name = name
    self.x = x
    self.weight = weight
    self.stride = all(stride)
    self.padding = all(padding)
    self.outputPadding = all(outputPadding)
    self.dilation = all(dilation)
    self.groups = groups
  }

  var testDescription: String { name }

  var inputs: (x: Tensor, weight: Tensor) {
    (.random(x, seed: 1), .random(weight, seed: 2))
  }
}

@Suite("Convolution")
struct ConvolutionTests {
  static let cases: [ConvolutionCase] = [
    ConvolutionCase(
      "3 x 3, one channel to many", x: [1, 9, 11, 1], weight: [16, 1, 3, 3], padding: 1),
    ConvolutionCase("3 x 3, many to one", x: [1, 9, 11, 16], weight: [1, 16, 3, 3], padding: 1),
    ConvolutionCase(
      "3 x 3, several tiles of two images", x: [2, 13, 11, 6], weight: [10, 6, 3, 3], padding: 1),
    ConvolutionCase(
      "3 x 3, kernel rows apart", x: [1, 4, 5, 120], weight: [7, 120, 3, 3], padding: 1),
    ConvolutionCase(
      "3 x 3, channels in blocks", x: [2, 6, 5, 40], weight: [48, 40, 3, 3], padding: 1),
    ConvolutionCase(
      "3 x 3 with stride, channels in blocks", x: [1, 7, 8, 48], weight: [40, 48, 3, 3], stride: 2,
      padding: 1),
    ConvolutionCase(
      "volume, channels in blocks", x: [1, 3, 4, 3, 40], weight: [40, 40, 3, 3, 3], padding: 1),
    ConvolutionCase("3 x 5, few outputs", x: [2, 6, 7, 9], weight: [5, 9, 3, 5], padding: 1),
    ConvolutionCase(
      "volume, few outputs", x: [1, 4, 5, 6, 12], weight: [6, 12, 3, 3, 3], padding: 1),
    ConvolutionCase("3 x 3, one row", x: [2, 1, 9, 3], weight: [4, 3, 3, 3], padding: 1),
    ConvolutionCase("3 x 3, one column", x: [1, 7, 1, 3], weight: [4, 3, 3, 3], padding: 1),
    ConvolutionCase("5 x 5, same size", x: [1, 3, 8, 5], weight: [6, 5, 5, 5], padding: 2),
    ConvolutionCase("7 x 7, same size", x: [1, 9, 6, 25], weight: [4, 25, 7, 7], padding: 3),
    ConvolutionCase("5 x 5 without padding", x: [2, 9, 8, 3], weight: [5, 3, 5, 5]),
    ConvolutionCase(
      "3 x 5 with stride", x: [1, 9, 8, 4], weight: [8, 4, 3, 5], stride: 2, padding: 1),
    ConvolutionCase(
      "stride that leaves inputs over", x: [1, 8, 8, 4], weight: [4, 4, 2, 2], stride: 3),
    ConvolutionCase("dilated", x: [1, 12, 11, 4], weight: [4, 4, 3, 3], padding: 2, dilation: 2),
    ConvolutionCase("grouped", x: [1, 7, 7, 8], weight: [12, 2, 3, 3], padding: 1, groups: 4),
    ConvolutionCase("1 x 1", x: [2, 5, 6, 7], weight: [9, 7, 1, 1]),
    ConvolutionCase("1 x 1 with stride", x: [1, 6, 6, 8], weight: [4, 8, 1, 1], stride: 2),
    ConvolutionCase("sequence", x: [2, 17, 6], weight: [5, 6, 3], padding: 1),
    ConvolutionCase("volume", x: [1, 5, 6, 7, 3], weight: [4, 3, 3, 3, 3], padding: 1),
    ConvolutionCase("volume with stride", x: [1, 6, 6, 6, 4], weight: [8, 4, 2, 2, 2], stride: 2),
    ConvolutionCase(
      "depthwise 3", x: [2, 9, 10, 20], weight: [20, 1, 3, 3], padding: 1, groups: 20),
    ConvolutionCase(
      "depthwise 5", x: [1, 33, 9, 17], weight: [17, 1, 5, 5], padding: 2, groups: 17),
    ConvolutionCase(
      "depthwise 7", x: [1, 4, 3, 16], weight: [16, 1, 7, 7], padding: 3, groups: 16),
    ConvolutionCase("depthwise 9", x: [1, 7, 8, 3], weight: [3, 1, 9, 9], padding: 4, groups: 3),
    ConvolutionCase(
      "depthwise with stride", x: [1, 9, 9, 8], weight: [8, 1, 3, 3], stride: 2, padding: 1,
      groups: 8),
    ConvolutionCase(
      "depthwise, two outputs each", x: [1, 6, 6, 4], weight: [8, 1, 3, 3], padding: 1, groups: 4),
    ConvolutionCase(
      "depthwise volume", x: [1, 4, 5, 6, 8], weight: [8, 1, 3, 3, 3], padding: 1, groups: 8),
  ]

  static let transposedCases: [ConvolutionCase] = [
    ConvolutionCase("2 x 2 with stride 2", x: [2, 5, 6, 8], weight: [8, 4, 2, 2], stride: 2),
    ConvolutionCase(
      "3 x 3 with output padding", x: [1, 5, 6, 4], weight: [4, 6, 3, 3], stride: 2, padding: 1,
      outputPadding: 1),
    ConvolutionCase(
      "2 x 2, channels in blocks", x: [1, 4, 5, 40], weight: [40, 48, 2, 2], stride: 2),
    ConvolutionCase("4 x 4", x: [1, 5, 5, 3], weight: [3, 2, 4, 4], stride: 2, padding: 1),
    ConvolutionCase("dilated", x: [1, 6, 5, 4], weight: [4, 4, 3, 3], padding: 1, dilation: 2),
    ConvolutionCase("grouped", x: [1, 5, 5, 8], weight: [8, 3, 3, 3], stride: 2, groups: 2),
    ConvolutionCase("sequence", x: [2, 9, 4], weight: [4, 3, 4], stride: 2, padding: 1),
    ConvolutionCase("volume", x: [1, 3, 4, 3, 4], weight: [4, 2, 2, 2, 2], stride: 2),
  ]

  @Test("agrees with plain loops", arguments: cases, [false, true])
  func convolution(_ testCase: ConvolutionCase, hasBias: Bool) {
    let (x, weight) = testCase.inputs
    let bias = hasBias ? Tensor.random([weight.shape[0]], seed: 3) : nil
    let actual = x.convolved(
      with: weight, bias: bias, stride: testCase.stride, padding: testCase.padding,
      dilation: testCase.dilation, groups: testCase.groups)
    let expected = NaiveConvolution.convolve(
      x, weight, bias: bias, stride: testCase.stride, padding: testCase.padding,
      dilation: testCase.dilation, groups: testCase.groups)
    #expect(Mismatch(actual, expected, relative: 2e-6) == nil)
  }

  @Test("transposed agrees with plain loops", arguments: transposedCases, [false, true])
  func transposed(_ testCase: ConvolutionCase, hasBias: Bool) {
    let (x, weight) = testCase.inputs
    let bias = hasBias ? Tensor.random([weight.shape[1] * testCase.groups], seed: 3) : nil
    let actual = x.transposedConvolved(
      with: weight, bias: bias, stride: testCase.stride, padding: testCase.padding,
      outputPadding: testCase.outputPadding, dilation: testCase.dilation, groups: testCase.groups)
    let expected = NaiveConvolution.transposedConvolve(
      x, weight, bias: bias, stride: testCase.stride, padding: testCase.padding,
      outputPadding: testCase.outputPadding, dilation: testCase.dilation, groups: testCase.groups)
    #expect(Mismatch(actual, expected, relative: 2e-6) == nil)
  }

  @Test("has the right gradients", arguments: cases)
  func gradients(_ testCase: ConvolutionCase) {
    let (x, weight) = testCase.inputs
    let bias = Tensor.random([weight.shape[0]], seed: 3)
    let failures = GradientCheck().failures(at: [x, weight, bias]) { inputs in
      inputs[0].convolved(
        with: inputs[1], bias: inputs[2], stride: testCase.stride, padding: testCase.padding,
        dilation: testCase.dilation, groups: testCase.groups)
    }
    #expect(failures.isEmpty, "\(failures)")
  }

  @Test("transposed has the right gradients", arguments: transposedCases)
  func transposedGradients(_ testCase: ConvolutionCase) {
    let (x, weight) = testCase.inputs
    let bias = Tensor.random([weight.shape[1] * testCase.groups], seed: 3)
    let failures = GradientCheck().failures(at: [x, weight, bias]) { inputs in
      inputs[0].transposedConvolved(
        with: inputs[1], bias: inputs[2], stride: testCase.stride, padding: testCase.padding,
        outputPadding: testCase.outputPadding, dilation: testCase.dilation,
        groups: testCase.groups)
    }
    #expect(failures.isEmpty, "\(failures)")
  }

  @Test("one number for stride, padding and dilation holds for all axes")
  func single() {
    let (x, weight) = (Tensor.random([1, 8, 9, 4], seed: 1), Tensor.random([6, 4, 3, 3], seed: 2))
    let one = x.convolved(with: weight, stride: [2], padding: [1])
    let all = x.convolved(with: weight, stride: [2, 2], padding: [1, 1], dilation: [1, 1])
    #expect(one.shape == [1, 4, 5, 6])
    #expect(Mismatch(one, all) == nil)
  }

  @Test("a batch is its items")
  func batch() {
    let (x, weight) = (
      Tensor.random([2, 8, 8, 16], seed: 1), Tensor.random([8, 16, 3, 3], seed: 2)
    )
    let items = x.split(axis: 0, sizes: [1, 1]).map { $0.convolved(with: weight, padding: [1]) }
    let whole = x.convolved(with: weight, padding: [1])
    #expect(Mismatch(whole, .concatenate(items, axis: 0), relative: 1e-6) == nil)
  }

  @Test(
    "follows a parameter that changed", arguments: [[6, 4, 3, 3], [4, 1, 3, 3], [6, 4, 1, 1]])
  func update(_ sizes: [Int]) {
    let x = Tensor.random([1, 5, 5, 4], seed: 1)
    let weight = Tensor.random(Shape(sizes), seed: 2).asParameter(tracked: false)
    let padding = [sizes[3] / 2]
    let groups = 4 / sizes[1]
    let before = x.convolved(with: weight, padding: padding, groups: groups)
    weight.update { for index in $0.indices { $0[index] *= 2 } }
    let after = x.convolved(with: weight, padding: padding, groups: groups)
    #expect(Mismatch(after, before + before, relative: 1e-6) == nil)
  }
}
