import Kernels

/// Elementwise operations one after the other, a chunk of elements at a time: the results between them
/// never leave the cache.
///
/// Input 0 has the output's shape and runs through all links; each link has at most one more input.
struct ElementwiseChain: NonDifferentiableOperation {
  /// One operation of the chain.
  enum Link {
    case unary(k_unary, parameter: Float)
    case affine(scale: Float, offset: Float)
    /// With a tensor of the output's shape, which may stand on the left.
    case binary(k_binary, input: Int, isLeft: Bool)
    /// With a value for each channel, on the right.
    case columns(k_binary, input: Int)
    /// With one value, which may stand on the left.
    case number(k_binary, input: Int, isLeft: Bool)

    /// The link's own input.
    var input: Int? {
      switch self {
      case .unary, .affine: nil
      case .binary(_, let input, _), .columns(_, let input), .number(_, let input, _): input
      }
    }

    /// The same link with its input elsewhere.
    func reading(_ input: Int) -> Link {
      switch self {
      case .unary, .affine: self
      case .binary(let function, _, let isLeft):
        .binary(function, input: input, isLeft: isLeft)
      case .columns(let function, _): .columns(function, input: input)
      case .number(let function, _, let isLeft):
        .number(function, input: input, isLeft: isLeft)
      }
    }
  }

  let links: [Link]
  /// The kind of the first operation.
  let kind: OperationKind

  func outputShape(_ inputs: [Shape]) -> Shape { inputs[0] }

  /// Later inputs are read after the first link wrote.
  func canOverwrite(input index: Int, _ inputs: [Shape]) -> Bool { index == 0 }

  func forward(_ pass: ForwardPass) {
    let channels = max(1, pass.output.shape.channels)
    let (source, target) = (pass.inputs[0].pointer, pass.output.pointer)
    // 32 KiB a stream, so that a chunk stays in the nearest cache from link to link.
    pass.workers.run(count: pass.output.shape.rows, grain: max(1, 8192 / channels)) { rows in
      let (first, count) = (rows.lowerBound * channels, rows.count * channels)
      var x = UnsafePointer(source + first)
      let y = target + first
      for link in links {
        switch link {
        case .unary(let function, let parameter): k_unary_forward(y, x, function, parameter, count)
        case .affine(let scale, let offset): k_affine(y, x, scale, offset, count)
        case .binary(let function, let input, let isLeft):
          let other = UnsafePointer(pass.inputs[input].pointer + first)
          k_binary_forward(y, isLeft ? other : x, 1, isLeft ? x : other, 1, function, false, count)
        case .columns(let function, let input):
          k_binary_columns(
            y, x, pass.inputs[input].pointer, function, false, rows.count, channels)
        case .number(let function, let input, let isLeft):
          let other = UnsafePointer(pass.inputs[input].pointer)
          k_binary_forward(
            y, isLeft ? other : x, isLeft ? 0 : 1, isLeft ? x : other, isLeft ? 1 : 0, function,
            false, count)
        }
        x = UnsafePointer(y)
      }
    }
  }
}
