import Kernels

/// Convolution of each sample of `[N, H, W, I]` with a kernel of its own, `[N, O, I, kh, kw]`.
///
/// Inputs: x, weight and, if there is one, bias `[O]`. Kernels that serve one sample are not worth a
/// library's preparations: windows are gathered some rows at a time and multiplied by packed weights.
struct SampleConvolution: Operation {
  let geometry: ConvolutionGeometry
  let hasBias: Bool

  var kind: OperationKind { .sampleConvolution }

  /// Positions that pass together in the weight's gradient.
  private static let gradientRows = 256
  /// Columns of a panel of packed weights.
  private static let panel = Int(K_GEMM_PANEL)
  var backwardReads: BackwardReads { .only([0, 1]) }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let (x, weight) = (inputs[0], inputs[1])
    precondition(
      x.rank == 4 && weight.rank == 5 && weight[0] == x[0] && weight[2] == x[3]
        && geometry.groups == 1,
      "sampleConvolution: x \(x), weight \(weight), expected [N, H, W, I] and [N, O, I, kh, kw]")
    if hasBias {
      precondition(
        inputs[2] == [weight[1]], "sampleConvolution: weight \(weight), bias \(inputs[2])")
    }
    guard x.count > 0, weight.count > 0,
      let output = geometry.convolvedSizes([x[1], x[2]], kernel: [weight[3], weight[4]])
    else {
      preconditionFailure(
        "sampleConvolution: x \(x), weight \(weight), padding \(geometry.padding): no output")
    }
    return Shape([x[0]] + output + [weight[1]])
  }

  /// Everything that follows from the shapes.
  private struct Plan {
    let samples: Int
    let height: Int
    let width: Int
    let inputs: Int
    let outHeight: Int
    let outWidth: Int
    let outputs: Int
    let taps: Int
    let windows: k_windows

    init(_ geometry: ConvolutionGeometry, _ x: Shape, _ weight: Shape, _ y: Shape) {
      samples = x[0]
      height = x[1]
      width = x[2]
      inputs = x[3]
      outHeight = y[1]
      outWidth = y[2]
      outputs = y[3]
      taps = weight[3] * weight[4]
      windows = k_windows(
        kernel_height: weight[3], kernel_width: weight[4], stride_height: geometry.stride[0],
        stride_width: geometry.stride[1], padding_height: geometry.padding[0],
        padding_width: geometry.padding[1], dilation_height: geometry.dilation[0],
        dilation_width: geometry.dilation[1])
    }

    var kernelCount: Int { outputs * inputs * taps }
    var positions: Int { outHeight * outWidth }
    var pixels: Int { height * width }

    /// Rows of windows that stay in a core's cache, for windows over so many channels.
    func rows(channels: Int) -> Int { max(16, min(96, (1 << 16) / (taps * channels))) }

    /// Packed weights of one sample.
    var packedCount: Int { k_gemm_packed_count(taps * inputs, outputs) }
    var packedBackwardCount: Int { k_gemm_packed_count(taps * outputs, inputs) }

    /// The windows of a single tap, which is a kernel of its own with another padding.
    func window(ofTap tap: Int) -> k_windows {
      let (row, column) = tap.quotientAndRemainder(dividingBy: windows.kernel_width)
      var single = windows
      single.kernel_height = 1
      single.kernel_width = 1
      // May be negative; positions are compared with the image's size after the sum.
      single.padding_height -= row * windows.dilation_height
      single.padding_width -= column * windows.dilation_width
      return single
    }
  }

  private func plan(_ inputs: [Shape]) -> Plan {
    Plan(geometry, inputs[0], inputs[1], outputShape(inputs))
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    let plan = plan(inputs)
    let threads = Engine.shared.workers.threads
    func windows(_ channels: Int) -> Int { plan.rows(channels: channels) * plan.taps * channels }
    if pass == .forward {
      return plan.samples * plan.packedCount + threads * windows(plan.inputs)
    }
    let bias = hasBias ? ChannelSum(outputShape(inputs)).scratchCount : 0
    return max(
      plan.samples * plan.packedBackwardCount + threads * windows(plan.outputs),
      plan.samples * plan.kernelCount + threads * Self.gradientRows * plan.inputs, bias)
  }

  func forward(_ pass: ForwardPass) {
    let plan = plan(pass.inputs.map(\.shape))
    let (x, weight, y) = (
      pass.inputs[0].pointer, pass.inputs[1].pointer, pass.output.pointer
    )
    let bias = hasBias ? UnsafePointer(pass.inputs[2].pointer) : nil
    let (packed, scratch) = (pass.scratch, pass.scratch + plan.samples * plan.packedCount)
    let panels = (plan.outputs + Self.panel - 1) / Self.panel
    pass.workers.run(chunks: plan.samples * panels) { unit in
      let (sample, panel) = unit.quotientAndRemainder(dividingBy: panels)
      k_windows_pack(
        packed + sample * plan.packedCount, weight + sample * plan.kernelCount, panel, panel + 1,
        plan.outputs, plan.inputs, plan.taps, 0, plan.taps)
    }
    let rows = plan.rows(channels: plan.inputs)
    let inner = plan.taps * plan.inputs
    let chunks = (plan.positions + rows - 1) / rows
    pass.workers.run(chunks: plan.samples * chunks) { unit, worker in
      let (sample, chunk) = unit.quotientAndRemainder(dividingBy: chunks)
      let (first, end) = (chunk * rows, min(plan.positions, (chunk + 1) * rows))
      let gathered = scratch + worker * rows * inner
      withUnsafePointer(to: plan.windows) { windows in
        k_windows_gather(
          gathered, x + sample * plan.pixels * plan.inputs, windows, first, end, plan.outWidth,
          plan.height, plan.width, plan.inputs)
      }
      var epilogue = k_epilogue()
      epilogue.bias = bias
      k_gemm(
        y + (sample * plan.positions + first) * plan.outputs, plan.outputs, gathered, inner,
        packed + sample * plan.packedCount, &epilogue, end - first, plan.outputs, inner)
    }
  }

  func backward(_ pass: BackwardPass) {
    let plan = plan(pass.shapes)
    let upstream = pass.outputGradient
    if let gradient = pass.inputGradients[0]?.pointer {
      inputGradient(gradient, upstream.pointer, pass.input(1).pointer, plan, pass)
    }
    if let gradient = pass.inputGradients[1]?.pointer {
      weightGradient(gradient, upstream.pointer, pass.input(0).pointer, plan, pass)
    }
    if hasBias, let gradient = pass.inputGradients[2] {
      ChannelSum(upstream.shape).run(
        from: upstream.pointer, to: gradient.pointer, scratch: pass.scratch, pass.workers)
    }
  }

  private func inputGradient(
    _ dx: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>,
    _ weight: UnsafePointer<Float>, _ plan: Plan, _ pass: BackwardPass
  ) {
    let (packed, scratch) = (pass.scratch, pass.scratch + plan.samples * plan.packedBackwardCount)
    let panels = (plan.inputs + Self.panel - 1) / Self.panel
    pass.workers.run(chunks: plan.samples * panels) { unit in
      let (sample, panel) = unit.quotientAndRemainder(dividingBy: panels)
      k_windows_pack_transposed(
        packed + sample * plan.packedBackwardCount, weight + sample * plan.kernelCount, panel,
        panel + 1, plan.outputs, plan.inputs, plan.taps)
    }
    let rows = plan.rows(channels: plan.outputs)
    let inner = plan.taps * plan.outputs
    let chunks = (plan.pixels + rows - 1) / rows
    pass.workers.run(chunks: plan.samples * chunks) { unit, worker in
      let (sample, chunk) = unit.quotientAndRemainder(dividingBy: chunks)
      let (first, end) = (chunk * rows, min(plan.pixels, (chunk + 1) * rows))
      let gathered = scratch + worker * rows * inner
      withUnsafePointer(to: plan.windows) { windows in
        k_windows_gather_transposed(
          gathered, dy + sample * plan.positions * plan.outputs, windows, first, end, plan.width,
          plan.outHeight, plan.outWidth, plan.outputs)
      }
      k_gemm(
        dx + (sample * plan.pixels + first) * plan.inputs, plan.inputs, gathered, inner,
        packed + sample * plan.packedBackwardCount, nil, end - first, plan.inputs, inner)
    }
  }

  /// One tap at a time, so that its `[O, I]` sums stay in the cache while all positions pass.
  private func weightGradient(
    _ dw: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>,
    _ plan: Plan, _ pass: BackwardPass
  ) {
    let (taps, rows) = (plan.taps, Self.gradientRows)
    let tapCount = plan.outputs * plan.inputs
    let (sums, scratch) = (pass.scratch, pass.scratch + plan.samples * plan.kernelCount)
    pass.workers.run(chunks: plan.samples * taps) { unit, worker in
      let (sample, tap) = unit.quotientAndRemainder(dividingBy: taps)
      let gathered = scratch + worker * rows * plan.inputs
      let windows = plan.window(ofTap: tap)
      for first in stride(from: 0, to: plan.positions, by: rows) {
        let end = min(plan.positions, first + rows)
        withUnsafePointer(to: windows) { windows in
          k_windows_gather(
            gathered, x + sample * plan.pixels * plan.inputs, windows, first, end, plan.outWidth,
            plan.height, plan.width, plan.inputs)
        }
        k_gemm_tn(
          sums + unit * tapCount, dy + (sample * plan.positions + first) * plan.outputs,
          plan.outputs, gathered, plan.inputs, first > 0, end - first, plan.outputs, plan.inputs)
      }
    }
    // From [taps, O, I] to [O, I, taps].
    let grain = max(1, ElementChunks.elements / max(1, plan.inputs * taps))
    pass.workers.run(count: plan.samples * plan.outputs, grain: grain) { units in
      for unit in units {
        let (sample, output) = unit.quotientAndRemainder(dividingBy: plan.outputs)
        k_transpose(
          dw + unit * plan.inputs * taps, taps,
          sums + sample * plan.kernelCount + output * plan.inputs, tapCount, taps, plan.inputs)
      }
    }
  }
}

