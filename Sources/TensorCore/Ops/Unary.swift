import Kernels

/// A function of one number, element by element.
struct Unary: Operation {
  let function: UnaryFunction
  /// The slope of a leaky ReLU below zero, the scale of an ELU; unused otherwise.
  var parameter: Float = 0

  var kind: OperationKind { .unary(function) }

  var backwardReads: BackwardReads {
    switch function {
    case .negate: .nothing
    case .abs, .square, .log, .sin, .cos, .softplus, .reluSquared, .leakyReLU, .silu, .gelu: .inputs
    case .sqrt, .rsqrt, .reciprocal, .exp, .tanh, .sigmoid, .relu: .output
    case .elu: .everything
    }
  }

  var code: k_unary {
    switch function {
    case .negate: K_UNARY_NEGATE
    case .exp: K_UNARY_EXP
    case .log: K_UNARY_LOG
    case .sqrt: K_UNARY_SQUARE_ROOT
    case .rsqrt: K_UNARY_RSQRT
    case .abs: K_UNARY_ABSOLUTE
    case .square: K_UNARY_SQUARE
    case .reciprocal: K_UNARY_RECIPROCAL
    case .relu: K_UNARY_RELU
    case .reluSquared: K_UNARY_RELU_SQUARED
    case .leakyReLU: K_UNARY_LEAKY_RELU
    case .elu: K_UNARY_ELU
    case .sigmoid: K_UNARY_SIGMOID
    case .tanh: K_UNARY_TANH
    case .silu: K_UNARY_SILU
    case .gelu: K_UNARY_GELU
    case .softplus: K_UNARY_SOFTPLUS
    case .sin: K_UNARY_SIN
    case .cos: K_UNARY_COS
    }
  }

  func outputShape(_ inputs: [Shape]) -> Shape { inputs[0] }
  func canOverwrite(input index: Int, _ inputs: [Shape]) -> Bool { true }
  var writesSpacedRows: Bool { true }

  func forward(_ pass: ForwardPass) {
    let (x, y, code, parameter) = (pass.inputs[0].pointer, pass.output.pointer, code, parameter)
    let (channels, stride) = (pass.output.shape.channels, pass.output.rowStride)
    guard stride == channels else {
      let grain = max(1, ElementChunks.elements / channels)
      return pass.workers.run(count: pass.output.shape.rows, grain: grain) { rows in
        k_unary_forward_rows(
          y + rows.lowerBound * stride, stride, x + rows.lowerBound * channels, code, parameter,
          rows.count, channels)
      }
    }
    pass.workers.run(count: pass.output.count, grain: ElementChunks.elements) { range in
      k_unary_forward(y + range.lowerBound, x + range.lowerBound, code, parameter, range.count)
    }
  }

  func backward(_ pass: BackwardPass) {
    guard let dx = pass.inputGradients[0]?.pointer else { return }
    let (dy, code, parameter) = (pass.outputGradient.pointer, code, parameter)
    let (x, y) = (pass.inputs[0]?.pointer, pass.output?.pointer)
    pass.workers.run(count: pass.outputGradient.count, grain: ElementChunks.elements) { range in
      let first = range.lowerBound
      k_unary_backward(
        dx + first, dy + first, x.map { $0 + first }, y.map { $0 + first }, code, parameter, false,
        range.count)
    }
  }
}

/// `scale · x + offset`, element by element.
struct Affine: Operation {
  let scale: Float
  let offset: Float

  var kind: OperationKind { .affine }
  var backwardReads: BackwardReads { .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape { inputs[0] }
  func passesGradient(toInput index: Int, _ inputs: [Shape]) -> Bool { scale == 1 }
  func canOverwrite(input index: Int, _ inputs: [Shape]) -> Bool { true }

  func forward(_ pass: ForwardPass) {
    let (x, y, scale, offset) = (pass.inputs[0].pointer, pass.output.pointer, scale, offset)
    pass.workers.run(count: pass.output.count, grain: ElementChunks.elements) { range in
      k_affine(y + range.lowerBound, x + range.lowerBound, scale, offset, range.count)
    }
  }

  func backward(_ pass: BackwardPass) {
    guard let dx = pass.inputGradients[0]?.pointer else { return }
    let (dy, scale) = (pass.outputGradient.pointer, scale)
    pass.workers.run(count: pass.outputGradient.count, grain: ElementChunks.elements) { range in
      k_affine(dx + range.lowerBound, dy + range.lowerBound, scale, 0, range.count)
    }
  }
}

extension Tensor {
  private func unary(_ function: UnaryFunction, _ parameter: Float = 0) -> Tensor {
    Tensor.apply(Unary(function: function, parameter: parameter), [self])
  }

  /// −x.
  public static prefix func - (x: Tensor) -> Tensor { x.unary(.negate) }
  /// eˣ.
  public func exponential() -> Tensor { unary(.exp) }
  /// The natural logarithm.
  public func logarithm() -> Tensor { unary(.log) }
  /// √x.
  public func squareRoot() -> Tensor { unary(.sqrt) }
  /// 1 / √x.
  public func reciprocalSquareRoot() -> Tensor { unary(.rsqrt) }
  /// |x|; the gradient at 0 is 0.
  public func absolute() -> Tensor { unary(.abs) }
  /// x².
  public func squared() -> Tensor { unary(.square) }
  /// 1 / x.
  public func reciprocal() -> Tensor { unary(.reciprocal) }
  /// max(x, 0).
  public func relu() -> Tensor { unary(.relu) }
  /// max(x, 0)².
  public func reluSquared() -> Tensor { unary(.reluSquared) }
  /// x above 0, `slope` · x below.
  public func leakyReLU(slope: Float = 0.01) -> Tensor { unary(.leakyReLU, slope) }
  /// x above 0, `scale` · (eˣ − 1) below.
  public func elu(scale: Float = 1) -> Tensor { unary(.elu, scale) }
  /// 1 / (1 + e⁻ˣ).
  public func sigmoid() -> Tensor { unary(.sigmoid) }
  /// tanh x.
  public func hyperbolicTangent() -> Tensor { unary(.tanh) }
  /// x · σ(x).
  public func silu() -> Tensor { unary(.silu) }
  /// x · Φ(x), with the exact normal distribution.
  public func gelu() -> Tensor { unary(.gelu) }
  /// ln(1 + eˣ).
  public func softplus() -> Tensor { unary(.softplus) }
  /// sin x, x in radians.
  public func sine() -> Tensor { unary(.sin) }
  /// cos x, x in radians.
  public func cosine() -> Tensor { unary(.cos) }

  /// `scale` · x + `offset`.
  public func scaled(by scale: Float, adding offset: Float = 0) -> Tensor {
    Tensor.apply(Affine(scale: scale, offset: offset), [self])
  }
}
