import Kernels

/// One level of a wavelet analysis along one axis: `[…, n, …]` to `[2, …, m, …]`, low band first.
struct WaveletAnalysis: Operation {
  let axis: Int
  let tables: WaveletTables
  let filters: WaveletFilters

  var kind: OperationKind { .waveletAnalysis }
  var backwardReads: BackwardReads { .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape {
    Shape([2] + inputs[0].replacing(axis: axis, with: tables.band).dimensions)
  }

  func forward(_ pass: ForwardPass) {
    WaveletLoop(pass.inputs[0].shape, axis, tables, filters).gather(
      pass.inputs[0].pointer, into: pass.output.pointer, pass.workers)
  }

  func backward(_ pass: BackwardPass) {
    guard let gradient = pass.inputGradients[0] else { return }
    WaveletLoop(gradient.shape, axis, tables, filters).scatter(
      pass.outputGradient.pointer, into: gradient.pointer, pass.workers)
  }
}

/// One level of a wavelet synthesis along one axis: `[2, …, m, …]` to `[…, n, …]`.
struct WaveletSynthesis: Operation {
  let axis: Int
  let tables: WaveletTables
  let filters: WaveletFilters

  var kind: OperationKind { .waveletSynthesis }
  var backwardReads: BackwardReads { .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape {
    precondition(
      inputs[0].rank >= 2 && inputs[0][0] == 2,
      "waveletSynthesis: \(inputs[0]), expected two bands along the outermost axis")
    return Shape(Array(inputs[0].dimensions.dropFirst()))
      .replacing(axis: axis, with: tables.signal)
  }

  func forward(_ pass: ForwardPass) {
    WaveletLoop(pass.output.shape, axis, tables, filters).scatter(
      pass.inputs[0].pointer, into: pass.output.pointer, pass.workers)
  }

  func backward(_ pass: BackwardPass) {
    guard let gradient = pass.inputGradients[0] else { return }
    WaveletLoop(pass.outputGradient.shape, axis, tables, filters).gather(
      pass.outputGradient.pointer, into: gradient.pointer, pass.workers)
  }
}

/// A pair of filters by extended position (see ``WaveletTables``), as the kernels take them.
struct WaveletFilters: Hashable, Sendable {
  let low: [Float]
  let high: [Float]

  init(analysisOf wavelet: Wavelet) {
    low = wavelet.analysisLow.reversed().map(Float.init)
    high = wavelet.analysisHigh.reversed().map(Float.init)
  }

  init(synthesisOf wavelet: Wavelet) {
    low = wavelet.synthesisLow.map(Float.init)
    high = wavelet.synthesisHigh.map(Float.init)
  }
}

/// The two directions between a signal `[outer, n, inner]` and its bands `[2, outer, m, inner]`.
private struct WaveletLoop {
  let tables: WaveletTables
  let filters: WaveletFilters
  let outer: Int
  let inner: Int

  init(_ signal: Shape, _ axis: Int, _ tables: WaveletTables, _ filters: WaveletFilters) {
    self.tables = tables
    self.filters = filters
    outer = signal.dimensions[..<axis].reduce(1, *)
    inner = signal.dimensions[(axis + 1)...].reduce(1, *)
  }

  /// Calls `body` with an outer index and a range of `rows` rows; short lines go together.
  private func forEach(
    rows: Int, _ workers: WorkerPool, _ body: (_ outer: Int, _ rows: Range<Int>) -> Void
  ) {
    let perUnit = max(1, min(rows, ElementChunks.elements / max(1, inner)))
    let units = (rows + perUnit - 1) / max(1, perUnit)
    let grain = max(1, ElementChunks.elements / max(1, perUnit * inner))
    workers.run(count: outer * units, grain: grain) { range in
      for unit in range {
        let first = unit % units * perUnit
        body(unit / units, first..<min(rows, first + perUnit))
      }
    }
  }

  func gather(
    _ x: UnsafePointer<Float>, into bands: UnsafeMutablePointer<Float>, _ workers: WorkerPool
  ) {
    let (n, m) = (tables.signal, tables.band)
    let high = bands + outer * m * inner
    forEach(rows: m, workers) { outer, rows in
      k_wavelet_analysis(
        bands + outer * m * inner, high + outer * m * inner, x + outer * n * inner, tables.map,
        filters.low, filters.high, filters.low.count, rows.lowerBound, rows.upperBound, inner)
    }
  }

