import Kernels

/// A function of two numbers, element by element, with NumPy's broadcasting.
struct Binary: Operation {
  let function: BinaryFunction

  var kind: OperationKind { .binary(function) }

  var backwardReads: BackwardReads {
    switch function {
    case .add, .subtract: .nothing
    case .multiply, .divide, .maximum, .minimum: .inputs
    }
  }

  var code: k_binary {
    switch function {
    case .add: K_BINARY_ADD
    case .subtract: K_BINARY_SUBTRACT
    case .multiply: K_BINARY_MULTIPLY
    case .divide: K_BINARY_DIVIDE
    case .maximum: K_BINARY_MAXIMUM
    case .minimum: K_BINARY_MINIMUM
    }
  }

  func passesGradient(toInput index: Int, _ inputs: [Shape]) -> Bool {
    guard inputs[index] == outputShape(inputs) else { return false }
    return function == .add || (function == .subtract && index == 0)
  }

  func canOverwrite(input index: Int, _ inputs: [Shape]) -> Bool {
    inputs[index] == outputShape(inputs)
  }

  func outputShape(_ inputs: [Shape]) -> Shape {
    guard let shape = inputs[0].broadcast(with: inputs[1]) else {
      preconditionFailure("\(function): \(inputs[0]) and \(inputs[1]) do not broadcast")
    }
    return shape
  }

  func forward(_ pass: ForwardPass) {
    let loop = BroadcastLoop(pass.output.shape, pass.inputs[0].shape, pass.inputs[1].shape)
    let (a, b, y) = (pass.inputs[0].pointer, pass.inputs[1].pointer, pass.output.pointer)
    let code = code
    if loop.outer.isEmpty {
      return pass.workers.run(count: loop.run, grain: ElementChunks.elements) { range in
        k_binary_forward(
          y + range.lowerBound, a + range.lowerBound * loop.aStep, loop.aStep,
          b + range.lowerBound * loop.bStep, loop.bStep, code, false, range.count)
      }
    }
    let isColumns = loop.isDenseByRow && loop.aStep == 1 && loop.bStep == 1
    pass.workers.run(
      count: loop.outerCount, grain: max(1, ElementChunks.elements / loop.run)
    ) { range in
      if isColumns {
        let first = range.lowerBound * loop.run
        k_binary_columns(y + first, a + first, b, code, false, range.count, loop.run)
        return
      }
      loop.forEach(in: range) { index, aOffset, bOffset in
        k_binary_forward(
          y + index * loop.run, a + aOffset, loop.aStep, b + bOffset, loop.bStep, code, false,
          loop.run)
      }
    }
  }

  func backward(_ pass: BackwardPass) {
    let dy = pass.outputGradient
    let loop = BroadcastLoop(dy.shape, pass.shapes[0], pass.shapes[1])
    // The rules of addition and subtraction do not read the inputs; any memory stands in for them.
    let a = pass.inputs[0]?.pointer ?? dy.pointer
    let b = pass.inputs[1]?.pointer ?? dy.pointer
    let (da, db) = (pass.inputGradients[0], pass.inputGradients[1])
    let code = code
    if loop.outer.isEmpty, loop.aStep == 1, loop.bStep == 1 {
      return pass.workers.run(count: loop.run, grain: ElementChunks.elements) { range in
        let first = range.lowerBound
        for gradient in [da, db] { (gradient?.pointer).map { k_fill($0 + first, 0, range.count) } }
        k_binary_backward(
          da.map { $0.pointer + first }, db.map { $0.pointer + first }, dy.pointer + first,
          a + first, 1, b + first, 1, code, range.count)
      }
    }
    // Sums over broadcast axes land in shared memory, so this one loop runs in order.
    for gradient in [da, db] { gradient.map { k_fill($0.pointer, 0, $0.count) } }
    loop.forEach(in: 0..<loop.outerCount) { index, aOffset, bOffset in
      k_binary_backward(
        da.map { $0.pointer + aOffset }, db.map { $0.pointer + bOffset },
        dy.pointer + index * loop.run, a + aOffset, loop.aStep, b + bOffset, loop.bStep, code,
        loop.run)
    }
  }
}

