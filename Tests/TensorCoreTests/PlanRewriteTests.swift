import TensorCore
import TestSupport
import Testing

@Suite("Rewrites of plans")
struct PlanRewriteTests {
  /// Compares a plan with its rewrites, one without, and the operations themselves.
  func check(
    _ shape: Shape, kinds: [OperationKind], _ body: @escaping @Sendable (Tensor) -> Tensor
  ) throws {
    let x = Tensor.random(shape, seed: 77)
    let plan = try InferencePlan(shape, body)
    #expect(plan.kinds == kinds)
    #expect(Mismatch(try plan(x), body(x), relative: 1e-5) == nil)
    let plain = try InferencePlan(shape, rewrites: false, body)
    #expect(Mismatch(try plain(x), body(x), relative: 1e-6) == nil)
  }

  private static func positive(_ count: Int, seed: UInt64) -> Tensor {
    .random([count], .uniform(0.5..<1.5), seed: seed)
  }

  @Test("a batch norm at inference becomes part of the convolution before it")
  func batchNorm() throws {
    let (weight, bias) = (Tensor.random([6, 4, 3, 3], seed: 1), Tensor.random([6], seed: 2))
    let (scale, shift) = (Self.positive(6, seed: 3), Tensor.random([6], seed: 4))
    try check([2, 8, 8, 4], kinds: [.convolution]) {
      $0.convolved(with: weight, bias: bias, padding: [1, 1]) * scale + shift
    }
    try check([2, 8, 8, 4], kinds: [.convolution]) {
      shift + scale * $0.convolved(with: weight, padding: [1, 1]) - bias
    }
    try check([2, 8, 8, 4], kinds: [.convolution]) {
      $0.convolved(with: weight, padding: [1, 1]) * 3 + 0.5
    }
    try check([2, 8, 8, 4], kinds: [.convolution]) {
      $0.convolved(with: weight, bias: bias, padding: [1, 1])
        .channelScaled(by: scale, shift: shift)
    }
    let transposed = Tensor.random([4, 6, 2, 2], seed: 5)
    try check([1, 5, 6, 4], kinds: [.transposedConvolution]) {
      $0.transposedConvolved(with: transposed, stride: [2, 2]) * scale + shift
    }
    try check([3, 4], kinds: [.linear]) { [matrix = Tensor.random([6, 4], seed: 6)] in
      $0.linear(matrix) * scale + shift
    }
  }

  @Test("a ReLU of means is taken where they are made")
  func pooledReLU() throws {
    try check([2, 9, 12, 5], kinds: [.averagePool]) { $0.averagePooled(kernel: [2]).relu() }
    try check([2, 9, 12, 5], kinds: [.averagePool, .unary(.relu)]) {
      let means = $0.averagePooled(kernel: [3], stride: [2], padding: [1])
      return means.relu() + means
    }
  }

  @Test("ReLUs side by side are multiplied without being written")
  func joinedReLU() throws {
    let kernel = Tensor.random([6, 4, 3, 3], seed: 71)
    let (matrix, bias) = (Tensor.random([6, 14], seed: 72), Tensor.random([6], seed: 73))
    // More rows than a tile has, and not a multiple of it.
    try check(
      [2, 13, 11, 4], kinds: [.convolution, .unary(.negate), .linear, .binary(.add)]
    ) {
      let y = $0.convolved(with: kernel, padding: [1, 1])
      let parts = [y.relu(), $0, (-$0).relu()]
      return Tensor.concatenate(parts, axis: -1).linear(matrix, bias: bias) + y
    }
    // A part that others read, too, has to be written.
    let narrow = Tensor.random([6, 10], seed: 74)
    try check([2, 13, 11, 4], kinds: [.convolution, .concatenate, .linear, .binary(.add)]) {
      let y = $0.convolved(with: kernel, padding: [1, 1]).relu()
      return Tensor.concatenate([y, $0], axis: -1).linear(narrow, activation: .sigmoid) + y
    }
  }

