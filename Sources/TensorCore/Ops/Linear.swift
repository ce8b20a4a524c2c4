import Kernels

/// A function applied to a product while it is still in registers.
public enum Activation: String, Sendable, CaseIterable, Codable {
  case none, relu, reluSquared, sigmoid

  var code: k_activation {
    switch self {
    case .none: K_ACT_NONE
    case .relu: K_ACT_RELU
    case .reluSquared: K_ACT_RELU_SQUARED
    case .sigmoid: K_ACT_SIGMOID
    }
  }

  /// The same function applied to stored elements; nil for none.
  var function: k_unary? {
    switch self {
    case .none: nil
    case .relu: K_UNARY_RELU
    case .reluSquared: K_UNARY_RELU_SQUARED
    case .sigmoid: K_UNARY_SIGMOID
    }
  }
}

/// `activation(x · Wᵀ + bias)` over the last axis: inputs x `[…, in]`, weight `[out, in]` and, if
/// `hasBias`, bias `[out]`.
///
/// The activation's derivative is formed from the output, so neither the product nor anything else
/// is stored.
struct Linear: RowwiseOperation {
  let activation: Activation
  let hasBias: Bool

  var kind: OperationKind { .linear }
  var backwardReads: BackwardReads { .only([0, 1], output: activation != .none) }