/// Two operands' positions along the output, as a loop over runs in which each operand either moves
/// in step with the output or stays.
struct BroadcastLoop {
  /// Axes around the runs, outermost first: size and the operands' strides (0: broadcast).
  let outer: [(size: Int, aStride: Int, bStride: Int)]
  /// Elements of a run.
  let run: Int
  /// 1 if the operand moves along a run, 0 if it stays.
  let aStep: Int
  let bStep: Int

  init(_ output: Shape, _ a: Shape, _ b: Shape) {
    let (aStrides, bStrides) = (Self.strides(of: a, in: output), Self.strides(of: b, in: output))
    var merged: [(size: Int, aStride: Int, bStride: Int)] = []
    for axis in output.dimensions.indices.reversed() where output.dimensions[axis] != 1 {
      let (size, aStride, bStride) = (output.dimensions[axis], aStrides[axis], bStrides[axis])
      if let last = merged.last, aStride == last.aStride * last.size,
        bStride == last.bStride * last.size
      {
        merged[merged.count - 1].size *= size
      } else {
        merged.append((size, aStride, bStride))
      }
    }
    let inner = merged.first ?? (1, 1, 1)
    run = inner.size
    aStep = inner.aStride
    bStep = inner.bStride
    outer = merged.dropFirst().reversed()
  }

  var outerCount: Int { outer.reduce(1) { $0 * $1.size } }

  /// Whether the loop is `y[r, c] = f(a[r, c], b[c])`.
  var isDenseByRow: Bool { outer.count == 1 && outer[0].aStride == run && outer[0].bStride == 0 }

  /// Calls `body` with each run's index and the operands' offsets, in order.
  func forEach(in range: Range<Int>, _ body: (_ index: Int, _ a: Int, _ b: Int) -> Void) {
    for index in range {
      var (rest, a, b) = (index, 0, 0)
      for axis in outer.reversed() {
        let position = rest % axis.size
        rest /= axis.size
        a += position * axis.aStride
        b += position * axis.bStride
      }
      body(index, a, b)
    }
  }

  private static func strides(of shape: Shape, in output: Shape) -> [Int] {
    let missing = output.rank - shape.rank
    let own = shape.strides
    return output.dimensions.indices.map { axis in
      axis < missing || shape.dimensions[axis - missing] == 1 ? 0 : own[axis - missing]
    }
  }
}

extension Tensor {
  /// Sum, with broadcasting.
  public static func + (a: Tensor, b: Tensor) -> Tensor { apply(Binary(function: .add), [a, b]) }
  /// Difference, with broadcasting.
  public static func - (a: Tensor, b: Tensor) -> Tensor {
    apply(Binary(function: .subtract), [a, b])
  }
  /// Product, with broadcasting.
  public static func * (a: Tensor, b: Tensor) -> Tensor {
    apply(Binary(function: .multiply), [a, b])
  }
  /// Quotient, with broadcasting.
  public static func / (a: Tensor, b: Tensor) -> Tensor {
    apply(Binary(function: .divide), [a, b])
  }
  /// The larger of two numbers, with broadcasting; equal numbers share the gradient.
  public static func maximum(_ a: Tensor, _ b: Tensor) -> Tensor {
    apply(Binary(function: .maximum), [a, b])
  }
  /// The smaller of two numbers, with broadcasting; equal numbers share the gradient.
  public static func minimum(_ a: Tensor, _ b: Tensor) -> Tensor {
    apply(Binary(function: .minimum), [a, b])
  }

  /// x + a.
  public static func + (x: Tensor, a: Float) -> Tensor { x.scaled(by: 1, adding: a) }
  /// a + x.
  public static func + (a: Float, x: Tensor) -> Tensor { x.scaled(by: 1, adding: a) }
  /// x − a.
  public static func - (x: Tensor, a: Float) -> Tensor { x.scaled(by: 1, adding: -a) }
  /// a − x.
  public static func - (a: Float, x: Tensor) -> Tensor { x.scaled(by: -1, adding: a) }
  /// x · a.
  public static func * (x: Tensor, a: Float) -> Tensor { x.scaled(by: a) }
  /// a · x.
  public static func * (a: Float, x: Tensor) -> Tensor { x.scaled(by: a) }
  /// x / a.
  public static func / (x: Tensor, a: Float) -> Tensor { x.scaled(by: 1 / a) }
  /// a / x.
  public static func / (a: Float, x: Tensor) -> Tensor { x.reciprocal().scaled(by: a) }
}