  @Test("a bias that slows a convolution down is added by those who read its result")
  func deferredBias() throws {
    func weights(_ shape: Shape, seed: UInt64) -> (Tensor, Tensor) {
      (.random(shape, seed: seed), .random([shape[0]], seed: seed + 100))
    }
    let (first, second) = (weights([12, 8, 3, 3], seed: 75), weights([10, 8, 3, 3], seed: 76))
    let (matrix, step) = (weights([6, 22], seed: 77), Tensor.random([12, 6, 2, 2], seed: 78))
    try check(
      [2, 12, 14, 8],
      kinds: [.convolution, .convolution, .linear, .averagePool, .transposedConvolution]
    ) { x in
      let a = x.convolved(with: first.0, bias: first.1, padding: [1])
      let b = x.convolved(with: second.0, bias: second.1, padding: [1])
      let joined = Tensor.concatenate([a.relu(), b.relu()], axis: -1)
        .linear(matrix.0, bias: matrix.1)
      return joined
        + a.averagePooled(kernel: [2]).relu().transposedConvolved(with: step, stride: [2])
    }
    let narrow = weights([3, 10], seed: 79)
    try check([2, 7, 9, 8], kinds: [.convolution, .linear]) { x in
      x.convolved(with: second.0, bias: second.1, padding: [1]).linear(narrow.0, bias: narrow.1)
    }
    try check([2, 7, 9, 8], kinds: [.convolution, .linear]) { x in
      x.convolved(with: second.0, bias: second.1, padding: [1])
        .linear(narrow.0, activation: .sigmoid)
    }
    // A sum adds no bias, nor do means over padding.
    let square = weights([10, 10], seed: 80)
    try check([2, 7, 9, 8], kinds: [.convolution, .linear, .binary(.add)]) { x in
      let y = x.convolved(with: second.0, bias: second.1, padding: [1])
      return y.linear(square.0) + y
    }
    try check([2, 7, 9, 8], kinds: [.convolution, .averagePool]) { x in
      x.convolved(with: second.0, bias: second.1, padding: [1])
        .averagePooled(kernel: [3], stride: [2], padding: [1]).relu()
    }
  }

  @Test("what is added to an enlarged image, and a ReLU, belong to the enlargement")
  func enlargedSum() throws {
    let bias = Tensor.random([20], seed: 81)
    for (factor, hasBias) in [(2, true), (3, false)] {
      let weight = Tensor.random([5, 20, factor, factor], seed: 82)
      try check(
        [2, 7, 9, 5], kinds: [.transposedConvolution, .unary(.abs), .transposedConvolution]
      ) { x in
        let large = x.transposedConvolved(with: weight, stride: [factor])
        let other = large.absolute()
        let sum =
          other
          + x.transposedConvolved(
            with: weight * 2, bias: hasBias ? bias : nil, stride: [factor])
        return sum.relu()
      }
      // The sum is read twice: no ReLU.
      try check(
        [1, 5, 6, 5],
        kinds: [.transposedConvolution, .unary(.abs), .transposedConvolution, .unary(.relu)]
      ) { x in
        let other = x.transposedConvolved(with: weight, stride: [factor]).absolute()
        let sum =
          x.transposedConvolved(with: weight * 2, bias: hasBias ? bias : nil, stride: [factor])
          + other
        return sum.relu() * sum
      }
    }
    // Windows that overlap stay with the library.
    let wide = Tensor.random([5, 6, 3, 3], seed: 84)
    try check(
      [1, 5, 6, 5], kinds: [.transposedConvolution, .transposedConvolution, .unary(.abs)]
    ) {
      let other = $0.transposedConvolved(with: wide, stride: [2]).absolute()
      return $0.transposedConvolved(with: wide * 2, stride: [2]) + other
    }
  }

  @Test("a depthwise kernel takes the scale, not the shift")
  func depthwise() throws {
    let kernel = Tensor.random([4, 1, 3, 3], seed: 7)
    let (scale, shift) = (Self.positive(4, seed: 8), Tensor.random([4], seed: 9))
    try check([1, 6, 6, 4], kinds: [.depthwiseConvolution, .binary(.add)]) {
      $0.depthwiseConvolved(with: kernel) * scale + shift
    }
  }

  @Test("what is read elsewhere, and what is no channel's constant, stays")
  func unfoldable() throws {
    let weight = Tensor.random([4, 4, 3, 3], seed: 10)
    let scale = Self.positive(4, seed: 11)
    try check([1, 6, 6, 4], kinds: [.convolution, .binary(.multiply)]) {
      let y = $0.convolved(with: weight, padding: [1, 1])
      return y * scale + y
    }
    let columns = Tensor.random([4, 1], seed: 12)
    try check([1, 4, 4, 4], kinds: [.convolution, .binary(.multiply)]) {
      $0.convolved(with: weight, padding: [1, 1]) * columns
    }
    try check([1, 4, 4, 4], kinds: [.convolution, .binary(.subtract)]) {
      scale - $0.convolved(with: weight, padding: [1, 1])
    }
  }

