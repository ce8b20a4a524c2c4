/// An operation each of whose output's rows follows from the same row of its first input.
///
/// Rows are what the innermost axis spans. Such an operation can take rows from a cache in which the
/// operation before it left them, instead of from memory: see ``ShiftedProducts``.
protocol RowwiseOperation: Operation {
  /// Floats of temporary memory that one thread needs.
  func rowScratchCount(_ inputs: [Shape]) -> Int

  /// Computes some rows on the calling thread.
  ///
  /// - Parameters:
  ///   - rows: Which ones, by which other inputs of as many rows are read.
  ///   - x: The first of these rows of the first input, in place of that of `pass`.
  ///   - y: Where the first of these rows of the output belongs.
  ///   - pass: The other inputs, all prepared forms, and the distance of the output's rows.
  ///   - scratch: ``rowScratchCount(_:)`` floats.
  func forward(
    _ rows: Range<Int>, of x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
    _ pass: ForwardPass, scratch: UnsafeMutablePointer<Float>)
}

extension RowwiseOperation {
  /// Computes all rows, tiles of at most `size` of them shared by the threads.
  func forwardInTiles(_ size: Int, _ pass: ForwardPass) {
    let (x, y) = (pass.inputs[0], pass.output)
    let rows = x.shape.rows
    let scratchCount = rowScratchCount(pass.inputs.map(\.shape))
    pass.workers.run(chunks: (rows + size - 1) / size) { index, worker in
      let first = index * size
      forward(
        first..<min(rows, first + size), of: x.pointer + first * x.shape.channels,
        into: y.pointer + first * y.rowStride, pass,
        scratch: pass.scratch + worker * scratchCount)
    }
  }

  /// Calls `body` for tiles of at most `size` rows: the first row of each and their number.
  func forEachTile(of rows: Range<Int>, _ size: Int, _ body: (_ first: Int, _ count: Int) -> Void) {
    for first in stride(from: rows.lowerBound, to: rows.upperBound, by: size) {
      body(first, min(size, rows.upperBound - first))
    }
  }
}
