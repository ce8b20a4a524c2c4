import Kernels

/// Dense convolution of images by the engine's own matrix kernels: odd square kernels, stride 1, zero
/// padding to the same size.
///
/// Inputs x `[N, H, W, I]`, weight `[O, I, k, k]` and, if there is one, bias `[O]`. The windows of a tile
/// of pixels are laid out as rows of a matrix in the cache: copying them costs a fraction of what the
/// product with O columns does, and the product runs at the speed of any other.
struct WindowConvolution: Operation {
  let hasBias: Bool

  var kind: OperationKind { .convolution }
  var backwardReads: BackwardReads { .only([0, 1]) }

  func addsGradient(toInput index: Int, _ inputs: [Shape]) -> Bool { index < 2 }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let (x, weight) = (inputs[0], inputs[1])
    precondition(
      x.rank == 4 && weight.rank == 4 && weight[1] == x.channels && weight[2] == weight[3]
        && weight[2] % 2 == 1,
      "convolution: x \(x), weight \(weight), not [N, H, W, I] and [O, I, k, k] with odd k")
    if hasBias {
      precondition(inputs[2] == [weight[0]], "convolution: weight \(weight), bias \(inputs[2])")
    }
    return x.replacing(axis: -1, with: weight[0])
  }

  // MARK: - Weights

  func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation? {
    guard index == 1 else { return nil }
    let product = WindowProduct(inputs[1], pass)
    return Preparation(
      key: PreparationKey(Self.key(pass), inputs[1].dimensions),
      count: product.groups * product.packedCount, replacesValues: true)
  }

  private static func key(_ pass: Pass) -> String {
    pass == .forward ? "window panels" : "mirrored window panels"
  }

  func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    let weight = inputs[1]
    let isForward = preparation.key == PreparationKey(Self.key(.forward), weight.dimensions)
    let product = WindowProduct(weight, isForward ? .forward : .backward)
    let matrices = Storage(count: weight.count)
    k_window_weights(
      matrices.pointer, source, !isForward, product.kernel, product.group, weight[0], weight[1])
    Engine.shared.workers.run(chunks: product.groups) { group in
      k_gemm_pack(
        destination + group * product.packedCount,
        matrices.pointer + group * product.depth * product.columns, product.depth,
        product.columns, 1, product.depth)
    }
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    let product = WindowProduct(inputs[1], pass)
    let rows = Engine.shared.workers.threads * product.tile(inputs[0].rows) * product.depth
    if pass == .forward { return rows }
    let gradient = WindowGradient(inputs[0], inputs[1])
    let bias = hasBias ? ChannelSum(outputShape(inputs)).scratchCount : 0
    return max(rows, gradient.scratchCount, bias)
  }

  // MARK: - Passes

  func forward(_ pass: ForwardPass) { forward(pass, .none) }

  fileprivate func forward(_ pass: ForwardPass, _ activation: Activation) {
    guard let panels = pass.prepared[1] else { preconditionFailure("\(kind): no weights") }
    WindowProduct(pass.inputs[1].shape, .forward).run(
      pass.inputs[0].pointer, pass.inputs[0].shape, panels, into: pass.output.pointer,
      bias: hasBias ? pass.inputs[2].pointer : nil, activation: activation, adds: false,
      pass.scratch, pass.workers)
  }

  func backward(_ pass: BackwardPass) {
    let (shape, weight) = (pass.shapes[0], pass.shapes[1])
    let dy = pass.outputGradient
    if let dx = pass.inputGradients[0] {
      guard let panels = pass.prepared[1] else { preconditionFailure("\(kind): no weights") }
      WindowProduct(weight, .backward).run(
        dy.pointer, dy.shape, panels, into: dx.pointer, bias: nil, adds: pass.adds[0],
        pass.scratch, pass.workers)
    }
    if let dw = pass.inputGradients[1] {
      WindowGradient(shape, weight).run(
        into: dw.pointer, adds: pass.adds[1], dy: dy.pointer, x: pass.input(0).pointer,
        scratch: pass.scratch, pass.workers)
    }
    if hasBias, let db = pass.inputGradients[2] {
      ChannelSum(dy.shape).run(
        from: dy.pointer, to: db.pointer, scratch: pass.scratch, pass.workers)
    }
  }
}

/// The products that make up one direction of a convolution.
private struct WindowProduct {
  let kernel: Int
  /// Channels read and written.
  let channels: Int
  let columns: Int
  /// Kernel rows that one product takes: all while their taps are few, else one, so that the panels of
  /// a product stay in the cache.
  let group: Int

  init(_ weight: Shape, _ pass: Pass) {
    kernel = weight[2]
    channels = pass == .forward ? weight[1] : weight[0]
    columns = pass == .forward ? weight[0] : weight[1]
    group = Self.group(kernel, channels)
  }

  static func group(_ kernel: Int, _ channels: Int) -> Int {
    kernel * kernel * channels <= 1024 ? kernel : 1
  }

  var groups: Int { kernel / group }
  /// Taps of a group times channels.
  var depth: Int { group * kernel * channels }
  var packedCount: Int { k_gemm_packed_count(depth, columns) }

  /// Pixels of one task: many to read the panels rarely, fewer where there are few tasks.
  func tile(_ pixels: Int) -> Int { pixels >= 1024 ? 96 : 64 }