  @Test("layer scales become part of the weight before them")
  func layerScale() throws {
    let (key, value) = (Tensor.random([12, 4], seed: 13), Tensor.random([4, 12], seed: 14))
    let square = Tensor.random([4, 4], seed: 15)
    let scale = Self.positive(4, seed: 16)
    try check([7, 4], kinds: [.feedForward]) {
      $0.feedForward(
        key: key, receptance: square, value: value, scale: scale, residual: $0)
    }
    try check([7, 4], kinds: [.unary(.abs), .feedForward]) {
      $0.feedForward(
        key: key, receptance: square, value: value, gate: $0.absolute(), scale: scale,
        residual: $0)
    }
    try check([7, 4], kinds: [.unary(.sigmoid), .gatedProjection]) {
      $0.gatedProjection(gate: $0.sigmoid(), weight: square, scale: scale, residual: $0)
    }
  }

  @Test("a layer norm's weight becomes part of the depthwise kernel after it, its bias does not")
  func normWeight() throws {
    let kernel = Tensor.random([4, 1, 5, 5], seed: 17)
    let (weight, bias) = (Self.positive(4, seed: 18), Tensor.random([4], seed: 19))
    try check([1, 8, 8, 4], kinds: [.depthwiseConvolution]) {
      $0.layerNormalized(weight: weight, bias: bias).depthwiseConvolved(with: kernel)
    }
    let tiny = Tensor([4], [1, 1e-6, 0, -1] as [Float])
    try check([1, 8, 8, 4], kinds: [.depthwiseConvolution]) {
      $0.layerNormalized(weight: tiny, bias: bias).depthwiseConvolved(with: kernel)
    }
  }

  @Test(
    "rows are normalised as the depthwise kernel reads them, in bands of any height",
    arguments: [
      [2, 1, 1, 3], [1, 3, 70, 12], [2, 37, 9, 20], [1, 300, 3, 4], [1, 40, 512, 48],
    ])
  func normShift(_ sizes: [Int]) throws {
    let channels = sizes[3]
    let (weight, bias) = (Self.positive(channels, seed: 18), Tensor.random([channels], seed: 19))
    for size in [3, 5] {
      let kernel = Tensor.random([channels, 1, size, size], seed: 17)
      try check(Shape(sizes), kinds: [.depthwiseConvolution]) {
        $0.layerNormalized(weight: weight, bias: bias).depthwiseConvolved(with: kernel)
      }
      try check(Shape(sizes), kinds: [.depthwiseConvolution]) {
        $0.layerNormalized(weight: nil, bias: nil).depthwiseConvolved(with: kernel)
      }
    }
    // A norm that is read elsewhere too stays.
    let kernel = Tensor.random([channels, 1, 5, 5], seed: 20)
    try check(Shape(sizes), kinds: [.layerNorm, .depthwiseConvolution, .binary(.add)]) {
      let y = $0.layerNormalized(weight: nil, bias: bias)
      return y.depthwiseConvolved(with: kernel) + y
    }
  }

  @Test("a plan in bfloat16 rounds the operands of matrix products, and nothing else")
  func bfloat16() throws {
    // Asked where plans are made: a test of the kernels may have chosen a level for this thread.
    guard Engine.shared.perform({ Precision.bfloat16.isSupported }) else { return }
    func weight(_ out: Int, _ inputs: Int, seed: UInt64) -> Tensor {
      .random([out, inputs], .uniform(-0.3..<0.3), seed: seed)
    }
    let (key, value) = (weight(48, 12, seed: 1), weight(12, 48, seed: 2))
    let (receptance, output) = (weight(12, 12, seed: 3), weight(7, 12, seed: 4))
    let (bias, scale) = (Tensor.random([12], seed: 5), Tensor.random([7], seed: 6))
    let bodies: [@Sendable (Tensor) -> Tensor] = [
      { $0.linear(receptance, bias: bias, activation: .sigmoid) },
      { $0.gatedProjection(gate: $0.absolute(), weight: output, scale: scale) },
      { $0.feedForward(key: key, receptance: receptance, value: value, residual: $0) },
      {
        $0.feedForward(
          key: key, receptance: receptance, value: value, gate: $0.absolute(), scale: bias,
          residual: $0)
      },
    ]
    for body in bodies {
      let x = Tensor.random([1, 9, 31, 12], seed: 7)
      let exact = body(x)
      let plan = try InferencePlan(x.shape, precision: .bfloat16, body)
      let rounded = try plan(x)
      let largest = exact.values.map(abs).max() ?? 0
      let difference = zip(rounded.values, exact.values).map { abs($0 - $1) }.max() ?? 0
      #expect(difference > 1e-5 && difference < 1e-2 * largest)
    }
    let same = Tensor.random([1, 4, 4, 12], seed: 8)
    let plan = try InferencePlan(same.shape, precision: .bfloat16) { $0.sigmoid() }
    #expect(try plan(same).values == same.sigmoid().values)
  }