  func lowered(to precision: Precision) -> (any Operation)? {
    precision == .bfloat16 && precision.isSupported ? BFloat16Linear(exact: self) : nil
  }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let (x, weight) = (inputs[0], inputs[1])
    precondition(
      x.rank >= 1 && weight.rank == 2 && x.channels == weight[1],
      "linear: \(x) x weight \(weight), last axis and inputs differ")
    if hasBias {
      precondition(
        inputs[2].count == weight[0],
        "linear: weight \(weight), bias \(inputs[2]), outputs differ")
    }
    return x.replacing(axis: -1, with: weight[0])
  }

  func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation? {
    guard index == 1 else { return nil }
    let matrix = PackedMatrix(inputs[1])
    return pass == .forward ? matrix.forward : matrix.backward
  }

  func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    PackedMatrix(inputs[1]).pack(preparation, from: source, into: destination)
  }

  func forward(_ pass: ForwardPass) {
    let (k, n) = (pass.inputs[1].shape[1], pass.inputs[1].shape[0])
    let (x, y) = (pass.inputs[0].pointer, pass.output.pointer)
    let packed = pass.prepared[1]
    let bias = hasBias ? UnsafePointer(pass.inputs[2].pointer) : nil
    let code = activation.code
    RowChunks.forEach(rows: pass.inputs[0].shape.rows, columns: n, inner: k, pass.workers) {
      rows, columns in
      var epilogue = k_epilogue()
      epilogue.bias = bias.map { $0 + columns.lowerBound }
      epilogue.activation = code
      k_gemm(
        y + rows.lowerBound * n + columns.lowerBound, n, x + rows.lowerBound * k, k,
        packed.map { $0 + columns.lowerBound * k }, &epilogue, rows.count, columns.count, k)
    }
  }

  func rowScratchCount(_ inputs: [Shape]) -> Int { 0 }

  func forward(
    _ rows: Range<Int>, of x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
    _ pass: ForwardPass, scratch: UnsafeMutablePointer<Float>
  ) {
    let (k, n) = (pass.inputs[1].shape[1], pass.inputs[1].shape[0])
    var epilogue = k_epilogue()
    epilogue.bias = hasBias ? UnsafePointer(pass.inputs[2].pointer) : nil
    epilogue.activation = activation.code
    forEachTile(of: 0..<rows.count, RowChunks.rows) { first, count in
      k_gemm(y + first * n, n, x + first * k, k, pass.prepared[1], &epilogue, count, n, k)
    }
  }

  func addsGradient(toInput index: Int, _ inputs: [Shape]) -> Bool { true }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    guard pass == .backward else { return 0 }
    let (n, k) = (inputs[1][0], inputs[1][1])
    let gradient = WeightGradient(rows: inputs[0].rows, n: n, k: k)
    let tiles = activation == .none ? 0 : Engine.shared.workers.threads * RowChunks.rows * n
    return (isInSlabs(gradient) ? 0 : gradient.scratchCount) + gradient.parts * n + tiles
  }

  /// Whether the weight is so large beside the rows that its gradient is computed some outputs at a time
  /// from all rows, instead of from parts of the rows that each have a sum as large as the weight.
  private func isInSlabs(_ gradient: WeightGradient) -> Bool {
    activation == .none && gradient.n * gradient.k >= 1 << 20 && gradient.rows <= 1024
  }

  /// One pass over the rows: what a tile of them needs of `dy · activation′` and x is in the cache for
  /// all three gradients.
  func backward(_ pass: BackwardPass) {
    let rows = pass.shapes[0].rows
    let (n, k) = (pass.shapes[1][0], pass.shapes[1][1])
    let gradient = WeightGradient(rows: rows, n: n, k: k)
    let (dx, dw) = (pass.inputGradients[0]?.pointer, pass.inputGradients[1]?.pointer)
    let db = hasBias ? pass.inputGradients[2]?.pointer : nil
    let (dy, packed) = (pass.outputGradient.pointer, pass.prepared[1])
    let inSlabs = isInSlabs(gradient)
    let x = dw == nil || inSlabs ? nil : pass.input(0).pointer
    let y = activation == .none ? nil : pass.outputValues.pointer
    let weightSums = pass.scratch
    let biasSums = weightSums + (inSlabs ? 0 : gradient.scratchCount)
    let tiles = biasSums + gradient.parts * n
    pass.workers.run(chunks: gradient.parts) { part, worker in
      let range = gradient.rows(of: part)
      let biasSum = biasSums + part * n
      if db != nil { biasSum.update(repeating: 0, count: n) }
      if range.isEmpty, !inSlabs { (weightSums + part * n * k).update(repeating: 0, count: n * k) }
      for first in stride(from: range.lowerBound, to: range.upperBound, by: RowChunks.rows) {
        let count = min(RowChunks.rows, range.upperBound - first)
        var g = dy + first * n
        if let y {
          let tile = tiles + worker * RowChunks.rows * n
          activationGradient(tile, g, y + first * n, count * n)
          g = tile
        }
        if let dx {
          inputGradient(
            dx + first * k, g, packed.map { UnsafePointer($0) }, adds: pass.adds[0], rows: count,
            n: n, k: k)
        }
        if let x {
          k_gemm_tn(
            weightSums + part * n * k, g, n, x + first * k, k, first > range.lowerBound, count, n,
            k)
        }
        if db != nil { k_add_column_sums(biasSum, g, count, n) }
      }
    }
    if let dw, inSlabs {
      let (x, rows) = (pass.input(0).pointer, rows)
      pass.workers.run(count: n, grain: 144) { outputs in
        k_gemm_tn(
          dw + outputs.lowerBound * k, dy + outputs.lowerBound, n, x, k, pass.adds[1], rows,
          outputs.count, k)
      }
    } else if let dw {
      gradient.sum(into: dw, adds: pass.adds[1], weightSums, pass.workers)
    }
    if let db { k_sum_parts(db, biasSums, pass.adds[2], 0, n, gradient.parts, n) }
  }

  /// `dx (+)= g · W` for some rows.
  ///
  /// Over many outputs in parts, of which a panel of the weight and the
  /// rows stay in the cache: each fetches the whole weight once instead of once for every few rows.
  private func inputGradient(
    _ dx: UnsafeMutablePointer<Float>, _ g: UnsafePointer<Float>,
    _ packed: UnsafePointer<Float>?, adds: Bool, rows: Int, n: Int, k: Int
  ) {
    let (part, panel) = (512, Int(K_GEMM_PANEL))
    var epilogue = k_epilogue()
    epilogue.accumulate = adds
    guard n >= 8 * part else {
      k_gemm(dx, k, g, n, packed, &epilogue, rows, k, n)
      return
    }
    for first in stride(from: 0, to: n, by: part) {
      let outputs = min(part, n - first)
      for column in stride(from: 0, to: k, by: panel) {
        k_gemm(
          dx + column, k, g + first, n, packed.map { $0 + column * n + first * panel }, &epilogue,
          rows, min(panel, k - column), outputs)
      }
      epilogue.accumulate = true
    }
  }

  /// Writes `dy · activation′`.
  private func activationGradient(
    _ out: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, _ y: UnsafePointer<Float>,
    _ count: Int
  ) {
    switch activation {
    case .none: out.update(from: dy, count: count)
    case .relu: k_relu_backward_from_output(out, dy, y, count)
    case .reluSquared: k_relu_squared_backward_from_output(out, dy, y, count)
    case .sigmoid: k_sigmoid_backward_from_output(out, dy, y, count)
    }
  }
}

