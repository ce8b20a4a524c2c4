import Kernels

/// The matrix products between images `[N, H, W, C]` and the coefficients of their low frequencies.
struct BandWork {
  let tables: BandTables
  let items: Int
  let height: Int
  let width: Int
  let channels: Int

  init(_ shape: Shape, _ bands: FrequencyBands) {
    items = shape[0]
    height = shape[1]
    width = shape[2]
    channels = shape[3]
    tables = .tables(bands, height: height, width: width)
  }

  /// Floats of one row of an image.
  var run: Int { width * channels }

  private var widest: BandTables.Band? { tables.bands.isEmpty ? nil : tables.bands[tables.widest] }
  /// Rows of images after a transform along W, `[N · H, 2, columns, C]`.
  private var partialCount: Int { items * height * 2 * (widest?.columns ?? 0) * channels }
  /// Coefficients, `[N, columns, 2 · rows, C]`.
  private var coefficientCount: Int {
    items * (widest?.columns ?? 0) * 2 * (widest?.rows ?? 0) * channels
  }

  /// Rows after a transform, the coefficients and a row for each thread.
  var scratchCount: Int {
    partialCount + coefficientCount + Engine.shared.workers.threads * run
  }

  /// Calls `body` for each row of each image, with the thread's number.
  func forEachRow(_ workers: WorkerPool, _ body: (_ row: Int, _ worker: Int) -> Void) {
    let grain = max(1, ElementChunks.elements / max(1, run))
    let rows = items * height
    workers.run(chunks: (rows + grain - 1) / grain) { chunk, worker in
      for row in chunk * grain..<min(rows, (chunk + 1) * grain) { body(row, worker) }
    }
  }

  private func coefficients(
    _ scratch: UnsafeMutablePointer<Float>
  ) -> UnsafeMutablePointer<Float> { scratch + partialCount }

  private func rows(_ scratch: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<Float> {
    scratch + partialCount + coefficientCount
  }

  /// The coefficients of the widest band of `x`.
  func analyse(
    _ x: UnsafePointer<Float>, scratch: UnsafeMutablePointer<Float>, _ workers: WorkerPool
  ) {
    guard let band = widest else { return }
    forEachRow(workers) { row, _ in
      k_gemm_tn(
        scratch + row * 2 * band.columns * channels, band.analysis, 2 * band.columns,
        x + row * run, channels, false, width, 2 * band.columns, channels)
    }
    analyseColumns(band, isFirst: true, scratch, workers)
  }

  /// Adds one band's coefficients of the image whose rows `fill` writes; `isFirst` sets all of them.
  func analyse(
    _ index: Int, isFirst: Bool, scratch: UnsafeMutablePointer<Float>, _ workers: WorkerPool,
    fill: (_ row: Int, _ target: UnsafeMutablePointer<Float>) -> Void
  ) {
    let band = tables.bands[index]
    let rows = rows(scratch)
    forEachRow(workers) { row, worker in
      let values = rows + worker * run
      fill(row, values)
      k_gemm_tn(
        scratch + row * 2 * band.columns * channels, band.analysis, 2 * band.columns, values,
        channels, false, width, 2 * band.columns, channels)
    }
    if isFirst { k_fill(coefficients(scratch), 0, coefficientCount) }
    analyseColumns(band, isFirst: false, scratch, workers)
  }

  /// Along H, one column of frequencies at a time.
  private func analyseColumns(
    _ band: BandTables.Band, isFirst: Bool, _ scratch: UnsafeMutablePointer<Float>,
    _ workers: WorkerPool
  ) {
    guard let widest else { return }
    let coefficients = coefficients(scratch)
    workers.run(chunks: items * band.columns) { unit in
      let (item, column) = unit.quotientAndRemainder(dividingBy: band.columns)
      k_gemm_tn(
        coefficients + (item * widest.columns + column) * 2 * widest.rows * channels,
        tables.rowAnalysis, 2 * widest.rows,
        scratch + (item * height * 2 * band.columns + column) * channels,
        band.columns * channels, !isFirst, 2 * height, 2 * band.rows, channels)
    }
  }

  /// Calls `body` with each row of the low-pass of one band, from the coefficients.
  func synthesise(
    _ index: Int, scratch: UnsafeMutablePointer<Float>, _ workers: WorkerPool,
    _ body: (_ row: Int, _ low: UnsafePointer<Float>) -> Void
  ) {
    guard let widest else { return }
    let band = tables.bands[index]
    let coefficients = coefficients(scratch)
    // [N, columns, 2 · H, C], real and imaginary part of a row side by side.
    workers.run(chunks: items * band.columns) { unit in
      let (item, column) = unit.quotientAndRemainder(dividingBy: band.columns)
      k_gemm_tn(
        scratch + unit * 2 * height * channels, tables.rowSynthesis, 2 * height,
        coefficients + (item * widest.columns + column) * 2 * widest.rows * channels, channels,
        false, 2 * band.rows, 2 * height, channels)
    }
    let lows = rows(scratch)
    forEachRow(workers) { row, worker in
      let (item, p) = row.quotientAndRemainder(dividingBy: height)
      let low = lows + worker * run
      let from = scratch + (item * band.columns * 2 * height + 2 * p) * channels
      for part in 0..<2 {
        band.synthesis.withUnsafeBufferPointer { matrix in
          guard let matrix = matrix.baseAddress else { return }
          k_gemm_tn(
            low, matrix + part * band.columns * width, width, from + part * channels,
            2 * height * channels, part == 1, band.columns, width, channels)
        }
      }
      body(row, low)
    }
  }
}
