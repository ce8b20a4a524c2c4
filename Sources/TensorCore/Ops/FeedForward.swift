import Kernels

/// The channel mixing of RWKV-like blocks: `y = residual + scale · σ(g·Wrᵀ) · (max(x·Wkᵀ, 0)² · Wvᵀ)`.
///
/// Inputs x `[…, C]`, key `[H, C]`, receptance `[C, C]`, value `[C, H]`, then, where present, the gate's
/// own input g `[…, C]` (x otherwise), scale `[C]` and residual `[…, C]`. The `[…, H]` hidden tensor
/// exists a tile of rows at a time and never leaves the cache; backward computes it again instead of
/// storing it. What the gate multiplies, and the gate, are small enough to be stored: computing them
/// again would cost a fifth more arithmetic.
struct FeedForward: RowwiseOperation {
  var hasGateInput = false
  let hasScale: Bool
  let hasResidual: Bool

  /// Rows whose hidden values one task keeps in its cache.
  private static let tile = 128

  var kind: OperationKind { .feedForward }
  var gateIndex: Int { hasGateInput ? 4 : 0 }
  var scaleIndex: Int? { hasScale ? (hasGateInput ? 5 : 4) : nil }
  var residualIndex: Int? {
    hasResidual ? 4 + (hasGateInput ? 1 : 0) + (hasScale ? 1 : 0) : nil
  }
  var backwardReads: BackwardReads {
    .only(Set([0, 1, 2, 3, gateIndex] + [scaleIndex].compactMap(\.self)))
  }

  func passesGradient(toInput index: Int, _ inputs: [Shape]) -> Bool { index == residualIndex }

  func addsGradient(toInput index: Int, _ inputs: [Shape]) -> Bool { index != residualIndex }

  /// The gate σ(g·Wrᵀ), then what it multiplies.
  func keptCount(_ inputs: [Shape]) -> Int { 2 * inputs[0].count }

