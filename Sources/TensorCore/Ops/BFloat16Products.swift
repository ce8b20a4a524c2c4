import Kernels

/// Matrix products of an inference plan in bfloat16: operands rounded, sums in float32.
///
/// Each operation takes the place of the float32 one that it holds: same inputs, same output. There is
/// one where the CPU multiplies pairs of bfloat16; elsewhere the float32 operation stays.
enum BFloat16 {
  /// Rows that one task rounds and multiplies at a time.
  static let rows = 128

  static func words(_ pointer: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<UInt32> {
    UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: UInt32.self)
  }

  /// The packed words of an operation's weight `index`.
  static func weight(_ index: Int, _ pass: ForwardPass) -> UnsafePointer<UInt32> {
    guard let packed = pass.prepared[index] else {
      preconditionFailure("bfloat16 product: weight \(index) was not packed")
    }
    return UnsafePointer(words(packed))
  }
}

extension PackedMatrix {
  /// Panels of bfloat16 pairs for `x · Wᵀ`.
  var bfloat16: Preparation {
    Preparation(
      key: PreparationKey("gemm.bfloat16", [out, inputs]),
      count: k_gemm_bf16_packed_count(inputs, out), replacesValues: true)
  }

  /// Fills that form from the plain weight.
  func packBFloat16(
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    k_gemm_bf16_pack(BFloat16.words(destination), source, inputs, out, 1, inputs)
  }
}

/// ``Linear`` in bfloat16.
struct BFloat16Linear: NonDifferentiableOperation, RowwiseOperation {
  let exact: Linear

  var kind: OperationKind { exact.kind }
  func outputShape(_ inputs: [Shape]) -> Shape { exact.outputShape(inputs) }

  func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation? {
    index == 1 ? PackedMatrix(inputs[1]).bfloat16 : nil
  }

  func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    PackedMatrix(inputs[1]).packBFloat16(from: source, into: destination)
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    Engine.shared.workers.threads * rowScratchCount(inputs)
  }

  func rowScratchCount(_ inputs: [Shape]) -> Int { BFloat16.rows * k_bf16_words(inputs[1][1]) }

  func forward(_ pass: ForwardPass) { forwardInTiles(BFloat16.rows, pass) }

  func forward(
    _ rows: Range<Int>, of x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
    _ pass: ForwardPass, scratch: UnsafeMutablePointer<Float>
  ) {
    let (k, n) = (pass.inputs[1].shape[1], pass.inputs[1].shape[0])
    let (packed, rounded) = (BFloat16.weight(1, pass), BFloat16.words(scratch))
    var epilogue = k_epilogue()
    epilogue.bias = exact.hasBias ? UnsafePointer(pass.inputs[2].pointer) : nil
    epilogue.activation = exact.activation.code
    forEachTile(of: 0..<rows.count, BFloat16.rows) { first, count in
      k_bf16_round(rounded, x + first * k, nil, k, count, k)
      k_gemm_bf16(y + first * n, n, rounded, packed, &epilogue, count, n, k)
    }
  }
}

/// ``GatedProjection`` in bfloat16.
struct BFloat16GatedProjection: NonDifferentiableOperation {
  let exact: GatedProjection

  var kind: OperationKind { exact.kind }
  func outputShape(_ inputs: [Shape]) -> Shape { exact.outputShape(inputs) }

  func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation? {
    index == 2 ? PackedMatrix(inputs[2]).bfloat16 : nil
  }

  func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    PackedMatrix(inputs[2]).packBFloat16(from: source, into: destination)
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    Engine.shared.workers.threads * BFloat16.rows * k_bf16_words(inputs[0].channels)
  }

  func forward(_ pass: ForwardPass) {
    let (k, n) = (pass.inputs[0].shape.channels, pass.inputs[2].shape[0])
    let rows = pass.inputs[0].shape.rows
    let (x, gate, y) = (pass.inputs[0].pointer, pass.inputs[1].pointer, pass.output.pointer)
    let scale = exact.scaleIndex.map { UnsafePointer(pass.inputs[$0].pointer) }
    let residual = exact.residualIndex.map { UnsafePointer(pass.inputs[$0].pointer) }
    let (packed, scratch) = (BFloat16.weight(2, pass), BFloat16.words(pass.scratch))
    pass.workers.run(chunks: (rows + BFloat16.rows - 1) / BFloat16.rows) { index, worker in
      let first = index * BFloat16.rows
      let count = min(BFloat16.rows, rows - first)
      let product = scratch + worker * BFloat16.rows * k_bf16_words(k)
      var epilogue = k_epilogue()
      epilogue.scale = scale
      epilogue.residual = residual.map { $0 + first * n }
      epilogue.residual_stride = n
      k_bf16_round(product, x + first * k, gate + first * k, k, count, k)
      k_gemm_bf16(y + first * n, n, product, packed, &epilogue, count, n, k)
    }
  }
}

/// ``FeedForward`` in bfloat16, the hidden values included; gate and residual sum are float32.
struct BFloat16FeedForward: NonDifferentiableOperation, RowwiseOperation {
  let exact: FeedForward

  var kind: OperationKind { exact.kind }
  func outputShape(_ inputs: [Shape]) -> Shape { exact.outputShape(inputs) }

  func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation? {
    (1...3).contains(index) ? PackedMatrix(inputs[index]).bfloat16 : nil
  }

  func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    PackedMatrix(inputs[index]).packBFloat16(from: source, into: destination)
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    Engine.shared.workers.threads * rowScratchCount(inputs)
  }

  var writesSpacedRows: Bool { true }

  func rowScratchCount(_ inputs: [Shape]) -> Int {
    k_feed_forward_bf16_scratch_count(inputs[0].channels, inputs[1][0])
  }

  func forward(_ pass: ForwardPass) { forwardInTiles(BFloat16.rows, pass) }

  func forward(
    _ rows: Range<Int>, of x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
    _ pass: ForwardPass, scratch: UnsafeMutablePointer<Float>
  ) {
    let (c, hidden) = (pass.inputs[0].shape.channels, pass.inputs[1].shape[0])
    let scale = exact.scaleIndex.map { UnsafePointer(pass.inputs[$0].pointer) }
    let residual = exact.residualIndex.map { UnsafePointer(pass.inputs[$0].pointer) }
    let (key, receptance, value) = (
      BFloat16.weight(1, pass), BFloat16.weight(2, pass), BFloat16.weight(3, pass)
    )
    forEachTile(of: rows, BFloat16.rows) { first, count in
      let (start, own) = (first * c, (first - rows.lowerBound) * c)
      let gate =
        exact.hasGateInput
        ? UnsafePointer(pass.inputs[exact.gateIndex].pointer) + start : x + own
      k_feed_forward_bf16(
        y + (first - rows.lowerBound) * pass.output.rowStride, pass.output.rowStride, x + own, gate,
        residual.map { $0 + start }, scale, key, receptance, value,
        BFloat16.words(scratch), count, c, hidden)
    }
  }
}
