import Kernels

/// ``Linear`` of tensors side by side, some of them through a ReLU, in inference plans.
///
/// A few rows at a time are joined in the cache and multiplied there: neither the whole nor the ReLUs are
/// written.
///
/// Inputs: the parts, then weight and bias as ``Linear`` has them, then a shift `[C]` for each part that
/// has one.
struct JoinedLinear: NonDifferentiableOperation {
  let linear: Linear
  /// For each part whether its ReLU is multiplied.
  let isRectified: [Bool]
  /// For each part whether it is shifted before its ReLU; of rectified parts alone.
  var hasShift: [Bool]

  init(linear: Linear, isRectified: [Bool]) {
    self.linear = linear
    self.isRectified = isRectified
    hasShift = isRectified.map { _ in false }
  }

  /// The number of weight and bias.
  private var parameters: Int { linear.hasBias ? 2 : 1 }

  var kind: OperationKind { .linear }

  private var parts: Range<Int> { isRectified.indices }

  /// The shapes that ``linear`` sees.
  private func joined(_ inputs: [Shape]) -> [Shape] {
    [Concatenate(axis: inputs[0].rank - 1).outputShape(Array(inputs[parts]))]
      + inputs[parts.upperBound..<parts.upperBound + parameters]
  }

  func outputShape(_ inputs: [Shape]) -> Shape { linear.outputShape(joined(inputs)) }

  func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation? {
    guard index == parts.upperBound else { return nil }
    return linear.preparation(ofInput: 1, joined(inputs), pass)
  }

  func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    linear.prepare(preparation, ofInput: 1, joined(inputs), from: source, into: destination)
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    Engine.shared.workers.threads * RowChunks.rows * joined(inputs)[0].channels
  }

  func forward(_ pass: ForwardPass) {
    let weight = pass.inputs[parts.upperBound].shape
    let (n, k) = (weight[0], weight[1])
    let packed = pass.prepared[parts.upperBound].map { UnsafePointer($0) }
    var epilogue = k_epilogue()
    epilogue.bias =
      linear.hasBias ? UnsafePointer(pass.inputs[parts.upperBound + 1].pointer) : nil
    epilogue.activation = linear.activation.code
    let (rows, y, scratch) = (pass.output.shape.rows, pass.output.pointer, pass.scratch)
    var shifts = pass.inputs[(parts.upperBound + parameters)...].makeIterator()
    let sources = parts.map { part in
      (
        tensor: pass.inputs[part], isRectified: isRectified[part],
        shift: hasShift[part] ? shifts.next()?.pointer : nil
      )
    }
    pass.workers.run(chunks: (rows + RowChunks.rows - 1) / RowChunks.rows) { chunk, worker in
      let first = chunk * RowChunks.rows
      let count = min(RowChunks.rows, rows - first)
      let whole = scratch + worker * RowChunks.rows * k
      var place = whole
      for (part, isRectified, shift) in sources {
        let channels = part.shape.channels
        let x = part.pointer + first * channels
        if let shift {
          k_shifted_relu_rows(place, k, x, shift, count, channels)
        } else if isRectified {
          k_unary_forward_rows(place, k, x, K_UNARY_RELU, 0, count, channels)
        } else {
          k_copy_rows(place, k, x, channels, false, count, channels)
        }
        place += channels
      }
      var epilogue = epilogue
      k_gemm(y + first * n, n, whole, k, packed, &epilogue, count, n, k)
    }
  }
}