  func lowered(to precision: Precision) -> (any Operation)? {
    precision == .bfloat16 && precision.isSupported ? BFloat16FeedForward(exact: self) : nil
  }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let x = inputs[0]
    let (c, hidden) = (x.channels, inputs[1][0])
    precondition(
      inputs[1] == [hidden, c] && inputs[2] == [c, c] && inputs[3] == [c, hidden],
      """
      feed-forward: \(x) with key \(inputs[1]), receptance \(inputs[2]), value \(inputs[3]); \
      expected [H, \(c)], [\(c), \(c)], [\(c), H]
      """)
    precondition(
      inputs[gateIndex] == x, "feed-forward: \(x), input of the gate \(inputs[gateIndex]) differ")
    if let scaleIndex {
      precondition(
        inputs[scaleIndex] == [c],
        "feed-forward: \(x), scale \(inputs[scaleIndex]), expected [\(c)]")
    }
    if let residualIndex {
      precondition(
        inputs[residualIndex] == x, "feed-forward: \(x), residual \(inputs[residualIndex]) differ")
    }
    return x
  }

  func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation? {
    guard (1...3).contains(index) else { return nil }
    let matrix = PackedMatrix(inputs[index])
    if pass == .forward { return matrix.forward }
    return index == 1 ? matrix.both : matrix.backward
  }

  func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    PackedMatrix(inputs[index]).pack(preparation, from: source, into: destination)
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    let (c, hidden) = (inputs[0].channels, inputs[1][0])
    let threads = Engine.shared.workers.threads
    switch pass {
    case .forward: return threads * rowScratchCount(inputs)
    case .backward:
      let parts = parts(inputs[0])
      return parts * partCount(c, hidden) + threads * Self.tile * (2 * hidden + 2 * c)
    }
  }

  var writesSpacedRows: Bool { true }

  func rowScratchCount(_ inputs: [Shape]) -> Int {
    k_feed_forward_scratch_count(inputs[0].channels, inputs[1][0])
  }

  func forward(_ pass: ForwardPass) { forwardInTiles(Self.tile, pass) }

  func forward(
    _ rows: Range<Int>, of x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
    _ pass: ForwardPass, scratch: UnsafeMutablePointer<Float>
  ) {
    let (c, hidden) = (pass.inputs[0].shape.channels, pass.inputs[1].shape[0])
    let scale = scaleIndex.map { UnsafePointer(pass.inputs[$0].pointer) }
    let residual = residualIndex.map { UnsafePointer(pass.inputs[$0].pointer) }
    let (key, receptance, value) = (pass.prepared[1], pass.prepared[2], pass.prepared[3])
    forEachTile(of: rows, Self.tile) { first, count in
      let (start, own) = (first * c, (first - rows.lowerBound) * c)
      let gateInput =
        hasGateInput ? UnsafePointer(pass.inputs[gateIndex].pointer) + start : x + own
      let residual = residual.map { $0 + start }
      if let gate = pass.kept {
        k_feed_forward_keeping(
          y + own, gate + start, gate + pass.output.count + start, x + own, gateInput, residual,
          scale, key, receptance, value, scratch, count, c, hidden)
      } else {
        k_feed_forward(
          y + (first - rows.lowerBound) * pass.output.rowStride, pass.output.rowStride, x + own,
          gateInput, residual, scale, key, receptance, value, scratch, count, c, hidden)
      }
    }
  }

  /// Tasks of backward, each with private sums of the weights' gradients; fixed by the shape.
  private func parts(_ x: Shape) -> Int {
    max(1, min(x.rows / Self.tile, x.channels >= 192 ? 8 : 16))
  }

  /// Floats of one task's sums: key, value, receptance, scale.
  private func partCount(_ c: Int, _ hidden: Int) -> Int { 2 * c * hidden + c * c + c }

  func backward(_ pass: BackwardPass) {
    let (c, hidden) = (pass.shapes[0].channels, pass.shapes[1][0])
    let (rows, parts) = (pass.shapes[0].rows, parts(pass.shapes[0]))
    let partCount = partCount(c, hidden)
    let sums = pass.scratch
    let tiles = sums + parts * partCount
    let tileCount = Self.tile * (2 * hidden + 2 * c)
    let rule = TileRule(pass, c: c, hidden: hidden, gateIndex: gateIndex, scaleIndex: scaleIndex)
    pass.workers.run(chunks: parts) { part, worker in
      let sums = sums + part * partCount
      sums.update(repeating: 0, count: partCount)
      var first = rows * part / parts
      let end = rows * (part + 1) / parts
      while first < end {
        let count = min(Self.tile, end - first)
        rule.backward(rows: first..<first + count, sums: sums, tile: tiles + worker * tileCount)
        first += count
      }
    }
    let (weight, square) = (c * hidden, c * c)
    var sections = [(1, 0, weight), (3, weight, weight), (2, 2 * weight, square)]
    if let scaleIndex { sections.append((scaleIndex, 2 * weight + square, c)) }
    for (input, offset, count) in sections {
      guard let gradient = pass.inputGradients[input]?.pointer else { continue }
      let adds = pass.adds[input]
      pass.workers.run(count: count, grain: ElementChunks.elements) { range in
        k_sum_parts(
          gradient, sums + offset, adds, range.lowerBound, range.upperBound, parts, partCount)
      }
    }
  }
}

/// Backward of one tile of rows.
private struct TileRule {
  let c: Int
  let hidden: Int
  let x: UnsafePointer<Float>
  let gateInput: UnsafePointer<Float>
  let dy: UnsafePointer<Float>
  let gate: UnsafePointer<Float>
  let product: UnsafePointer<Float>
  let scale: UnsafePointer<Float>?
  let dx: UnsafeMutablePointer<Float>?
  let addsToX: Bool
  /// The gradient of the gate's own input; nil where the gate reads x.
  let dGateInput: UnsafeMutablePointer<Float>?
  let addsToGateInput: Bool
  let isGateShared: Bool
  let key: (forward: UnsafePointer<Float>, backward: UnsafePointer<Float>)
  let receptance: UnsafePointer<Float>
  let value: UnsafePointer<Float>

