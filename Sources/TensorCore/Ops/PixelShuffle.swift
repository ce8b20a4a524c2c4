import Kernels

/// Moves channels to pixels: `[N, H, W, C · r²]` to `[N, H · r, W · r, C]`.
///
/// Output pixel `(r · h + i, r · w + j)` takes input channel `c · r² + i · r + j`.
struct PixelShuffle: Operation {
  let factor: Int

  var kind: OperationKind { .pixelShuffle }
  var backwardReads: BackwardReads { .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let shape = inputs[0]
    precondition(
      shape.rank == 4 && factor > 0 && shape.channels % (factor * factor) == 0,
      "pixelShuffle: channels of \(shape) are not a multiple of \(factor)²")
    return [
      shape[0], shape[1] * factor, shape[2] * factor, shape.channels / (factor * factor),
    ]
  }

  func forward(_ pass: ForwardPass) {
    ShuffledRows(unshuffled: pass.inputs[0].shape, factor).shuffle(
      pass.inputs[0].pointer, into: pass.output.pointer, pass.workers)
  }

  func backward(_ pass: BackwardPass) {
    guard let gradient = pass.inputGradients[0] else { return }
    ShuffledRows(unshuffled: gradient.shape, factor).unshuffle(
      pass.outputGradient.pointer, into: gradient.pointer, pass.workers)
  }
}

/// Moves pixels to channels, the inverse of ``PixelShuffle``.
struct PixelUnshuffle: Operation {
  let factor: Int

  var kind: OperationKind { .pixelUnshuffle }
  var backwardReads: BackwardReads { .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let shape = inputs[0]
    precondition(
      shape.rank == 4 && factor > 0 && shape[1] % factor == 0 && shape[2] % factor == 0,
      "pixelUnshuffle: height and width of \(shape) are not multiples of \(factor)")
    return [
      shape[0], shape[1] / factor, shape[2] / factor, shape.channels * factor * factor,
    ]
  }

  func forward(_ pass: ForwardPass) {
    ShuffledRows(unshuffled: pass.output.shape, factor).unshuffle(
      pass.inputs[0].pointer, into: pass.output.pointer, pass.workers)
  }

  func backward(_ pass: BackwardPass) {
    guard let gradient = pass.inputGradients[0] else { return }
    ShuffledRows(unshuffled: pass.outputGradient.shape, factor).shuffle(
      pass.outputGradient.pointer, into: gradient.pointer, pass.workers)
  }
}

/// Rows of pixels with many channels and the `factor` rows of pixels with few that hold the same
/// elements; as they are contiguous in both forms, a batch is one tall image.
private struct ShuffledRows {
  let factor: Int
  let rows: Int
  let width: Int
  let channels: Int

  init(unshuffled shape: Shape, _ factor: Int) {
    self.factor = factor
    rows = shape[0] * shape[1]
    width = shape[2]
    channels = shape.channels / (factor * factor)
  }

  private var grain: Int { (1 << 15) / max(1, width * channels * factor * factor) }

  func shuffle(
    _ source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, _ workers: WorkerPool
  ) {
    workers.run(count: rows, grain: grain) { range in
      k_pixel_shuffle(
        target, channels, factor * width * channels, source, factor, range.lowerBound,
        range.upperBound, width, channels)
    }
  }

  func unshuffle(
    _ source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, _ workers: WorkerPool
  ) {
    workers.run(count: rows, grain: grain) { range in
      k_pixel_unshuffle(
        target, source, channels, factor * width * channels, factor, range.lowerBound,
        range.upperBound, width, channels)
    }
  }
}

extension Tensor {
  /// Channels as pixels, `[N, H, W, C · r²]` to `[N, H · r, W · r, C]`.
  ///
  /// Source: Shi et al., *Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
  /// Convolutional Neural Network*, CVPR 2016, eq. (4).
  public func pixelShuffled(by factor: Int) -> Tensor {
    Tensor.apply(PixelShuffle(factor: factor), [self])
  }

  /// Pixels as channels, `[N, H · r, W · r, C]` to `[N, H, W, C · r²]`: the inverse of
  /// ``pixelShuffled(by:)``.
  public func pixelUnshuffled(by factor: Int) -> Tensor {
    Tensor.apply(PixelUnshuffle(factor: factor), [self])
  }
}
