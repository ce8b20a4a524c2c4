import Kernels

/// Chunks of rows with a private sum for each channel; fixed by the shape.
private struct RowParts {
  let rows: Int
  let count: Int

  init(_ shape: Shape) {
    rows = shape.rows
    count = max(1, min(64, shape.count / (4 * ElementChunks.elements)))
  }

  func range(_ part: Int) -> Range<Int> { rows * part / count..<rows * (part + 1) / count }
}

/// `b + m · (a − b)` with one weight m for each channel: inputs a, b `[…, C]` and m of C elements.
struct Blend: Operation {
  var kind: OperationKind { .blend }

  func outputShape(_ inputs: [Shape]) -> Shape {
    precondition(
      inputs[0] == inputs[1] && inputs[2].count == inputs[0].channels,
      "blend: \(inputs[0]) and \(inputs[1]) with weight \(inputs[2]), expected one per channel")
    return inputs[0]
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    pass == .forward ? 0 : RowParts(inputs[0]).count * inputs[0].channels
  }

  func forward(_ pass: ForwardPass) {
    let c = pass.output.shape.channels
    let (a, b, m) = (pass.inputs[0].pointer, pass.inputs[1].pointer, pass.inputs[2].pointer)
    let y = pass.output.pointer
    pass.workers.run(
      count: pass.output.shape.rows, grain: ElementChunks.elements / max(1, c)
    ) { rows in
      let first = rows.lowerBound * c
      k_blend_forward(y + first, a + first, b + first, m, rows.count, c)
    }
  }

  func backward(_ pass: BackwardPass) {
    let c = pass.shapes[0].channels
    let (a, b, m) = (pass.input(0).pointer, pass.input(1).pointer, pass.input(2).pointer)
    let (dy, sums) = (pass.outputGradient.pointer, pass.scratch)
    let (da, db, dm) = (
      pass.inputGradients[0]?.pointer, pass.inputGradients[1]?.pointer, pass.inputGradients[2]
    )
    let parts = RowParts(pass.shapes[0])
    pass.workers.run(chunks: parts.count) { part in
      let rows = parts.range(part)
      let first = rows.lowerBound * c
      let sum = sums + part * c
      sum.update(repeating: 0, count: c)
      k_blend_backward(
        da.map { $0 + first }, db.map { $0 + first }, dm == nil ? nil : sum, dy + first, a + first,
        b + first, m, rows.count, c)
    }
    if let dm { k_sum_parts(dm.pointer, sums, false, 0, c, parts.count, c) }
  }
}

/// `scale · x + shift` with one pair for each channel: inputs x `[…, C]`, scale and shift `[C]`.
struct ChannelAffine: Operation {
  var kind: OperationKind { .channelAffine }
  var backwardReads: BackwardReads { .only([0, 1]) }

  func outputShape(_ inputs: [Shape]) -> Shape {
    precondition(
      inputs[1].count == inputs[0].channels && inputs[2].count == inputs[0].channels,
      "channelAffine: \(inputs[0]) with scale \(inputs[1]) and shift \(inputs[2])")
    return inputs[0]
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    pass == .forward ? 0 : 2 * RowParts(inputs[0]).count * inputs[0].channels
  }

  func forward(_ pass: ForwardPass) {
    let c = pass.output.shape.channels
    let (x, scale, shift) = (
      pass.inputs[0].pointer, pass.inputs[1].pointer, pass.inputs[2].pointer
    )
    let y = pass.output.pointer
    pass.workers.run(
      count: pass.output.shape.rows, grain: ElementChunks.elements / max(1, c)
    ) { rows in
      let first = rows.lowerBound * c
      k_channel_affine_forward(y + first, x + first, scale, shift, rows.count, c)
    }
  }

  func backward(_ pass: BackwardPass) {
    let c = pass.shapes[0].channels
    let (x, scale, dy) = (
      pass.input(0).pointer, pass.input(1).pointer, pass.outputGradient.pointer
    )
    let dx = pass.inputGradients[0]?.pointer
    let parts = RowParts(pass.shapes[0])
    let (scales, shifts) = (pass.scratch, pass.scratch + parts.count * c)
    let (wantsScale, wantsShift) = (pass.inputGradients[1] != nil, pass.inputGradients[2] != nil)
    pass.workers.run(chunks: parts.count) { part in
      let rows = parts.range(part)
      let first = rows.lowerBound * c
      for sums in [scales, shifts] { (sums + part * c).update(repeating: 0, count: c) }
      k_channel_affine_backward(
        dx.map { $0 + first }, wantsScale ? scales + part * c : nil,
        wantsShift ? shifts + part * c : nil, dy + first, x + first, scale, rows.count, c)
    }
    for (gradient, sums) in [(pass.inputGradients[1], scales), (pass.inputGradients[2], shifts)] {
      if let gradient { k_sum_parts(gradient.pointer, sums, false, 0, c, parts.count, c) }
    }
  }
}

extension Tensor {
  /// `weight · self + (1 − weight) · other`, with one weight for each channel.
  ///
  /// - Parameters:
  ///   - other: A tensor of this one's shape, `[…, C]`.
  ///   - weight: C elements; other axes of its shape have size 1.
  /// - Returns: `[…, C]`.
  public func blended(with other: Tensor, weight: Tensor) -> Tensor {
    Tensor.apply(Blend(), [self, other, weight])
  }

  /// `scale · self + shift`, with one pair for each channel of `[…, C]`; both `[C]`.
  public func channelScaled(by scale: Tensor, shift: Tensor) -> Tensor {
    Tensor.apply(ChannelAffine(), [self, scale, shift])
  }
}
