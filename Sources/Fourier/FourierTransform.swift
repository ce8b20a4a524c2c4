/// Which direction of a Fourier transform divides by the number of points.
///
/// The names are numpy's; `N` is the product of the transformed axes.
public enum FourierNormalization: Hashable, Sendable {
  /// Forward unscaled, inverse divided by `N`: the default of numpy and PyTorch.
  case backward
  /// Both directions divided by the square root of `N`, which makes the transform unitary.
  case ortho
  /// Forward divided by `N`, inverse unscaled.
  case forward
}

/// A discrete Fourier transform over one to three axes of a dense array.
///
/// The array has shape `[batch, axes..., channels]`, row-major, and is transformed along `axes` for
/// each batch entry and channel. With one channel these are the last axes, as in numpy; with more,
/// the layout is that of channels-last tensors.
///
/// Complex arrays are interleaved pairs: shape `[..., 2]`, real part first. Values follow numpy's
/// `fftn`, `ifftn`, `rfftn` and `irfftn`: `X[k] = sum x[n] exp(-2 pi i k n / N)`, zero frequency
/// first, and a real array's spectrum keeps the entries `0...n/2` of the last of the axes.
///
/// The type is a plain value. Plans are made at the first use of a layout and kept in a cache; any
/// number of threads may transform at the same time. Each call computes on the calling thread and,
/// if the plan is cached, the pointer versions allocate nothing.
///
/// Plans come from heuristics (`FFTW_ESTIMATE`), not from timings, so the same input gives the same
/// bits on the same CPU as long as its buffers are aligned to 16 bytes. Other buffers are correct
/// too, but take a plan without aligned vector loads, which costs up to twice the time.
///
/// Source: M. Frigo and S. G. Johnson, *The Design and Implementation of FFTW3*, Proceedings of the
/// IEEE 93, 2005.
public struct FourierTransform<Scalar: FourierScalar>: Hashable, Sendable {
  /// The normalisation in force.
  public let normalization: FourierNormalization
  private let layout: FourierLayout
  private var isUnscaled = false

  /// Creates a transform over arrays of shape `[batch, axes..., channels]`.
  ///
  /// - Parameters:
  ///   - batch: Size of the leading axis, at least 1.
  ///   - axes: Sizes of the one to three transformed axes, slowest first, each at least 1.
  ///   - channels: Size of the trailing axis, at least 1.
  ///   - normalization: Which direction is scaled.
  public init(
    batch: Int = 1, axes: [Int], channels: Int = 1,
    normalization: FourierNormalization = .backward
  ) {
    precondition(
      (1...3).contains(axes.count), "fourier: \(axes.count) axes \(axes), possible are 1 to 3")
    precondition(
      batch >= 1 && channels >= 1 && axes.allSatisfy { $0 >= 1 },
      "fourier: empty shape, batch \(batch), axes \(axes), channels \(channels)")
    self.layout = FourierLayout(batch: batch, axes: axes, channels: channels, pitch: channels)
    self.normalization = normalization
  }

  /// Creates an unscaled transform of some neighbouring channels of an array `[batch, axes..., pitch]`,
  /// so that several threads can share one array.
  ///
  /// - Parameters:
  ///   - batch: Size of the leading axis, at least 1.
  ///   - axes: Sizes of the one to three transformed axes, slowest first, each at least 1.
  ///   - channels: The number of channels to transform, the first of which the buffers point to.
  ///   - pitch: All channels of the array.
  package init(batch: Int, axes: [Int], channels: Int, of pitch: Int) {
    precondition(
      (1...3).contains(axes.count) && batch >= 1 && channels >= 1 && pitch >= channels
        && axes.allSatisfy { $0 >= 1 },
      "fourier: batch \(batch), axes \(axes), channels \(channels) of \(pitch)")
    self.layout = FourierLayout(batch: batch, axes: axes, channels: channels, pitch: pitch)
    self.normalization = .forward
    isUnscaled = true
  }

  /// Creates an unscaled transform of complex lines with gaps between them.
  ///
  /// - Parameters:
  ///   - lines: The number of lines, at least 1.
  ///   - size: Complex numbers of a line, at least 1.
  ///   - distance: Complex numbers from one line's beginning to the next, at least `size`.
  package init(lines: Int, of size: Int, distance: Int) {
    precondition(
      lines >= 1 && size >= 1 && distance >= size,
      "fourier: \(lines) lines of \(size), \(distance) apart")
    self.layout = FourierLayout(
      batch: lines, axes: [size], channels: 1, pitch: 1, lineDistance: distance)
    self.normalization = .forward
    isUnscaled = true
  }

  // MARK: - Sizes

  /// The size of the leading axis.
  public var batch: Int { layout.batch }

  /// The sizes of the transformed axes, as they are in the signal.
  public var axes: [Int] { layout.axes }

  /// The size of the trailing axis.
  public var channels: Int { layout.channels }

  /// The sizes of the axes in the spectrum of a real signal: the last is `n / 2 + 1`.
  public var halfSpectrumAxes: [Int] { layout.halfSpectrumAxes }

  /// The number of values, real or complex, of the signal: the product of its shape.
  public var signalCount: Int { batch * pointCount * channels }

  /// The number of complex values in the spectrum of a real signal.
  public var halfSpectrumCount: Int {
    signalCount / axes[axes.count - 1] * (axes[axes.count - 1] / 2 + 1)
  }

  private var pointCount: Int { axes.reduce(1, *) }

  // MARK: - Buffers