  @Test("elementwise operations become one pass")
  func elementwise() throws {
    let (vector, number) = (Tensor.random([4], seed: 21), Tensor(0.7 as Float))
    let whole = Tensor.random([3, 5, 4], seed: 22)
    try check([3, 5, 4], kinds: [.unary(.sigmoid)]) {
      let y = 2 - ($0.sigmoid() * vector + whole) * 0.5
      return Tensor.maximum(number - (whole - y), number).leakyReLU(slope: 0.3) - vector
    }
    // The other operand of a link may be the input of the chain, and may be computed.
    try check([3, 5, 4], kinds: [.softmax, .unary(.tanh)]) {
      $0.hyperbolicTangent() * $0 + $0.softmax()
    }
    // A channel's value on the left of a difference is no link: the chain ends there.
    try check([3, 5, 4], kinds: [.unary(.sigmoid), .binary(.subtract), .unary(.abs)]) {
      (vector - $0.sigmoid().squared()).absolute().squareRoot()
    }
    // A result of the plan, or one that is read twice, ends a chain.
    try check([3, 5, 4], kinds: [.unary(.sigmoid), .unary(.square)]) {
      let y = $0.sigmoid()
      return y.squared() + y
    }
  }

  @Test(
    "an activation becomes part of the product before it",
    arguments: [UnaryFunction.relu, .reluSquared, .sigmoid])
  func activation(_ function: UnaryFunction) throws {
    let matrix = Tensor.random([5, 4], seed: 20)
    try check([7, 4], kinds: [.linear]) {
      let y = $0.linear(matrix)
      return switch function {
      case .relu: y.relu()
      case .reluSquared: y.reluSquared()
      default: y.sigmoid()
      }
    }
  }

  @Test("a ReLU becomes part of the convolution before it, behind its norm")
  func convolutionActivation() throws {
    let (weight, bias) = (Tensor.random([6, 4, 3, 3], seed: 30), Tensor.random([6], seed: 31))
    let scale = Self.positive(6, seed: 32)
    try check([2, 8, 8, 4], kinds: [.convolution]) {
      ($0.convolved(with: weight, bias: bias, padding: [1, 1]) * scale - bias).relu()
    }
    // A NaN stays visible.
    for (stride, count) in [(1, 9 * 6), (2, 4 * 6)] {
      let plan = try InferencePlan([1, 8, 8, 4]) {
        $0.convolved(with: weight, stride: [stride], padding: [1, 1]).relu()
      }
      var values = [Float](repeating: -0.5, count: 256)
      values[4 * (3 * 8 + 3)] = .nan
      let found = try plan(Tensor([1, 8, 8, 4], values)).values
      #expect(found.count(where: \.isNaN) == count)
    }
    try check([1, 7, 9, 4], kinds: [.convolution]) {
      $0.convolved(with: weight, stride: [2, 1]).leakyReLU(slope: 0.2)
    }
    try check([1, 7, 9, 4], kinds: [.convolution, .unary(.silu)]) {
      $0.convolved(with: weight).silu()
    }
  }

  /// Images of 9 and of 73 rows of 1600 and 120 pixels: several bands, none a multiple of the other.
  @Test(
    "rows of a shifted image are multiplied while they are in the cache",
    arguments: [[1, 73, 120, 64], [2, 9, 1600, 20]])
  func shiftedProducts(_ dimensions: [Int]) throws {
    let (shape, c) = (Shape(dimensions), dimensions[3])
    let kernel = Tensor.random([c, 1, 5, 5], .uniform(-0.2..<0.2), seed: 40)
    let (weight, bias) = (Self.positive(c, seed: 41), Tensor.random([c], seed: 42))
    let matrices = (0..<3).map { Tensor.random([c, c], .uniform(-0.2..<0.2), seed: 43 + $0) }
    let parts: [OperationKind] = [.slice, .reshape]
    // Keys, values and receptances; then one result is written over, and the others must stay.
    try check(shape, kinds: [.shiftedProducts] + parts + parts + parts + [.softmax, .unary(.tanh)])
    {
      let s = $0.layerNormalized(weight: weight, bias: bias).depthwiseConvolved(with: kernel)
      let (k, v) = (s.linear(matrices[0]), s.linear(matrices[1]))
      let r = s.linear(matrices[2], bias: bias, activation: .sigmoid)
      return v.softmax().hyperbolicTangent() * k + r
    }
    try check(shape, kinds: [.unary(.abs), .shiftedProducts]) {
      let x = $0.absolute()
      return x.depthwiseConvolved(with: kernel).feedForward(
        key: matrices[0], receptance: matrices[1], value: matrices[2], scale: weight, residual: x)
    }
    // What a product reads besides must be there before the shift; a result of the plan is written.
    try check(shape, kinds: [.depthwiseConvolution, .unary(.abs), .feedForward]) {
      let s = $0.depthwiseConvolved(with: kernel)
      return s.feedForward(
        key: matrices[0], receptance: matrices[1], value: matrices[2], residual: s.absolute())
    }
  }

