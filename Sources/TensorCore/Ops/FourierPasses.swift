import Fourier
import Kernels

/// Fourier transforms of `[batch, axes…, channels]` as one pass for each axis, shared by the workers.
///
/// FFTW promises nothing for a multi-dimensional complex-to-real transform of a half spectrum that no
/// real signal has, so inverses are taken axis by axis: complex ones first, the real one last. The
/// imaginary parts of the entries 0 and n/2 of the last axis are ignored. Complex numbers are pairs.
///
/// Of an even number of channels, neighbours are transformed as the parts of one complex signal, which
/// in memory they are already; of a single channel, neighbouring rows are.
struct FourierPasses {
  let batch: Int
  /// Sizes of the axes in the signal.
  let axes: [Int]
  let channels: Int

  /// Sizes of the axes in the half spectrum.
  var halfAxes: [Int] { axes.dropLast() + [last / 2 + 1] }
  /// Complex numbers of the half spectrum.
  var halfCount: Int { batch * halfAxes.reduce(1, *) * channels }

  private var last: Int { axes[axes.count - 1] }
  private var rows: Int { batch * axes.dropLast().reduce(1, *) }

  private static let elementsPerChunk = 1 << 14
  /// Rows that are transformed together.
  private static let rowsPerChunk = 2 * FourierLines.count

  /// Floats of one thread's temporary memory: lines, behind them a row of pairs.
  private var perThread: Int {
    linesCount + (channels.isMultiple(of: 2) ? last * channels : 0)
  }

  private var linesCount: Int { aligned(FourierLines.scratchCount(axes.max() ?? 1)) }

  /// Floats of temporary memory of any transform.
  var scratchCount: Int { Engine.shared.workers.threads * aligned(perThread) }

  /// Whole cache lines, so that every thread's part is aligned.
  private func aligned(_ count: Int) -> Int { (count + 15) / 16 * 16 }

  // MARK: - Real

  /// A real signal to its half spectrum, times `factor` and the columns' weights.
  func realForward(
    _ signal: UnsafePointer<Float>, into spectrum: UnsafeMutablePointer<Float>, factor: Float,
    weight: ColumnWeight, scratch: UnsafeMutablePointer<Float>, _ workers: WorkerPool
  ) {
    let half = last / 2 + 1
    forEachRows(workers) { range, worker in
      let to = spectrum + range.lowerBound * 2 * half * channels
      let from = signal + range.lowerBound * last * channels
      let own = scratch + worker * aligned(perThread)
      let lines = FourierLines(of: last, in: own)
      var single = range
      if channels.isMultiple(of: 2) {
        let pairs = own + linesCount
        for row in 0..<range.count {
          lines.transformColumns(
            from + row * last * channels, stride: channels / 2, width: channels / 2, into: pairs,
            stride: channels / 2, isInverse: false)
          k_spectrum_split(
            to + row * 2 * half * channels, pairs, factor, factor * weight.pair, last,
            channels / 2)
        }
        return
      }
      if channels == 1 {
        let count = range.count / 2
        for pair in 0..<count {
          k_rows_join(lines.source(pair), from + 2 * pair * last, last, last)
        }
        if count > 0 { lines.transform(count, isInverse: false) }
        for pair in 0..<count {
          k_row_spectra_split(
            to + pair * 4 * half, 2 * half, lines.target(pair), factor, factor * weight.pair, last)
        }
        single = range.lowerBound + 2 * count..<range.upperBound
      }
      guard !single.isEmpty else { return }
      let rest = to + (single.lowerBound - range.lowerBound) * 2 * half * channels
      FourierTransform<Float>(
        batch: single.count, axes: [last], channels: channels, of: channels
      ).rfft(signal + single.lowerBound * last * channels, into: rest)
      weight.apply(
        rest, from: rest, rows: single.count, n: last, channels: channels, factor: factor)
    }
    for axis in axes.indices.dropLast().reversed() {
      complex(
        spectrum, into: spectrum, axis: axis, sizes: halfAxes, isInverse: false, scratch, workers)
    }
  }

  /// A half spectrum to its real signal, times `factor`; `work` holds a spectrum and may be the
  /// spectrum itself, which is then destroyed.
  func realInverse(
    _ spectrum: UnsafePointer<Float>, into signal: UnsafeMutablePointer<Float>,
    work: UnsafeMutablePointer<Float>, factor: Float, weight: ColumnWeight,
    scratch: UnsafeMutablePointer<Float>, _ workers: WorkerPool
  ) {
    var source = spectrum
    for axis in axes.indices.dropLast() {
      complex(source, into: work, axis: axis, sizes: halfAxes, isInverse: true, scratch, workers)
      source = UnsafePointer(work)
    }
    let half = last / 2 + 1
    forEachRows(workers) { range, worker in
      let own = scratch + worker * aligned(perThread)
      let lines = FourierLines(of: last, in: own)
      let first = range.lowerBound * 2 * half * channels
      let to = signal + range.lowerBound * last * channels
      var single = range
      if channels.isMultiple(of: 2) {
        let pairs = own + linesCount
        for row in 0..<range.count {
          k_spectrum_join(
            pairs, source + first + row * 2 * half * channels, factor, factor * weight.pair, last,
            channels / 2)
          lines.transformColumns(
            pairs, stride: channels / 2, width: channels / 2, into: to + row * last * channels,
            stride: channels / 2, isInverse: true)
        }
        return
      }
      if channels == 1 {
        let count = range.count / 2
        for pair in 0..<count {
          k_row_spectra_join(
            lines.source(pair), source + first + pair * 4 * half, 2 * half, factor,
            factor * weight.pair, last)
        }
        if count > 0 { lines.transform(count, isInverse: true) }
        for pair in 0..<count { k_rows_split(to + 2 * pair * last, last, lines.target(pair), last) }
        single = range.lowerBound + 2 * count..<range.upperBound
      }
      guard !single.isEmpty else { return }
      // Also a copy where there was no other axis: the transform destroys what it reads.
      let start = single.lowerBound * 2 * half * channels
      weight.apply(
        work + start, from: source + start, rows: single.count, n: last, channels: channels,
        factor: factor)
      FourierTransform<Float>(
        batch: single.count, axes: [last], channels: channels, of: channels
      ).irfft(destroying: work + start, into: signal + single.lowerBound * last * channels)
    }
  }

