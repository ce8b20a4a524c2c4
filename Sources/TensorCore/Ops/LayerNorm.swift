import Kernels

/// Normalises each row over the innermost axis to mean 0 and variance 1, then scales and shifts.
///
/// Inputs: x, then weight and bias `[C]` if present.
struct LayerNorm: Operation {
  let eps: Float
  let parameters: NormParameters

  var kind: OperationKind { .layerNorm }
  var backwardReads: BackwardReads {
    .only(parameters.hasWeight ? [0, 1] : [0])
  }

  func addsGradient(toInput index: Int, _ inputs: [Shape]) -> Bool { true }

  func outputShape(_ inputs: [Shape]) -> Shape {
    parameters.check("layerNorm", inputs)
    precondition(inputs[0].channels > 0, "layerNorm: \(inputs[0]) has no channels")
    return inputs[0]
  }

  /// The mean and the reciprocal standard deviation of each row.
  func savedCount(_ inputs: [Shape]) -> Int { 2 * inputs[0].rows }

  /// Backward works in chunks of rows with a result of their own for the parameters.
  private struct Chunks {
    let rowsPerChunk: Int
    let count: Int
    /// Rows whose input gradient is kept where nobody asks for it.
    let spareRows: Int

    init(_ shape: Shape) {
      rowsPerChunk = max(16, (shape.rows + 63) / 64)
      count = (shape.rows + rowsPerChunk - 1) / rowsPerChunk
      spareRows = 16
    }
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    if pass == .forward { return 0 }
    let chunks = Chunks(inputs[0])
    return chunks.count * (2 + chunks.spareRows) * inputs[0].channels
  }

  func forward(_ pass: ForwardPass) {
    let (x, y) = (pass.inputs[0], pass.output)
    let (rows, channels) = (x.shape.rows, x.shape.channels)
    let (mean, rstd) = (pass.saved, pass.saved + rows)
    let weight = parameters.weightIndex.map { pass.inputs[$0].pointer }
    let bias = parameters.biasIndex.map { pass.inputs[$0].pointer }
    pass.workers.run(count: rows, grain: (1 << 15) / channels) { range in
      let (row, start) = (range.lowerBound, range.lowerBound * channels)
      k_layer_norm_forward(
        y.pointer + start, mean + row, rstd + row, x.pointer + start, weight, bias, eps,
        range.count, channels)
    }
  }

  func backward(_ pass: BackwardPass) {
    let (x, upstream) = (pass.input(0), pass.outputGradient)
    let (rows, channels) = (x.shape.rows, x.shape.channels)
    let (mean, rstd) = (pass.saved, pass.saved + rows)
    let weight = parameters.weightIndex.map { pass.input($0).pointer }
    let weightGradient = parameters.weightIndex.flatMap { pass.inputGradients[$0] }
    let biasGradient = parameters.biasIndex.flatMap { pass.inputGradients[$0] }
    let chunks = Chunks(x.shape)
    let weightParts = pass.scratch
    let biasParts = weightParts + chunks.count * channels
    let spare = biasParts + chunks.count * channels
    pass.workers.run(chunks: chunks.count) { chunk in
      let weightPart = weightGradient.map { _ in weightParts + chunk * channels }
      let biasPart = biasGradient.map { _ in biasParts + chunk * channels }
      weightPart?.update(repeating: 0, count: channels)
      biasPart?.update(repeating: 0, count: channels)
      let range = chunk * chunks.rowsPerChunk..<min(rows, (chunk + 1) * chunks.rowsPerChunk)
      let step = pass.inputGradients[0] == nil ? chunks.spareRows : range.count
      for row in stride(from: range.lowerBound, to: range.upperBound, by: step) {
        let start = row * channels
        k_layer_norm_backward(
          pass.inputGradients[0].map { $0.pointer + start }
            ?? spare + chunk * chunks.spareRows * channels,
          weightPart, biasPart, upstream.pointer + start, x.pointer + start, mean + row,
          rstd + row, weight, pass.adds[0], min(step, range.upperBound - row), channels)
      }
    }
    for (index, gradient, parts) in [
      (parameters.weightIndex, weightGradient, weightParts),
      (parameters.biasIndex, biasGradient, biasParts),
    ] {
      guard let index, let gradient else { continue }
      k_sum_parts(
        gradient.pointer, parts, pass.adds[index], 0, channels, chunks.count, channels)
    }
  }
}

extension Tensor {
  /// Layer normalisation over the innermost axis, `(x − mean) / √(variance + eps) · weight + bias`.
  ///
  /// Mean and variance (divided by C) are those of each row; `weight` and `bias` are `[C]`.
  ///
  /// Source: Ba et al., *Layer Normalization*, 2016, eq. (4).
  public func layerNormalized(weight: Tensor?, bias: Tensor?, eps: Float = 1e-5) -> Tensor {
    let parameters = NormParameters(hasWeight: weight != nil, hasBias: bias != nil)
    return Tensor.apply(
      LayerNorm(eps: eps, parameters: parameters), [self] + [weight, bias].compactMap(\.self))
  }
}