  @Test(
    "a convolution's result moves between channels and pixels before it is written",
    arguments: [[1, 7, 5, 3], [2, 18, 130, 12], [1, 6, 12, 40], [2, 3, 1, 1], [1, 30, 6, 7]])
  func shuffledConvolution(_ dimensions: [Int]) throws {
    let (shape, c) = (Shape(dimensions), dimensions[3])
    @Sendable func weight(_ outputs: Int, _ kernel: [Int]) -> Tensor {
      .random(Shape([outputs, c] + kernel), .uniform(-0.3..<0.3), seed: 60)
    }
    for (factor, outputs) in [(2, 8), (2, 20), (3, 9), (1, 5)] {
      let bias = Tensor.random([outputs], seed: 61)
      for kernel in [[3, 3], [1, 4], [2, 1]] {
        let padding = [kernel[0] / 2, kernel[1] / 2]
        try check(shape, kinds: [.convolution]) {
          $0.convolved(with: weight(outputs, kernel), bias: bias, padding: padding)
            .pixelShuffled(by: factor)
        }
      }
      guard dimensions[1] % factor == 0, dimensions[2] % factor == 0 else { continue }
      try check(shape, kinds: [.convolution]) {
        $0.convolved(with: weight(outputs, [3, 3]), padding: [1, 1]).pixelUnshuffled(by: factor)
      }
      try check(shape, kinds: [.convolution]) {
        $0.convolved(with: weight(outputs, [1, 5]), bias: bias, padding: [0, 2])
          .pixelUnshuffled(by: factor)
      }
    }
  }

  @Test("other convolutions, and those that are read elsewhere, are moved afterwards")
  func unshuffledConvolution() throws {
    let weight = Tensor.random([8, 4, 3, 3], seed: 62)
    let grouped = Tensor.random([8, 2, 3, 3], seed: 63)
    let kinds: [OperationKind] = [.convolution, .pixelShuffle]
    try check([1, 9, 7, 4], kinds: kinds) {
      $0.convolved(with: weight, stride: [2, 1], padding: [1, 1]).pixelShuffled(by: 2)
    }
    try check([1, 9, 7, 4], kinds: kinds) {
      $0.convolved(with: weight, dilation: [2, 2]).pixelShuffled(by: 2)
    }
    try check([1, 9, 7, 4], kinds: kinds) {
      $0.convolved(with: grouped, groups: 2).pixelShuffled(by: 2)
    }
    try check([1, 9, 7, 4], kinds: kinds) {
      $0.convolved(with: weight).relu().pixelShuffled(by: 2)
    }
    try check([1, 8, 8, 4], kinds: kinds + [.pixelUnshuffle, .binary(.add)]) {
      let y = $0.convolved(with: weight, padding: [1, 1])
      return y.pixelShuffled(by: 2).pixelUnshuffled(by: 2) + y
    }
  }

  @Test("a shift and its products have the same bits together and apart, in bfloat16 too")
  func shiftedProductsInBFloat16() throws {
    guard Engine.shared.perform({ Precision.bfloat16.isSupported }) else { return }
    let shape: Shape = [1, 64, 96, 96]
    let kernel = Tensor.random([96, 1, 5, 5], .uniform(-0.2..<0.2), seed: 50)
    let matrices = (0..<3).map { Tensor.random([96, 96], .uniform(-0.2..<0.2), seed: 51 + $0) }
    let body: @Sendable (Tensor) -> Tensor = {
      let s = $0.depthwiseConvolved(with: kernel)
      let y = s.linear(matrices[0]) - s.linear(matrices[1], activation: .sigmoid)
      return y.depthwiseConvolved(with: kernel).feedForward(
        key: matrices[0], receptance: matrices[1], value: matrices[2], residual: y)
    }
    let x = Tensor.random(shape, seed: 54)
    let together = try InferencePlan(shape, precision: .bfloat16, body)
    #expect(together.kinds.count { $0 == .shiftedProducts } == 2)
    let apart = try InferencePlan(shape, precision: .bfloat16, rewrites: false, body)
    #expect(try together(x).values == apart(x).values)
  }
}
