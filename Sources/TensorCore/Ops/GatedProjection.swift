import Kernels

/// The output of spatial mixing: `y = residual + scale · ((gate · x) · Wᵀ)`.
///
/// Inputs x `[…, C]`, gate `[…, C]`, weight `[N, C]`, then scale `[N]` and residual `[…, N]` where
/// present. The gated product exists a tile of rows at a time.
struct GatedProjection: Operation {
  let hasScale: Bool
  let hasResidual: Bool

  private static let tile = 128

  var kind: OperationKind { .gatedProjection }
  var scaleIndex: Int? { hasScale ? 3 : nil }
  var residualIndex: Int? { hasResidual ? (hasScale ? 4 : 3) : nil }
  var backwardReads: BackwardReads { .only(hasScale ? [0, 1, 2, 3] : [0, 1, 2]) }

  func passesGradient(toInput index: Int, _ inputs: [Shape]) -> Bool { index == residualIndex }

  func addsGradient(toInput index: Int, _ inputs: [Shape]) -> Bool {
    index == 2 || index == scaleIndex
  }

  func lowered(to precision: Precision) -> (any Operation)? {
    precision == .bfloat16 && precision.isSupported ? BFloat16GatedProjection(exact: self) : nil
  }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let (x, weight) = (inputs[0], inputs[2])
    precondition(inputs[1] == x, "gated projection: \(x), gate \(inputs[1]) differ")
    precondition(
      weight.rank == 2 && weight[1] == x.channels,
      "gated projection: \(x) x weight \(weight), last axis and inputs differ")
    let shape = x.replacing(axis: -1, with: weight[0])
    if let scaleIndex {
      precondition(
        inputs[scaleIndex] == [shape.channels],
        "gated projection: output \(shape), scale \(inputs[scaleIndex])")
    }
    if let residualIndex {
      precondition(
        inputs[residualIndex] == shape,
        "gated projection: output \(shape), residual \(inputs[residualIndex]) differ")
    }
    return shape
  }

  func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation? {
    guard index == 2 else { return nil }
    let matrix = PackedMatrix(inputs[2])
    return pass == .forward ? matrix.forward : matrix.backward
  }

  func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    PackedMatrix(inputs[2]).pack(preparation, from: source, into: destination)
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    let (k, n) = (inputs[0].channels, inputs[2][0])
    let threads = Engine.shared.workers.threads
    switch pass {
    case .forward: return threads * Self.tile * k
    case .backward:
      return parts(inputs[0]) * n * k + threads * tileCount(k, n)
    }
  }

  func forward(_ pass: ForwardPass) {
    let (k, n) = (pass.inputs[0].shape.channels, pass.inputs[2].shape[0])
    let rows = pass.inputs[0].shape.rows
    let (x, gate, y) = (pass.inputs[0].pointer, pass.inputs[1].pointer, pass.output.pointer)
    let scale = scaleIndex.map { UnsafePointer(pass.inputs[$0].pointer) }
    let residual = residualIndex.map { UnsafePointer(pass.inputs[$0].pointer) }
    let (packed, scratch) = (pass.prepared[2], pass.scratch)
    pass.workers.run(chunks: (rows + Self.tile - 1) / Self.tile) { index, worker in
      let first = index * Self.tile
      let count = min(Self.tile, rows - first)
      let product = scratch + worker * Self.tile * k
      k_product(product, x + first * k, gate + first * k, count * k)
      var epilogue = k_epilogue()
      epilogue.scale = scale
      epilogue.residual = residual.map { $0 + first * n }
      epilogue.residual_stride = n
      k_gemm(y + first * n, n, product, k, packed, &epilogue, count, n, k)
    }
  }

  /// Tasks of backward, each with private sums of the weight's gradient; fixed by the shape.
  private func parts(_ x: Shape) -> Int { max(1, min(x.rows / Self.tile, 16)) }

  /// The gated product, its gradient and the scaled gradient of the output, for one tile.
  private func tileCount(_ k: Int, _ n: Int) -> Int { Self.tile * (2 * k + n) }

  func backward(_ pass: BackwardPass) {
    let (k, n) = (pass.shapes[0].channels, pass.shapes[2][0])
    let (rows, parts) = (pass.shapes[0].rows, parts(pass.shapes[0]))
    let (x, gate) = (pass.input(0).pointer, pass.input(1).pointer)
    let dy = pass.outputGradient.pointer
    let scale = hasScale ? UnsafePointer(pass.input(3).pointer) : nil
    let (dx, dGate) = (pass.inputGradients[0]?.pointer, pass.inputGradients[1]?.pointer)
    guard let packed = pass.prepared[2] else {
      preconditionFailure("gated projection: the weight was not packed")
    }
    let (sums, tiles) = (pass.scratch, pass.scratch + parts * n * k)
    pass.workers.run(chunks: parts) { part, worker in
      let sums = sums + part * n * k
      let product = tiles + worker * tileCount(k, n)
      let dProduct = product + Self.tile * k
      let dz = dProduct + Self.tile * k
      var first = rows * part / parts
      let (start, end) = (first, rows * (part + 1) / parts)
      if start == end { sums.update(repeating: 0, count: n * k) }
      while first < end {
        let count = min(Self.tile, end - first)
        let dy = dy + first * n
        k_product(product, x + first * k, gate + first * k, count * k)
        k_gemm_tn(sums, dy, n, product, k, first > start, count, n, k)
        if let scale { k_scale_columns(dz, dy, scale, count, n) }
        k_gemm(dProduct, k, scale == nil ? dy : dz, n, packed, nil, count, k, n)
        k_product_backward(
          dx.map { $0 + first * k }, dGate.map { $0 + first * k }, dProduct, x + first * k,
          gate + first * k, count * k)
        first += count
      }
    }
    // The scale acts on rows of the weight, so its gradient follows from the weight's: no product of
    // the forward pass is needed for it.
    let (weight, dWeight) = (pass.input(2).pointer, pass.inputGradients[2]?.pointer)
    let dScale = scaleIndex.flatMap { pass.inputGradients[$0]?.pointer }
    let addsScale = scaleIndex.map { pass.adds[$0] } ?? false
    if dWeight == nil && dScale == nil { return }
    pass.workers.run(count: n, grain: max(1, ElementChunks.elements / (k * parts))) { range in
      k_scaled_weight_gradient(
        dWeight, dScale, sums, weight, scale, pass.adds[2], addsScale, range.lowerBound,
        range.upperBound, parts, n, k)
    }
  }
}

extension Tensor {
  /// The output projection of spatial mixing: `residual + scale · ((gate · x) · weightᵀ)`.
  ///
  /// - Parameters:
  ///   - gate: A tensor of this one's shape, `[…, C]`.
  ///   - weight: `[N, C]`.
  ///   - scale: `[N]`, or nil for 1.
  ///   - residual: `[…, N]`, or nil for 0.
  /// - Returns: `[…, N]`.
  public func gatedProjection(
    gate: Tensor, weight: Tensor, scale: Tensor? = nil, residual: Tensor? = nil
  ) -> Tensor {
    Tensor.apply(
      GatedProjection(hasScale: scale != nil, hasResidual: residual != nil),
      [self, gate, weight] + [scale, residual].compactMap(\.self))
  }
}
