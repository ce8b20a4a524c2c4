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

  /// The division of the images, by shape alone.
  private struct Bands {
    let rows: Int
    let perImage: Int
    /// Rows shifted at a time.
    let step: Int
    /// Normalised rows that are there meanwhile.
    let buffered: Int

    init(_ x: Shape, kernel: Int) {
      let height = x[1]
      rows = max(8, (height + 15) / 16)
      perImage = (height + rows - 1) / rows
      // About a megabyte, but not so few rows that most of the time goes into moving them.
      step = max(4, min(rows, (1 << 18) / max(1, x[2] * x.channels) - (kernel - 1)))
      buffered = step + kernel - 1
    }
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    let x = inputs[0]
    return Engine.shared.workers.threads * Bands(x, kernel: inputs[kernelIndex][2]).buffered * x[2]
      * x.channels
  }

  func forward(_ pass: ForwardPass) {
    guard let taps = pass.prepared[kernelIndex] else { preconditionFailure("\(kind): no taps") }
    let shape = pass.inputs[0].shape
    let (kernel, bands) = (
      pass.inputs[kernelIndex].shape[2],
      Bands(shape, kernel: pass.inputs[kernelIndex].shape[2])
    )
    let (height, rowCount) = (shape[1], shape[2] * shape.channels)
    let weight = norm.parameters.weightIndex.map { UnsafePointer(pass.inputs[$0].pointer) }
    let bias = norm.parameters.biasIndex.map { UnsafePointer(pass.inputs[$0].pointer) }
    let (source, target, scratch) = (pass.inputs[0].pointer, pass.output.pointer, pass.scratch)
    pass.workers.run(chunks: shape[0] * bands.perImage) { chunk, worker in
      let image = chunk / bands.perImage * height * rowCount
      let (x, y) = (source + image, target + image)
      let buffer = scratch + worker * bands.buffered * rowCount
      let first = chunk % bands.perImage * bands.rows
      let last = min(height, first + bands.rows)
      // The rows of the image that the buffer holds.
      var held = 0..<0
      for row in stride(from: first, to: last, by: bands.step) {
        let end = min(last, row + bands.step)
        let needed = max(0, row - kernel / 2)..<min(height, end + kernel / 2)
        let kept = max(0, held.upperBound - needed.lowerBound)
        if kept > 0 {
          buffer.update(
            from: buffer + (needed.lowerBound - held.lowerBound) * rowCount,
            count: kept * rowCount)
        }
        let fresh = needed.lowerBound + kept
        k_layer_norm_forward(
          buffer + kept * rowCount, nil, nil, x + fresh * rowCount, weight, bias, norm.eps,
          (needed.upperBound - fresh) * shape[2], shape.channels)
        held = needed
        k_depthwise_forward(
          y + held.lowerBound * rowCount, buffer, taps, kernel, row - held.lowerBound,
          end - held.lowerBound, held.count, shape[2], shape.channels)
      }
    }
  }
}