  /// Transforms a complex signal.
  ///
  /// - Parameters:
  ///   - signal: Shape `[batch, axes..., channels, 2]`; only read.
  ///   - spectrum: Same shape; overwritten. May be the same buffer, but must not overlap otherwise.
  public func fft(_ signal: UnsafePointer<Scalar>, into spectrum: UnsafeMutablePointer<Scalar>) {
    let library = Scalar.fourierLibrary
    library.run(.complexForward, layout, from: signal, into: spectrum)
    library.multiply(spectrum, count: 2 * signalCount, by: forwardFactor)
  }

  /// Transforms a complex spectrum back.
  ///
  /// - Parameters:
  ///   - spectrum: Shape `[batch, axes..., channels, 2]`; only read.
  ///   - signal: Same shape; overwritten. May be the same buffer, but must not overlap otherwise.
  public func ifft(_ spectrum: UnsafePointer<Scalar>, into signal: UnsafeMutablePointer<Scalar>) {
    let library = Scalar.fourierLibrary
    library.run(.complexInverse, layout, from: spectrum, into: signal)
    library.multiply(signal, count: 2 * signalCount, by: inverseFactor)
  }

  /// Transforms a real signal.
  ///
  /// - Parameters:
  ///   - signal: Shape `[batch, axes..., channels]`; only read.
  ///   - spectrum: Shape `[batch, halfSpectrumAxes..., channels, 2]`; overwritten, no overlap.
  public func rfft(_ signal: UnsafePointer<Scalar>, into spectrum: UnsafeMutablePointer<Scalar>) {
    requireDistinct(signal, spectrum, "rfft")
    let library = Scalar.fourierLibrary
    library.run(.realForward, layout, from: signal, into: spectrum)
    library.multiply(spectrum, count: 2 * halfSpectrumCount, by: forwardFactor)
  }

  /// Transforms the half spectrum of a real signal back, using the spectrum as scratch memory.
  ///
  /// Along the last axis the imaginary parts of entry 0 and, for even sizes, of entry `n / 2` have
  /// no effect, as in numpy.
  ///
  /// - Parameters:
  ///   - spectrum: Shape `[batch, halfSpectrumAxes..., channels, 2]`; read, then overwritten with
  ///     intermediate values.
  ///   - signal: Shape `[batch, axes..., channels]`; overwritten, no overlap.
  public func irfft(
    destroying spectrum: UnsafeMutablePointer<Scalar>, into signal: UnsafeMutablePointer<Scalar>
  ) {
    requireDistinct(spectrum, signal, "irfft")
    let library = Scalar.fourierLibrary
    library.run(.realInverse, layout, from: spectrum, into: signal)
    library.multiply(signal, count: signalCount, by: inverseFactor)
  }

  // MARK: - Arrays

  /// Returns the transform of a complex signal; both have shape `[batch, axes..., channels, 2]`.
  public func fft(_ signal: [Scalar]) -> [Scalar] {
    requireCount(signal.count, 2 * signalCount, "fft")
    return filled(count: 2 * signalCount) { fft(signal, into: $0) }
  }

  /// Returns the complex signal of a spectrum; both have shape `[batch, axes..., channels, 2]`.
  public func ifft(_ spectrum: [Scalar]) -> [Scalar] {
    requireCount(spectrum.count, 2 * signalCount, "ifft")
    return filled(count: 2 * signalCount) { ifft(spectrum, into: $0) }
  }

  /// Returns the half spectrum of a real signal.
  ///
  /// - Parameter signal: Shape `[batch, axes..., channels]`.
  /// - Returns: Shape `[batch, halfSpectrumAxes..., channels, 2]`.
  public func rfft(_ signal: [Scalar]) -> [Scalar] {
    requireCount(signal.count, signalCount, "rfft")
    return filled(count: 2 * halfSpectrumCount) { rfft(signal, into: $0) }
  }

  /// Returns the real signal of a half spectrum; see ``irfft(destroying:into:)``.
  ///
  /// - Parameter spectrum: Shape `[batch, halfSpectrumAxes..., channels, 2]`.
  /// - Returns: Shape `[batch, axes..., channels]`.
  public func irfft(_ spectrum: [Scalar]) -> [Scalar] {
    requireCount(spectrum.count, 2 * halfSpectrumCount, "irfft")
    var scratch = spectrum
    return filled(count: signalCount) { irfft(destroying: &scratch, into: $0) }
  }

  // MARK: - Parts

  private var forwardFactor: Scalar {
    if isUnscaled { return 1 }
    return switch normalization {
    case .backward: 1
    case .ortho: 1 / Scalar(pointCount).squareRoot()
    case .forward: 1 / Scalar(pointCount)
    }
  }

  private var inverseFactor: Scalar {
    if isUnscaled { return 1 }
    return switch normalization {
    case .backward: 1 / Scalar(pointCount)
    case .ortho: 1 / Scalar(pointCount).squareRoot()
    case .forward: 1
    }
  }

  private func requireDistinct(
    _ input: UnsafePointer<Scalar>, _ output: UnsafeMutablePointer<Scalar>, _ name: String
  ) {
    precondition(input != UnsafePointer(output), "\(name): input and output are the same buffer")
  }

  private func requireCount(_ count: Int, _ expected: Int, _ name: String) {
    precondition(
      count == expected,
      """
      \(name): \(count) numbers given, batch \(batch), axes \(axes) and channels \(channels) \
      need \(expected)
      """)
  }

  private func filled(count: Int, by body: (UnsafeMutablePointer<Scalar>) -> Void) -> [Scalar] {
    Array(unsafeUninitializedCapacity: count) { buffer, initialized in
      guard let base = buffer.baseAddress else { return }
      body(base)
      initialized = count
    }
  }
}