  func scatter(
    _ bands: UnsafePointer<Float>, into x: UnsafeMutablePointer<Float>, _ workers: WorkerPool
  ) {
    let (n, m) = (tables.signal, tables.band)
    let high = bands + outer * m * inner
    forEach(rows: n, workers) { outer, rows in
      k_wavelet_synthesis(
        x + outer * n * inner, bands + outer * m * inner, high + outer * m * inner, tables.first,
        tables.positions, filters.low, filters.high, filters.low.count, rows.lowerBound,
        rows.upperBound, m, inner)
    }
  }
}

extension Tensor {
  /// One level of a wavelet analysis along some axes.
  ///
  /// Bands stand along a new outermost axis. Bit k of a band's index says whether it is the high band
  /// along `axes[k]`: for images `[N, H, W, C]` and the axes 1 and 2 the bands are LL, LH (low along
  /// W, high along H), HL, HH.
  ///
  /// - Parameters:
  ///   - wavelet: The filters.
  ///   - boundary: What lies beyond the ends.
  ///   - axes: Each of size 1 at least and named once; negative axes count from the innermost, −1.
  /// - Returns: `[2ᵈ, …]`, the axes with the sizes of ``WaveletBoundary``.
  ///
  /// Source: Mallat, *A Theory for Multiresolution Signal Decomposition*, IEEE PAMI 11(7), 1989.
  public func waveletDecomposed(
    by wavelet: Wavelet, boundary: WaveletBoundary, axes: [Int]
  ) -> Tensor {
    let axes = axes.map { shape.normalized(axis: $0) }
    precondition(
      Set(axes).count == axes.count && !axes.isEmpty && shape.count > 0,
      "waveletDecomposed: axes \(axes) of \(shape)")
    let filters = WaveletFilters(analysisOf: wavelet)
    var bands = self
    for (count, axis) in axes.enumerated() {
      let tables = WaveletTables(
        analysisOf: shape.dimensions[axis], taps: wavelet.taps, boundary)
      bands = .apply(
        WaveletAnalysis(axis: axis + count, tables: tables, filters: filters), [bands])
    }
    return axes.count == 1
      ? bands
      : bands.reshaped(
        to: Shape([1 << axes.count] + Array(bands.shape.dimensions.dropFirst(axes.count))))
  }

  /// The signal of the bands that ``waveletDecomposed(by:boundary:axes:)`` returns.
  ///
  /// - Parameters:
  ///   - wavelet: The filters.
  ///   - boundary: That of the analysis.
  ///   - axes: Those of the analysis, counted in the signal.
  ///   - sizes: The signal's sizes along the axes, to which the result is cut; nil for all of it, at
  ///     most one more than the signal had.
  /// - Returns: The signal, without the axis of bands.
  public func waveletComposed(
    by wavelet: Wavelet, boundary: WaveletBoundary, axes: [Int], sizes: [Int]? = nil
  ) -> Tensor {
    let rank = shape.rank - 1
    let axes = axes.map { $0 < 0 ? $0 + rank : $0 }
    precondition(
      rank >= 1 && Set(axes).count == axes.count && axes.allSatisfy { (0..<rank).contains($0) }
        && shape[0] == 1 << axes.count && sizes.map { $0.count == axes.count } ?? true,
      "waveletComposed: \(shape) along the axes \(axes)")
    let filters = WaveletFilters(synthesisOf: wavelet)
    var signal = reshaped(
      to: Shape(axes.map { _ in 2 } + Array(shape.dimensions.dropFirst())))
    for (index, axis) in axes.enumerated().reversed() {
      let tables = WaveletTables(
        synthesisFrom: signal.shape[axis + index + 1], taps: wavelet.taps, boundary)
      signal = .apply(
        WaveletSynthesis(axis: axis + index, tables: tables, filters: filters), [signal])
    }
    for (axis, size) in zip(axes, sizes ?? []) {
      precondition(
        size <= signal.shape[axis], "waveletComposed: \(signal.shape) cut to \(size) along \(axis)")
      signal = signal.sliced(axis: axis, 0..<size)
    }
    return signal
  }
}