extension Tensor {
  /// Each sample of `[N, H, W, I]` convolved with a kernel of its own.
  ///
  /// - Parameters:
  ///   - weight: `[N, O, I, kh, kw]`.
  ///   - bias: `[O]`, the same for all samples.
  ///   - stride: One number for each spatial axis, or one for both.
  ///   - padding: Zeros at both ends, likewise.
  ///   - dilation: Distances between taps, likewise.
  /// - Returns: `[N, H', W', O]`, sizes as of
  ///   ``convolved(with:bias:stride:padding:dilation:groups:)``.
  public func convolvedBySample(
    with weight: Tensor, bias: Tensor? = nil, stride: [Int] = [1], padding: [Int] = [0],
    dilation: [Int] = [1]
  ) -> Tensor {
    let geometry = ConvolutionGeometry(
      of: shape, "sampleConvolution", stride: stride, padding: padding, dilation: dilation,
      groups: 1)
    if weight.shape.rank == 5,
      geometry.isPointwise(Shape(Array(weight.shape.dimensions.dropFirst())))
    {
      precondition(
        shape.rank == 4 && weight.shape[0] == shape[0] && weight.shape[2] == shape[3],
        "sampleConvolution: x \(shape), weight \(weight.shape)")
      let product = reshaped(to: [shape[0], shape[1] * shape[2], shape[3]])
        .matmul(transposing: weight.reshaped(to: [shape[0], weight.shape[1], shape[3]]))
      let output = product.reshaped(to: shape.replacing(axis: 3, with: weight.shape[1]))
      return bias.map { output + $0 } ?? output
    }
    return Tensor.apply(
      SampleConvolution(geometry: geometry, hasBias: bias != nil),
      [self, weight] + [bias].compactMap(\.self))
  }
}
