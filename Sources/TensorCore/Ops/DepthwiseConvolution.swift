import Kernels

/// Convolution of each channel of `[N, H, W, C]` with a kernel of its own: odd square kernels, stride 1,
/// zero padding to the same size, weight `[C, 1, k, k]`.
struct DepthwiseConvolution: Operation {
  var kind: OperationKind { .depthwiseConvolution }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let (x, weight) = (inputs[0], inputs[1])
    precondition(
      x.rank == 4 && weight.rank == 4 && weight[0] == x.channels && weight[1] == 1
        && weight[2] == weight[3] && weight[3] % 2 == 1,
      "depthwiseConvolution: x \(x), weight \(weight), not [N, H, W, C] and [C, 1, k, k] with odd k"
    )
    return x
  }

  /// The weight as taps of all channels, mirrored for the gradient with respect to x.
  func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation? {
    guard index == 1 else { return nil }
    let weight = inputs[1]
    return Preparation(
      key: PreparationKey(Self.key(pass), weight.dimensions), count: weight.count,
      replacesValues: true)
  }

  private static func key(_ pass: Pass) -> String {
    pass == .forward ? "depthwise taps" : "mirrored depthwise taps"
  }

  func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    let weight = inputs[1]
    let isMirrored =
      preparation.key == PreparationKey(Self.key(.backward), weight.dimensions)
    k_depthwise_pack(destination, source, isMirrored, weight[2], weight[0])
  }

  /// Division of the images into bands of rows, each with its own sum of the weight's gradient.
  private struct Bands {
    let rowsPerBand: Int
    let bandsPerImage: Int
    let count: Int
    let height: Int

    init(_ x: Shape) {
      height = x[1]
      rowsPerBand = max(8, (height + 15) / 16)
      bandsPerImage = (height + rowsPerBand - 1) / rowsPerBand
      count = x[0] * bandsPerImage
    }

    func rows(_ band: Int) -> (image: Int, rows: Range<Int>) {
      let first = band % bandsPerImage * rowsPerBand
      return (band / bandsPerImage, first..<min(height, first + rowsPerBand))
    }
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    pass == .forward ? 0 : (Bands(inputs[0]).count + 1) * inputs[1].count
  }

  func forward(_ pass: ForwardPass) {
    guard let taps = pass.prepared[1] else { preconditionFailure("\(kind): no taps") }
    Self.convolve(
      pass.inputs[0].pointer, pass.output.pointer, taps, kernel: pass.inputs[1].shape[2],
      pass.output.shape, pass.workers)
  }

  private static func convolve(
    _ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>,
    _ taps: UnsafePointer<Float>, kernel: Int, _ shape: Shape, _ workers: WorkerPool
  ) {
    let (height, width, channels) = (shape[1], shape[2], shape[3])
    let imageCount = height * width * channels
    // Rows at the border of a band are read twice: bands of at least 8 rows.
    let rowsPerBand = min(height, max(8, (1 << 16) / max(1, width * channels)))
    let bands = (height + rowsPerBand - 1) / max(1, rowsPerBand)
    workers.run(chunks: shape[0] * bands) { chunk in
      let start = chunk / bands * imageCount
      let row = chunk % bands * rowsPerBand
      k_depthwise_forward(
        target + start, source + start, taps, kernel, row, min(height, row + rowsPerBand), height,
        width, channels)
    }
  }

  func backward(_ pass: BackwardPass) {
    let (shape, weight) = (pass.shapes[0], pass.shapes[1])
    let upstream = pass.outputGradient
    if let gradient = pass.inputGradients[0] {
      guard let taps = pass.prepared[1] else { preconditionFailure("\(kind): no taps") }
      Self.convolve(
        upstream.pointer, gradient.pointer, taps, kernel: weight[2], shape, pass.workers)
    }
    guard let gradient = pass.inputGradients[1] else { return }
    let x = pass.input(0)
    let bands = Bands(shape)
    let imageCount = shape[1] * shape[2] * shape[3]
    pass.workers.run(chunks: bands.count) { band in
      let part = pass.scratch + band * weight.count
      part.update(repeating: 0, count: weight.count)
      let (image, rows) = bands.rows(band)
      k_depthwise_weight_gradient(
        part, upstream.pointer + image * imageCount, x.pointer + image * imageCount, weight[2],
        rows.lowerBound, rows.upperBound, shape[1], shape[2], shape[3])
    }
    let sum = pass.scratch + bands.count * weight.count
    k_sum_parts(sum, pass.scratch, false, 0, weight.count, bands.count, weight.count)
    k_depthwise_unpack(gradient.pointer, sum, false, weight[2], weight[0])
  }
}

extension Tensor {
  /// Each channel of `[N, H, W, C]` convolved with a kernel of its own, zero padded to the same size.
  ///
  /// The weight is `[C, 1, k, k]` with odd k. As everywhere in this engine, the kernel is not mirrored
  /// (cross-correlation).
  public func depthwiseConvolved(with weight: Tensor) -> Tensor {
    Tensor.apply(DepthwiseConvolution(), [self, weight])
  }
}