  init(_ pass: BackwardPass, c: Int, hidden: Int, gateIndex: Int, scaleIndex: Int?) {
    func panels(_ index: Int) -> UnsafePointer<Float> {
      guard let packed = pass.prepared[index] else {
        preconditionFailure("feed-forward: weight \(index) was not packed")
      }
      return UnsafePointer(packed)
    }
    self.c = c
    self.hidden = hidden
    x = UnsafePointer(pass.input(0).pointer)
    dy = UnsafePointer(pass.outputGradient.pointer)
    gate = UnsafePointer(pass.kept)
    product = gate + pass.shapes[0].count
    gateInput = UnsafePointer(pass.input(gateIndex).pointer)
    isGateShared = gateIndex == 0
    dGateInput = isGateShared ? nil : pass.inputGradients[gateIndex]?.pointer
    addsToGateInput = pass.adds[gateIndex]
    scale = scaleIndex.map { UnsafePointer(pass.input($0).pointer) }
    dx = pass.inputGradients[0]?.pointer
    addsToX = pass.adds[0]
    key = (panels(1), panels(1) + PackedMatrix(pass.shapes[1]).forwardCount)
    receptance = panels(2)
    value = panels(3)
  }

  func backward(
    rows: Range<Int>, sums: UnsafeMutablePointer<Float>, tile: UnsafeMutablePointer<Float>
  ) {
    let (count, start) = (rows.count, rows.lowerBound * c)
    let (x, dy) = (x + start, dy + start)
    let h = tile
    let dh = h + count * hidden
    let dProduct = dh + count * hidden
    let dGate = dProduct + count * c
    let (dKey, dValue) = (sums, sums + c * hidden)
    let dReceptance = dValue + c * hidden
    k_gate_backward(
      dProduct, dGate, scale == nil ? nil : dReceptance + c * c, dy, scale, gate + start,
      product + start, count, c)
    var squared = k_epilogue()
    squared.activation = K_ACT_RELU_SQUARED
    k_gemm(h, hidden, x, c, key.forward, &squared, count, hidden, c)
    k_gemm_tn(dValue, dProduct, c, h, hidden, true, count, c, hidden)
    k_gemm(dh, hidden, dProduct, c, value, nil, count, hidden, c)
    k_relu_squared_backward_from_output(dh, dh, h, count * hidden)
    k_gemm_tn(dKey, dh, hidden, x, c, true, count, hidden, c)
    k_gemm_tn(dReceptance, dGate, c, gateInput + start, c, true, count, c, c)
    var accumulate = k_epilogue()
    if let dGateInput {
      accumulate.accumulate = addsToGateInput
      k_gemm(dGateInput + start, c, dGate, c, receptance, &accumulate, count, c, c)
    }
    guard let dx = dx.map({ $0 + start }) else { return }
    accumulate.accumulate = addsToX
    k_gemm(dx, c, dh, hidden, key.backward, &accumulate, count, c, hidden)
    guard isGateShared else { return }
    accumulate.accumulate = true
    k_gemm(dx, c, dGate, c, receptance, &accumulate, count, c, c)
  }
}

extension Tensor {
  /// The channel mixing of RWKV-like blocks, with the hidden tensor kept in cache.
  ///
  /// `residual + scale · σ(gate · receptanceᵀ) · (max(x · keyᵀ, 0)² · valueᵀ)`
  ///
  /// - Parameters:
  ///   - key: `[H, C]`, where this tensor is `[…, C]`.
  ///   - receptance: `[C, C]`.
  ///   - value: `[C, H]`.
  ///   - gate: What the receptance is computed from, a tensor of this one's shape; nil for this one.
  ///   - scale: `[C]`, or nil for 1.
  ///   - residual: A tensor of this one's shape, or nil for 0.
  /// - Returns: `[…, C]`.
  public func feedForward(
    key: Tensor, receptance: Tensor, value: Tensor, gate: Tensor? = nil, scale: Tensor? = nil,
    residual: Tensor? = nil
  ) -> Tensor {
    Tensor.apply(
      FeedForward(
        hasGateInput: gate != nil, hasScale: scale != nil, hasResidual: residual != nil),
      [self, key, receptance, value] + [gate, scale, residual].compactMap(\.self))
  }
}
