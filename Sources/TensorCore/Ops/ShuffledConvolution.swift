import Kernels

/// A convolution whose result moves between channels and pixels before it leaves the cache, in inference
/// plans: ``Convolution`` and ``PixelShuffle`` or ``PixelUnshuffle`` in one, inputs as the convolution's.
///
/// A few rows of the image are copied with zeros at both ends. There the taps of a kernel's row are one
/// run of memory, which for the next output begins one pixel later: each row of the kernel is a matrix
/// product whose rows overlap, and nothing is gathered. The sums go from the cache to their places,
/// which may be channels of a wider tensor.
struct ShuffledConvolution: NonDifferentiableOperation {
  /// Where the result's elements go.
  enum Move: Equatable {
    /// As ``PixelShuffle``.
    case toPixels(factor: Int)
    /// As ``PixelUnshuffle``.
    case toChannels(factor: Int)
  }

  let convolution: Convolution
  let move: Move

  /// Nil where the convolution has another stride, dilation or number of groups than 1.
  init?(_ convolution: Convolution, _ move: Move) {
    let geometry = convolution.geometry
    guard geometry.stride == [1, 1], geometry.dilation == [1, 1], geometry.groups == 1 else {
      return nil
    }
    self.convolution = convolution
    self.move = move
  }

  var kind: OperationKind { .convolution }
  var writesSpacedRows: Bool { if case .toPixels = move { true } else { false } }

  func readsSpacedRows(ofInput index: Int) -> Bool { index == 0 }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let result = convolution.outputShape(inputs)
    return switch move {
    case .toPixels(let factor): PixelShuffle(factor: factor).outputShape([result])
    case .toChannels(let factor): PixelUnshuffle(factor: factor).outputShape([result])
    }
  }

  func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation? {
    guard index == 1 else { return nil }
    let tiles = tiles(inputs)
    return Preparation(
      key: PreparationKey("convolution rows", inputs[1].dimensions),
      count: tiles.kernelHeight * tiles.packedCount, replacesValues: true)
  }

  func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    let tiles = tiles(inputs)
    let (taps, panel) = (tiles.kernelWidth, Int(K_GEMM_PANEL))
    let panels = (tiles.outputs + panel - 1) / panel
    Engine.shared.workers.run(chunks: tiles.kernelHeight * panels) { unit in
      let (row, panel) = unit.quotientAndRemainder(dividingBy: panels)
      k_windows_pack(
        destination + row * tiles.packedCount, source, panel, panel + 1, tiles.outputs,
        tiles.inputs, tiles.kernelHeight * taps, row * taps, (row + 1) * taps)
    }
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    let tiles = tiles(inputs)
    return Engine.shared.workers.threads * (tiles.paddedCount + tiles.sumCount)
  }

  func forward(_ pass: ForwardPass) {
    guard let weights = pass.prepared[1] else { preconditionFailure("\(kind): no weights") }
    let tiles = tiles(pass.inputs.map(\.shape))
    let bias = convolution.hasBias ? UnsafePointer(pass.inputs[2].pointer) : nil
    let (x, y) = (pass.inputs[0], pass.output)
    pass.workers.run(chunks: x.shape[0] * tiles.perImage) { chunk, worker in
      let (sample, tile) = chunk.quotientAndRemainder(dividingBy: tiles.perImage)
      let first = tile * tiles.rows
      let rows = first..<min(tiles.outHeight, first + tiles.rows)
      let padded = pass.scratch + worker * (tiles.paddedCount + tiles.sumCount)
      let sums = padded + tiles.paddedCount
      let image = x.pointer + sample * tiles.height * tiles.width * x.rowStride
      for row in 0..<rows.count + tiles.kernelHeight - 1 {
        k_padded_row(
          padded + row * tiles.pitch * tiles.inputs, image, x.rowStride,
          first + row - tiles.padding[0], tiles.height, tiles.width, tiles.padding[1],
          tiles.inputs)
      }
      tiles.multiply(padded, by: weights, bias: bias, rows: rows.count, into: sums)
      let places = y.pointer + sample * y.shape[1] * y.shape[2] * y.rowStride
      place(sums, rows, tiles, at: places, rowStride: y.rowStride)
    }
  }

  /// Moves the sums of some rows to their places in the output of one sample.
  private func place(
    _ sums: UnsafePointer<Float>, _ rows: Range<Int>, _ tiles: Tiles,
    at places: UnsafeMutablePointer<Float>, rowStride: Int
  ) {
    let rowCount = tiles.pitch * tiles.outputs
    switch move {
    case .toPixels(let factor):
      let targetRow = tiles.outWidth * factor * rowStride
      for row in rows {
        k_pixel_shuffle(
          places + row * factor * targetRow, rowStride, targetRow,
          sums + (row - rows.lowerBound) * rowCount, factor, 0, 1, tiles.outWidth,
          tiles.outputs / (factor * factor))
      }
    case .toChannels(let factor):
      k_pixel_unshuffle(
        places + rows.lowerBound * tiles.outWidth * tiles.outputs, sums, tiles.outputs, rowCount,
        factor, 0, rows.count / factor, tiles.outWidth / factor, tiles.outputs)
    }
  }

  private func tiles(_ inputs: [Shape]) -> Tiles {
    let step = if case .toChannels(let factor) = move { factor } else { 1 }
    return Tiles(
      inputs[0], inputs[1], convolution.outputShape(inputs), padding: convolution.geometry.padding,
      step: step)
  }
}

