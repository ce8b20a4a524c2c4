import Kernels

/// A layer norm and the depthwise convolution of its result as one operation of an inference plan.
///
/// Inputs: those of the norm, x `[N, H, W, C]` and weight and bias where present, then the kernel
/// `[C, 1, k, k]`. Normalised rows exist a few at a time and never leave the cache; at the borders of
/// a band of rows `k − 1` of them are computed twice, which costs less than writing all of them to
/// memory and reading them back.
struct NormalizedShift: NonDifferentiableOperation {
  let norm: LayerNorm

  var kind: OperationKind { .depthwiseConvolution }
  private let shift = DepthwiseConvolution()
  private var kernelIndex: Int {
    1 + (norm.parameters.hasWeight ? 1 : 0) + (norm.parameters.hasBias ? 1 : 0)
  }

  init(norm: LayerNorm) { self.norm = norm }

  func outputShape(_ inputs: [Shape]) -> Shape {
    shift.outputShape([norm.outputShape(Array(inputs.dropLast())), inputs[kernelIndex]])
  }

  func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation? {
    guard index == kernelIndex else { return nil }
    return shift.preparation(ofInput: 1, [inputs[0], inputs[index]], .forward)
  }

  func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    shift.prepare(
      preparation, ofInput: 1, [inputs[0], inputs[index]], from: source, into: destination)
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    let bands = ShiftBands(inputs[0], kernel: inputs[kernelIndex][2])
    return Engine.shared.workers.threads * bands.buffered * bands.rowCount
  }

  func forward(_ pass: ForwardPass) {
    guard let taps = pass.prepared[kernelIndex] else { preconditionFailure("\(kind): no taps") }
    let (shape, kernel) = (pass.inputs[0].shape, pass.inputs[kernelIndex].shape[2])
    let bands = ShiftBands(shape, kernel: kernel)
    let (height, rowCount) = (shape[1], bands.rowCount)
    let weight = norm.parameters.weightIndex.map { UnsafePointer(pass.inputs[$0].pointer) }
    let bias = norm.parameters.biasIndex.map { UnsafePointer(pass.inputs[$0].pointer) }
    let (source, target, scratch) = (pass.inputs[0].pointer, pass.output.pointer, pass.scratch)
    pass.workers.run(chunks: shape[0] * bands.perImage) { chunk, worker in
      let image = chunk / bands.perImage * height * rowCount
      let (x, y) = (source + image, target + image)
      let buffer = scratch + worker * bands.buffered * rowCount
      bands.forEachStep(of: chunk % bands.perImage) { rows, needed, held in
        bands.refill(buffer, needed, after: held) { fresh, target in
          k_layer_norm_forward(
            target, nil, nil, x + fresh.lowerBound * rowCount, weight, bias, norm.eps,
            fresh.count * shape[2], shape.channels)
        }
        k_depthwise_forward(
          y + needed.lowerBound * rowCount, buffer, taps, kernel,
          rows.lowerBound - needed.lowerBound, rows.upperBound - needed.lowerBound, needed.count,
          shape[2], shape.channels)
      }
    }
  }
}
