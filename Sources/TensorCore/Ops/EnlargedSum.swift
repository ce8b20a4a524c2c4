import Kernels

/// A ``TransposedConvolution`` whose kernel is its stride, plus a tensor of the result's shape and, if
/// wanted, a ReLU, in inference plans: the step up of a U-Net that adds its skip connections.
///
/// Windows do not overlap, so each of the kernel's places is a matrix product whose rows go to every
/// `factor`-th pixel; the sum and the ReLU happen while the pixels are in registers or in the cache.
///
/// Inputs: x `[N, H, W, I]`, weight `[I, O, factor, factor]`, what is added
/// `[N, factor · H, factor · W, O]` and, if there is one, bias `[O]`.
struct EnlargedSum: NonDifferentiableOperation {
  let convolution: TransposedConvolution
  let isRectified: Bool
  private let factor: Int

  /// Nil where the kernel is not the stride, or windows are padded, spread or grouped.
  init?(_ convolution: TransposedConvolution, weight: Shape, isRectified: Bool) {
    let geometry = convolution.geometry
    guard weight.rank == 4, Array(weight.dimensions.suffix(2)) == geometry.stride,
      weight[2] == weight[3], geometry.padding == [0, 0], geometry.dilation == [1, 1],
      geometry.groups == 1, convolution.outputPadding == [0, 0]
    else { return nil }
    self.convolution = convolution
    self.isRectified = isRectified
    factor = weight[2]
  }

  var kind: OperationKind { .transposedConvolution }

  func outputShape(_ inputs: [Shape]) -> Shape {
    convolution.outputShape([inputs[0], inputs[1]] + inputs.dropFirst(3))
  }

  /// What is added may be the output: each element is read before it is written.
  func canOverwrite(input index: Int, _ inputs: [Shape]) -> Bool { index == 2 }

  func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation? {
    guard index == 1 else { return nil }
    return Preparation(
      key: PreparationKey("enlargement", inputs[1].dimensions),
      count: factor * factor * k_gemm_packed_count(inputs[1][0], inputs[1][1]),
      replacesValues: true)
  }

  func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    let (k, n, places) = (inputs[1][0], inputs[1][1], factor * factor)
    for place in 0..<places {
      k_gemm_pack(
        destination + place * k_gemm_packed_count(k, n), source + place, k, n, n * places, places)
    }
  }

  func forward(_ pass: ForwardPass) {
    guard let packed = pass.prepared[1] else { preconditionFailure("\(kind): no weights") }
    let x = pass.inputs[0]
    let (k, n) = (x.shape.channels, pass.output.shape.channels)
    let width = x.shape[2]
    let (source, skip, y) = (x.pointer, pass.inputs[2].pointer, pass.output.pointer)
    let bias = convolution.hasBias ? UnsafePointer(pass.inputs[3].pointer) : nil
    let (factor, isRectified) = (factor, isRectified)
    let panels = k_gemm_packed_count(k, n)
    // What a row of x becomes: `factor` rows of as many times its width.
    let rowCount = factor * width * n
    pass.workers.run(chunks: x.shape[0] * x.shape[1]) { row in
      let first = row * factor * rowCount
      for place in 0..<factor * factor {
        let (dy, dx) = place.quotientAndRemainder(dividingBy: factor)
        let start = first + dy * rowCount + dx * n
        var epilogue = k_epilogue()
        epilogue.bias = bias
        epilogue.residual = UnsafePointer(skip + start)
        epilogue.residual_stride = factor * n
        k_gemm(
          y + start, factor * n, source + row * width * k, k, packed + place * panels, &epilogue,
          width, n, k)
      }
      if isRectified {
        k_unary_forward(y + first, y + first, K_UNARY_RELU, 0, factor * rowCount)
      }
    }
  }
}