/// The division of a convolution's result into rows that are computed together, by shape alone.
private struct Tiles {
  let height: Int
  let width: Int
  let inputs: Int
  let outHeight: Int
  let outWidth: Int
  let outputs: Int
  let kernelHeight: Int
  let kernelWidth: Int
  let padding: [Int]
  /// Pixels from one row to the next, of the padded image and of the sums.
  let pitch: Int
  /// Rows of a tile.
  let rows: Int

  /// Rows of the result, multiples of `step`, so that all that a tile touches is half a megabyte.
  init(_ x: Shape, _ weight: Shape, _ result: Shape, padding: [Int], step: Int) {
    (height, width, inputs) = (x[1], x[2], x[3])
    (outHeight, outWidth, outputs) = (result[1], result[2], result[3])
    (kernelHeight, kernelWidth) = (weight[2], weight[3])
    self.padding = padding
    pitch = width + 2 * padding[1]
    let fitting = min(8, (1 << 17) / max(1, pitch * (inputs + outputs)))
    rows = max(1, fitting / step) * step
  }

  var perImage: Int { (outHeight + rows - 1) / rows }
  var paddedCount: Int { aligned((rows + kernelHeight - 1) * pitch * inputs) }
  var sumCount: Int { aligned(rows * pitch * outputs) }
  /// Floats of the packed taps of one row of the kernel.
  var packedCount: Int { k_gemm_packed_count(kernelWidth * inputs, outputs) }

  private func aligned(_ count: Int) -> Int { (count + 15) / 16 * 16 }

  /// Writes the sums of `count` rows.
  func multiply(
    _ padded: UnsafePointer<Float>, by weights: UnsafePointer<Float>,
    bias: UnsafePointer<Float>?, rows count: Int, into sums: UnsafeMutablePointer<Float>
  ) {
    // Short rows go as one product, with a few sums in between that nobody reads, so that the weights
    // are fetched less often.
    let together = outWidth < 128 ? count : 1
    for row in stride(from: 0, to: count, by: together) {
      for tap in 0..<kernelHeight {
        var epilogue = k_epilogue()
        if tap == 0 { epilogue.bias = bias } else { epilogue.accumulate = true }
        k_gemm(
          sums + row * pitch * outputs, outputs, padded + (row + tap) * pitch * inputs, inputs,
          weights + tap * packedCount, &epilogue, (together - 1) * pitch + outWidth, outputs,
          kernelWidth * inputs)
      }
    }
  }
}
