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
}

/// `activation(x · Wᵀ + bias)` over the last axis: inputs x `[…, in]`, weight `[out, in]` and, if
/// `hasBias`, bias `[out]`.
///
/// The activation's derivative is formed from the output, so neither the product nor anything else
/// is stored.
struct Linear: Operation {
  let activation: Activation
  let hasBias: Bool

  var kind: OperationKind { .linear }
  var backwardReads: BackwardReads { .only([0, 1], output: activation != .none) }

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

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    guard pass == .backward else { return 0 }
    let rows = inputs[0].rows
    let (n, k) = (inputs[1][0], inputs[1][1])
    return (activation == .none ? 0 : rows * n)
      + WeightGradient(rows: rows, n: n, k: k).scratchCount
  }

  func backward(_ pass: BackwardPass) {
    let rows = pass.shapes[0].rows
    let (n, k) = (pass.shapes[1][0], pass.shapes[1][1])
    var scratch = pass.scratch
    var dy = pass.outputGradient.pointer
    if activation != .none {
      dy = activationGradient(pass, rows * n)
      scratch += rows * n
    }
    if let dx = pass.inputGradients[0]?.pointer {
      let packed = pass.prepared[1]
      let dy = dy
      RowChunks.forEach(rows: rows, columns: k, inner: n, pass.workers) { rows, columns in
        k_gemm(
          dx + rows.lowerBound * k + columns.lowerBound, k, dy + rows.lowerBound * n, n,
          packed.map { $0 + columns.lowerBound * n }, nil, rows.count, columns.count, n)
      }
    }
    if let dw = pass.inputGradients[1]?.pointer {
      WeightGradient(rows: rows, n: n, k: k).run(
        into: dw, dy: dy, x: pass.input(0).pointer, scratch: scratch, pass.workers)
    }
    if hasBias, let db = pass.inputGradients[2]?.pointer {
      db.update(repeating: 0, count: n)
      k_add_column_sums(db, dy, rows, n)
    }
  }

  /// Writes `dy · activation′` into the scratch and returns it.
  private func activationGradient(_ pass: BackwardPass, _ count: Int) -> UnsafeMutablePointer<Float>
  {
    let (dy, y, out) = (pass.outputGradient.pointer, pass.outputValues.pointer, pass.scratch)
    let activation = activation
    pass.workers.run(count: count, grain: ElementChunks.elements) { range in
      let (out, dy, y) = (out + range.lowerBound, dy + range.lowerBound, y + range.lowerBound)
      switch activation {
      case .none: out.update(from: dy, count: range.count)
      case .relu: k_relu_backward_from_output(out, dy, y, range.count)
      case .reluSquared: k_relu_squared_backward_from_output(out, dy, y, range.count)
      case .sigmoid: k_sigmoid_backward_from_output(out, dy, y, range.count)
      }
    }
    return out
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

/// The gradient of an `[n, k]` weight, `dyᵀ · x`, summed over rows in chunks fixed by the shape.
struct WeightGradient {
  let rows: Int
  let n: Int
  let k: Int

  /// Output rows that one task computes: enough to amortise reading x.
  private var block: Int { min(n, 96) }
  private var blocks: Int { (n + block - 1) / block }
  /// Row chunks with a private sum each: more of them where the weight is small.
  private var chunks: Int { max(1, min(rows / 1024, 32 / blocks)) }

  /// Floats of private sums.
  var scratchCount: Int { chunks == 1 ? 0 : chunks * n * k }

  /// Writes the gradient.
  ///
  /// `dy` is `[rows, n]`, `x` is `[rows, k]`, both dense.
  func run(
    into dw: UnsafeMutablePointer<Float>, dy: UnsafePointer<Float>, x: UnsafePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, _ workers: WorkerPool
  ) {
    let (block, blocks, chunks, rows, n, k) = (block, blocks, chunks, rows, n, k)
    let parts = chunks == 1 ? dw : scratch
    workers.run(chunks: chunks * blocks) { task in
      let (chunk, first) = (task / blocks, task % blocks * block)
      let range = rows * chunk / chunks..<rows * (chunk + 1) / chunks
      k_gemm_tn(
        parts + (chunk * n + first) * k, dy + range.lowerBound * n + first, n,
        x + range.lowerBound * k, k, false, range.count, min(block, n - first), k)
    }
    guard chunks > 1 else { return }
    workers.run(count: n * k, grain: ElementChunks.elements) { range in
      k_sum_parts(dw, parts, 0, range.lowerBound, range.upperBound, chunks, n * k)
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