/// How many rows of a matrix one worker takes at a time.
enum RowChunks {
  /// Few enough that activations and results of 1536 channels stay in a megabyte of cache.
  static let rows = 128

  /// Cuts a product `[rows, inner] · [inner, columns]` into pieces, by rows and, where those are few,
  /// by panels of columns: a map of 7 × 7 pixels must still reach every thread.
  ///
  /// An element's sum does not depend on the piece that it is in.
  static func forEach(
    rows: Int, columns: Int, inner: Int, _ workers: WorkerPool,
    _ body: (_ rows: Range<Int>, _ columns: Range<Int>) -> Void
  ) {
    let rowPieces = (rows + self.rows - 1) / self.rows
    // Waking a worker takes some 30 µs: as long as four million multiply-adds.
    let work = rows * columns * inner
    let wanted = rowPieces >= 4 ? 1 : min(4, max(1, work >> 22))
    let panels = (columns + K_GEMM_PANEL - 1) / K_GEMM_PANEL
    let width = (panels + wanted - 1) / wanted * K_GEMM_PANEL
    let columnPieces = (columns + width - 1) / max(1, width)
    workers.run(chunks: rowPieces * columnPieces) { piece in
      let (row, column) = piece.quotientAndRemainder(dividingBy: columnPieces)
      body(
        row * self.rows..<min(rows, (row + 1) * self.rows),
        column * width..<min(columns, (column + 1) * width))
    }
  }
}

/// How many elements of a flat array one worker takes at a time.
enum ElementChunks {
  /// 64 KiB a stream: long enough to hide the hand-over, short enough to balance.
  static let elements = 16384
}

/// How the gradient of an `[n, k]` weight is summed over rows: in parts fixed by the shape, each with a
/// private sum.
struct WeightGradient {
  let rows: Int
  let n: Int
  let k: Int

  /// Few where the sums are large, but enough to keep all threads busy to the end.
  var parts: Int { max(1, min(rows / RowChunks.rows, n * k > 1 << 15 ? 8 : 16)) }

  /// Floats of private sums.
  var scratchCount: Int { parts * n * k }

  func rows(of part: Int) -> Range<Int> { rows * part / parts..<rows * (part + 1) / parts }

  /// Writes or adds the sum of all parts.
  func sum(
    into dw: UnsafeMutablePointer<Float>, adds: Bool, _ sums: UnsafePointer<Float>,
    _ workers: WorkerPool
  ) {
    workers.run(count: n * k, grain: ElementChunks.elements) { range in
      k_sum_parts(dw, sums, adds, range.lowerBound, range.upperBound, parts, n * k)
    }
  }
}

extension Tensor {
  /// `activation(x · Wᵀ + bias)` over the last axis.
  ///
  /// - Parameters:
  ///   - weight: `[out, in]`, where this tensor is `[…, in]`.
  ///   - bias: `[out]`.
  ///   - activation: Applied before the result is stored.
  /// - Returns: `[…, out]`.
  public func linear(
    _ weight: Tensor, bias: Tensor? = nil, activation: Activation = .none
  ) -> Tensor {
    Tensor.apply(
      Linear(activation: activation, hasBias: bias != nil),
      [self, weight] + (bias.map { [$0] } ?? []))
  }
}