  func run(
    _ x: UnsafePointer<Float>, _ shape: Shape, _ panels: UnsafePointer<Float>,
    into y: UnsafeMutablePointer<Float>, bias: UnsafePointer<Float>?,
    activation: Activation = .none, adds: Bool,
    _ scratch: UnsafeMutablePointer<Float>, _ workers: WorkerPool
  ) {
    let (pixels, tile) = (shape.rows, tile(shape.rows))
    workers.run(chunks: (pixels + tile - 1) / tile) { task, worker in
      let first = task * tile
      let count = min(tile, pixels - first)
      let rows = scratch + worker * tile * depth
      for index in 0..<groups {
        k_window_rows(
          rows, x, kernel, index * group, group, first, count, shape[1], shape[2], channels)
        var epilogue = k_epilogue()
        epilogue.bias = index == 0 ? bias : nil
        epilogue.accumulate = adds || index > 0
        // What is added to the old values must not be rectified by itself.
        epilogue.activation = groups == 1 ? activation.code : K_ACT_NONE
        k_gemm(
          y + first * columns, columns, rows, depth, panels + index * packedCount, &epilogue,
          count, columns, depth)
      }
      if groups > 1, let function = activation.function {
        let y = y + first * columns
        k_unary_forward(y, y, function, 0, count * columns)
      }
    }
  }
}

/// A ``WindowConvolution`` with an activation on its result, in inference plans.
struct ActivatedWindowConvolution: NonDifferentiableOperation {
  let convolution: WindowConvolution
  let activation: Activation

  var kind: OperationKind { convolution.kind }
  func outputShape(_ inputs: [Shape]) -> Shape { convolution.outputShape(inputs) }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    convolution.scratchCount(inputs, .forward)
  }

  func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation? {
    convolution.preparation(ofInput: index, inputs, .forward)
  }

  func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    convolution.prepare(preparation, ofInput: index, inputs, from: source, into: destination)
  }

  func forward(_ pass: ForwardPass) { convolution.forward(pass, activation) }
}

/// The weight's gradient: for each group of kernel rows `dyᵀ · windows`, summed over pixels in parts
/// fixed by the shape, each with a private sum.
private struct WindowGradient {
  let shape: Shape
  let weight: Shape
  let group: Int
  /// Pixels in a task are cut into parts; output channels into blocks where few parts fit the memory.
  let parts: Int
  let block: Int

  private static let tile = 128

  init(_ shape: Shape, _ weight: Shape) {
    self.shape = shape
    self.weight = weight
    group = WindowProduct.group(weight[2], weight[1])
    parts = max(1, min(shape.rows / 256, 16, (1 << 20) / max(1, weight.count)))
    block = parts >= 8 ? weight[0] : min(weight[0], 192)
  }

  private var depth: Int { group * weight[2] * weight[1] }
  private var groups: Int { weight[2] / group }
  private var blocks: Int { (weight[0] + block - 1) / block }

  /// Floats of all private sums, in whole cache lines.
  private var sumsCount: Int { (parts * weight.count + 15) / 16 * 16 }

  var scratchCount: Int { sumsCount + Engine.shared.workers.threads * Self.tile * depth }

  func run(
    into dw: UnsafeMutablePointer<Float>, adds: Bool, dy: UnsafePointer<Float>,
    x: UnsafePointer<Float>, scratch: UnsafeMutablePointer<Float>, _ workers: WorkerPool
  ) {
    let (pixels, out, kernel) = (shape.rows, weight[0], weight[2])
    let tiles = scratch + sumsCount
    workers.run(chunks: parts * groups * blocks) { task, worker in
      let (part, index) = (task / (groups * blocks), task / blocks % groups)
      let channel = task % blocks * block
      let sum = scratch + part * weight.count + (index * out + channel) * depth
      let rows = tiles + worker * Self.tile * depth
      let (begin, end) = (pixels * part / parts, pixels * (part + 1) / parts)
      for first in stride(from: begin, to: end, by: Self.tile) {
        let count = min(Self.tile, end - first)
        k_window_rows(
          rows, x, kernel, index * group, group, first, count, shape[1], shape[2], weight[1])
        k_gemm_tn(
          sum, dy + first * out + channel, out, rows, depth, first > begin, count,
          min(block, out - channel), depth)
      }
    }
    let perChannel = max(1, weight.count / max(1, out) * parts)
    workers.run(count: out, grain: max(1, ElementChunks.elements / perChannel)) { range in
      k_window_weight_gradient(
        dw, scratch, adds, range.lowerBound, range.upperBound, parts, kernel, group, out, weight[1])
    }
  }
}

extension ConvolutionGeometry {
  /// Whether ``WindowConvolution`` computes it: one dense odd square per output, stride 1, same size.
  func isWindow(_ weight: Shape, on x: Shape) -> Bool {
    guard x.rank == 4, weight.rank == 4, groups == 1, x.count > 0 else { return false }
    return weight[1] == x.channels && weight[2] == weight[3] && [3, 5, 7].contains(weight[2])
      && padding == [weight[2] / 2, weight[2] / 2]
      && (stride + dilation).allSatisfy { $0 == 1 }
  }
}