  private func forEachRows(
    _ workers: WorkerPool, _ body: (_ rows: Range<Int>, _ worker: Int) -> Void
  ) {
    // Even, so that rows pair up.
    let grain = max(
      2, min(Self.rowsPerChunk, Self.elementsPerChunk / max(1, last * channels) / 2 * 2))
    workers.run(chunks: (rows + grain - 1) / grain) { chunk, worker in
      body(chunk * grain..<min(rows, (chunk + 1) * grain), worker)
    }
  }

  // MARK: - Complex

  /// A complex signal to its spectrum or back, times `factor`.
  func complex(
    _ source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, isInverse: Bool,
    factor: Float, scratch: UnsafeMutablePointer<Float>, _ workers: WorkerPool
  ) {
    var source = source
    for axis in axes.indices.reversed() {
      complex(
        source, into: target, axis: axis, sizes: axes, isInverse: isInverse, scratch, workers)
      source = UnsafePointer(target)
    }
    guard factor != 1 else { return }
    let count = 2 * batch * axes.reduce(1, *) * channels
    workers.run(count: count, grain: Self.elementsPerChunk) { range in
      k_affine(target + range.lowerBound, target + range.lowerBound, factor, 0, range.count)
    }
  }

  /// One axis of complex numbers `[batch, sizes…, channels]`: some rows where the axis is the innermost,
  /// otherwise some neighbouring columns.
  private func complex(
    _ source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, axis: Int,
    sizes: [Int], isInverse: Bool, _ scratch: UnsafeMutablePointer<Float>, _ workers: WorkerPool
  ) {
    let n = sizes[axis]
    let outer = batch * sizes[..<axis].reduce(1, *)
    let inner = sizes[(axis + 1)...].reduce(channels, *)
    func run(
      _ transform: FourierTransform<Float>, _ from: UnsafePointer<Float>,
      _ to: UnsafeMutablePointer<Float>
    ) {
      if isInverse { transform.ifft(from, into: to) } else { transform.fft(from, into: to) }
    }
    if inner == 1 {
      let grain = max(1, min(FourierLines.count, Self.elementsPerChunk / max(1, n)))
      workers.run(chunks: (outer + grain - 1) / grain) { chunk in
        let rows = chunk * grain..<min(outer, (chunk + 1) * grain)
        let transform = FourierTransform<Float>(
          batch: rows.count, axes: [n], channels: 1, of: 1)
        let (from, to) = (source + 2 * rows.lowerBound * n, target + 2 * rows.lowerBound * n)
        if isInverse { transform.ifft(from, into: to) } else { transform.fft(from, into: to) }
      }
      return
    }
    let parts = (inner + FourierLines.count - 1) / FourierLines.count
    workers.run(chunks: outer * parts) { unit, worker in
      let column = unit % parts * FourierLines.count
      let first = 2 * (unit / parts * n * inner + column)
      FourierLines(of: n, in: scratch + worker * aligned(perThread)).transformColumns(
        source + first, stride: inner, width: min(FourierLines.count, inner - column),
        into: target + first, stride: inner, isInverse: isInverse)
    }
  }
}

/// What entries of a half spectrum are multiplied by: an entry that stands for two of the full spectrum
/// counts twice (µ = 2), those of column 0 and of column n/2 of an even n once.
enum ColumnWeight {
  case one, multiplicity, inverseMultiplicity

  /// The weight of entries that stand for two.
  var pair: Float {
    switch self {
    case .one: 1
    case .multiplicity: 2
    case .inverseMultiplicity: 0.5
    }
  }

  /// `to = from · factor · weight` for `rows` rows of `[n / 2 + 1, channels]` complex numbers.
  func apply(
    _ to: UnsafeMutablePointer<Float>, from: UnsafePointer<Float>, rows: Int, n: Int,
    channels: Int, factor: Float
  ) {
    let (half, run) = (n / 2 + 1, 2 * channels)
    if self == .one {
      if factor != 1 || from != UnsafePointer(to) {
        k_affine(to, from, factor, 0, rows * half * run)
      }
      return
    }
    let last = n % 2 == 0 && n > 1 ? half - 1 : half
    for row in 0..<rows {
      let (to, from) = (to + row * half * run, from + row * half * run)
      k_affine(to, from, factor, 0, run)
      k_affine(to + run, from + run, factor * pair, 0, (last - 1) * run)
      if last < half { k_affine(to + last * run, from + last * run, factor, 0, run) }
    }
  }
}
