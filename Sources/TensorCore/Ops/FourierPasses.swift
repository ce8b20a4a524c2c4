import Fourier
import Kernels

/// Fourier transforms of `[batch, axes…, channels]` as one pass for each axis, shared by the workers.
///
/// FFTW promises nothing for a multi-dimensional complex-to-real transform of a half spectrum that no
/// real signal has, so inverses are taken axis by axis: complex ones first, the real one last. It
/// ignores the imaginary parts of the entries 0 and n/2 of the last axis. Complex numbers are pairs.
struct FourierPasses {
  let batch: Int
  /// Sizes of the axes in the signal.
  let axes: [Int]
  let channels: Int

  /// Sizes of the axes in the half spectrum.
  var halfAxes: [Int] { axes.dropLast() + [axes[axes.count - 1] / 2 + 1] }
  /// Complex numbers of the half spectrum.
  var halfCount: Int { batch * halfAxes.reduce(1, *) * channels }

  private static let elementsPerChunk = 1 << 14

  /// A real signal to its half spectrum, times `factor`, and columns times `1/µ` or µ (see
  /// ``ColumnWeight``).
  func realForward(
    _ signal: UnsafePointer<Float>, into spectrum: UnsafeMutablePointer<Float>, factor: Float,
    weight: ColumnWeight, _ workers: WorkerPool
  ) {
    let (n, half) = (axes[axes.count - 1], axes[axes.count - 1] / 2 + 1)
    let rows = batch * axes.dropLast().reduce(1, *)
    workers.run(count: rows, grain: Self.elementsPerChunk / max(1, n * channels)) { range in
      let to = spectrum + range.lowerBound * 2 * half * channels
      FourierTransform<Float>(
        batch: range.count, axes: [n], channels: channels, of: channels
      ).rfft(signal + range.lowerBound * n * channels, into: to)
      weight.apply(to, from: to, rows: range.count, n: n, channels: channels, factor: factor)
    }
    for axis in axes.indices.dropLast().reversed() {
      complex(spectrum, into: spectrum, axis: axis, sizes: halfAxes, isInverse: false, workers)
    }
  }

  /// A half spectrum to its real signal, times `factor`; `work` holds a spectrum and may be the
  /// spectrum itself, which is then destroyed.
  func realInverse(
    _ spectrum: UnsafePointer<Float>, into signal: UnsafeMutablePointer<Float>,
    work: UnsafeMutablePointer<Float>, factor: Float, weight: ColumnWeight, _ workers: WorkerPool
  ) {
    var source = spectrum
    for axis in axes.indices.dropLast() {
      complex(source, into: work, axis: axis, sizes: halfAxes, isInverse: true, workers)
      source = UnsafePointer(work)
    }
    let (n, half) = (axes[axes.count - 1], axes[axes.count - 1] / 2 + 1)
    let rows = batch * axes.dropLast().reduce(1, *)
    workers.run(count: rows, grain: Self.elementsPerChunk / max(1, n * channels)) { range in
      let first = range.lowerBound * 2 * half * channels
      // Also a copy where there was no other axis: the transform destroys what it reads.
      weight.apply(
        work + first, from: source + first, rows: range.count, n: n, channels: channels,
        factor: factor)
      FourierTransform<Float>(
        batch: range.count, axes: [n], channels: channels, of: channels
      ).irfft(destroying: work + first, into: signal + range.lowerBound * n * channels)
    }
  }

  /// A complex signal to its spectrum or back, times `factor`.
  func complex(
    _ source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, isInverse: Bool,
    factor: Float, _ workers: WorkerPool
  ) {
    var source = source
    for axis in axes.indices.reversed() {
      complex(source, into: target, axis: axis, sizes: axes, isInverse: isInverse, workers)
      source = UnsafePointer(target)
    }
    guard factor != 1 else { return }
    let count = 2 * batch * axes.reduce(1, *) * channels
    workers.run(count: count, grain: Self.elementsPerChunk) { range in
      k_affine(target + range.lowerBound, target + range.lowerBound, factor, 0, range.count)
    }
  }

  /// One axis of complex numbers `[batch, sizes…, channels]`: chunks of outer positions, or of
  /// neighbouring columns where an outer position is large.
  private func complex(
    _ source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, axis: Int,
    sizes: [Int], isInverse: Bool, _ workers: WorkerPool
  ) {
    let n = sizes[axis]
    let outer = batch * sizes[..<axis].reduce(1, *)
    let inner = sizes[(axis + 1)...].reduce(channels, *)
    // Even widths keep the parts of a split row aligned to 16 bytes.
    let width = max(1, min(inner, max(8, Self.elementsPerChunk / max(1, n) / 8 * 8)))
    let parts = (inner + width - 1) / width
    let grain = Self.elementsPerChunk / max(1, n * width)
    func run(_ outer: Range<Int>, _ columns: Range<Int>) {
      let transform = FourierTransform<Float>(
        batch: outer.count, axes: [n], channels: columns.count, of: inner)
      let first = 2 * (outer.lowerBound * n * inner + columns.lowerBound)
      if isInverse {
        transform.ifft(source + first, into: target + first)
      } else {
        transform.fft(source + first, into: target + first)
      }
    }
    if parts == 1 {
      workers.run(count: outer, grain: grain) { run($0, 0..<inner) }
    } else {
      workers.run(chunks: outer * parts) { unit in
        let first = unit % parts * width
        run(unit / parts..<unit / parts + 1, first..<min(inner, first + width))
      }
    }
  }
}

/// What entries of a half spectrum are multiplied by: an entry that stands for two of the full spectrum
/// counts twice (µ = 2), those of column 0 and of column n/2 of an even n once.
enum ColumnWeight {
  case one, multiplicity, inverseMultiplicity

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
    let pair = factor * (self == .multiplicity ? 2 : 0.5)
    let last = n % 2 == 0 && n > 1 ? half - 1 : half
    for row in 0..<rows {
      let (to, from) = (to + row * half * run, from + row * half * run)
      k_affine(to, from, factor, 0, run)
      k_affine(to + run, from + run, pair, 0, (last - 1) * run)
      if last < half { k_affine(to + last * run, from + last * run, factor, 0, run) }
    }
  }
}
