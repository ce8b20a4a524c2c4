import Kernels

/// Matrix products of a batch: `[..., M, K]` times `[..., K, N]`, or times the transpose of
/// `[..., N, K]`.
struct MatMul: Operation {
  /// Whether the second operand's matrices are `[N, K]` and used transposed.
  let transposesB: Bool

  var kind: OperationKind { .matmul }

  /// Sizes of the operands.
  private struct Sizes {
    let batch: Int
    let m: Int
    let n: Int
    let k: Int
  }

  private func sizes(_ a: Shape, _ b: Shape) -> Sizes {
    Sizes(
      batch: a.dimensions.dropLast(2).reduce(1, *), m: a[-2], n: b[transposesB ? -2 : -1],
      k: a[-1])
  }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let (a, b) = (inputs[0], inputs[1])
    precondition(
      a.rank >= 2 && a.rank == b.rank && a.dimensions.dropLast(2) == b.dimensions.dropLast(2),
      "matmul: \(a) x \(b), batch axes differ")
    let inner = b[transposesB ? -1 : -2]
    precondition(a[-1] == inner, "matmul: \(a) x \(b), inner sizes \(a[-1]) and \(inner) differ")
    return Shape(a.dimensions.dropLast() + [sizes(a, b).n])
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    let sizes = sizes(inputs[0], inputs[1])
    return sizes.batch
      * (pass == .forward
        ? k_gemm_packed_count(sizes.k, sizes.n) : k_gemm_packed_count(sizes.n, sizes.k))
  }

  func forward(_ pass: ForwardPass) {
    let (a, b) = (pass.inputs[0], pass.inputs[1])
    let sizes = sizes(a.shape, b.shape)
    let (strideK, strideN) = transposesB ? (1, sizes.k) : (sizes.n, 1)
    Self.multiply(
      into: pass.output.pointer, a.pointer, b.pointer, batch: sizes.batch, rows: sizes.m,
      columns: sizes.n, inner: sizes.k, strideInner: strideK, strideColumns: strideN,
      pass.scratch, pass.workers)
  }

  func backward(_ pass: BackwardPass) {
    let sizes = sizes(pass.shapes[0], pass.shapes[1])
    let upstream = pass.outputGradient.pointer
    if let gradient = pass.inputGradients[0] {
      // dA = dY · Bᵀ, or dY · B for a transposed B: B as a matrix of N rows and K columns.
      let (strideN, strideK) = transposesB ? (sizes.k, 1) : (1, sizes.n)
      Self.multiply(
        into: gradient.pointer, upstream, pass.input(1).pointer, batch: sizes.batch,
        rows: sizes.m, columns: sizes.k, inner: sizes.n, strideInner: strideN,
        strideColumns: strideK, pass.scratch, pass.workers)
    }
    if let gradient = pass.inputGradients[1] {
      // dB = Aᵀ · dY, or dYᵀ · A for a transposed B.
      let a = pass.input(0).pointer
      let (first, second) =
        transposesB
        ? (UnsafePointer(upstream), UnsafePointer(a)) : (UnsafePointer(a), UnsafePointer(upstream))
      let (rows, columns) = transposesB ? (sizes.n, sizes.k) : (sizes.k, sizes.n)
      Self.multiplyTransposed(
        into: gradient.pointer, first, second, batch: sizes.batch, rows: rows, columns: columns,
        inner: sizes.m, pass.workers)
    }
  }

  /// `y: [batch, rows, columns] = x: [batch, rows, inner] · b`, whose element `(i, j)` is at
  /// `i · strideInner + j · strideColumns` of each item.
  private static func multiply(
    into y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ b: UnsafePointer<Float>,
    batch: Int, rows: Int, columns: Int, inner: Int, strideInner: Int, strideColumns: Int,
    _ packed: UnsafeMutablePointer<Float>, _ workers: WorkerPool
  ) {
    let packedCount = k_gemm_packed_count(inner, columns)
    workers.run(count: batch, grain: (1 << 15) / max(1, inner * columns)) { items in
      for item in items {
        k_gemm_pack(
          packed + item * packedCount, b + item * inner * columns, inner, columns, strideInner,
          strideColumns)
      }
    }
    let rowsPerUnit = min(max(1, rows), 96)
    let unitsPerItem = (rows + rowsPerUnit - 1) / rowsPerUnit
    let grain = (1 << 18) / max(1, rowsPerUnit * columns * inner)
    workers.run(count: batch * unitsPerItem, grain: grain) { units in
      for unit in units {
        let item = unit / unitsPerItem
        let first = unit % unitsPerItem * rowsPerUnit
        let row = item * rows + first
        k_gemm(
          y + row * columns, columns, x + row * inner, inner, packed + item * packedCount, nil,
          min(rowsPerUnit, rows - first), columns, inner)
      }
    }
  }

  /// `y: [batch, rows, columns] = aᵀ · b` with `a: [batch, inner, rows]`, `b: [batch, inner, columns]`.
  private static func multiplyTransposed(
    into y: UnsafeMutablePointer<Float>, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>,
    batch: Int, rows: Int, columns: Int, inner: Int, _ workers: WorkerPool
  ) {
    let rowsPerUnit = min(max(1, rows), 48)
    let unitsPerItem = (rows + rowsPerUnit - 1) / rowsPerUnit
    let grain = (1 << 18) / max(1, rowsPerUnit * columns * inner)
    workers.run(count: batch * unitsPerItem, grain: grain) { units in
      for unit in units {
        let item = unit / unitsPerItem
        let first = unit % unitsPerItem * rowsPerUnit
        k_gemm_tn(
          y + (item * rows + first) * columns, a + item * inner * rows + first, rows,
          b + item * inner * columns, columns, false, inner, min(rowsPerUnit, rows - first),
          columns)
      }
    }
  }
}

extension Tensor {
  /// Matrix product `[..., M, K]` times `[..., K, N]`.
  ///
  /// Outer axes are a batch and broadcast. A second operand without a batch of its own is used for all
  /// items; if it is a parameter, ``linear(_:bias:activation:)`` is faster.
  public func matmul(_ b: Tensor) -> Tensor { multiplied(b, transposesB: false) }

  /// Matrix product with a transpose, `[..., M, K]` times `[..., N, K]`: the scores of attention.
  public func matmul(transposing b: Tensor) -> Tensor { multiplied(b, transposesB: true) }

  private func multiplied(_ b: Tensor, transposesB: Bool) -> Tensor {
    precondition(
      shape.rank >= 2 && b.shape.rank >= 2, "matmul: \(shape) x \(b.shape), fewer than two axes")
    let operation = MatMul(transposesB: transposesB)
    let (batchA, batchB) = (shape.dimensions.dropLast(2), b.shape.dimensions.dropLast(2))
    if batchA == batchB { return Tensor.apply(operation, [self, b]) }
    if batchB.isEmpty {
      // One matrix for all items: the batch joins the rows.
      let rows = reshaped(to: [batchA.reduce(shape[-2], *), shape[-1]])
      let product = Tensor.apply(operation, [rows, b])
      return product.reshaped(to: Shape(shape.dimensions.dropLast() + [product.shape[-1]]))
    }
    guard let batch = Shape(Array(batchA)).broadcast(with: Shape(Array(batchB))) else {
      preconditionFailure("matmul: \(shape) x \(b.shape), batch axes differ")
    }
    func spread(_ tensor: Tensor) -> Tensor {
      tensor.broadcast(to: Shape(batch.dimensions + tensor.shape.dimensions.suffix(2)))
    }
    return Tensor.apply(operation, [spread(self), spread(b)])
  }
}
