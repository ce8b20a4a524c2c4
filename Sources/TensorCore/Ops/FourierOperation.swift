/// Which direction of a Fourier transform divides by the number N of transformed points.
public enum SpectrumNormalization: Hashable, Sendable {
  /// Forward unscaled, inverse divided by N: the default of numpy and PyTorch.
  case backward
  /// Both directions divided by √N, which makes the transform unitary.
  case ortho
  /// Forward divided by N, inverse unscaled.
  case forward
}

/// A discrete Fourier transform of the one to three spatial axes of `[N, …, C]`.
///
/// Complex tensors have a trailing axis of size 2, real part first. Gradients treat both parts as
/// independent real numbers, so the backward pass is the transpose: a transform the other way.
struct FourierOperation: Operation {
  enum Direction: Hashable, Sendable {
    case fft, ifft, rfft
    /// The size of the last spatial axis of the signal.
    case irfft(last: Int)
  }

  let direction: Direction
  let normalization: SpectrumNormalization

  var kind: OperationKind { .fourier }
  var backwardReads: BackwardReads { .nothing }

  private func passes(_ input: Shape) -> FourierPasses {
    let isComplex = direction != .rfft
    let spatial = input.rank - (isComplex ? 3 : 2)
    precondition(
      (1...3).contains(spatial) && input.count > 0 && (!isComplex || input[-1] == 2),
      """
      \(direction): \(input), expected [N, spatial…, C\(isComplex ? ", 2" : "")] with one to three \
      spatial axes
      """)
    var axes = Array(input.dimensions[1...spatial])
    if case .irfft(let last) = direction {
      precondition(
        last > 0 && axes[spatial - 1] == last / 2 + 1,
        "irfft: \(input) is not the half spectrum of a signal of size \(last)")
      axes[spatial - 1] = last
    }
    return FourierPasses(
      batch: input[0], axes: axes, channels: input.dimensions[spatial + 1])
  }

  private func factor(_ passes: FourierPasses) -> Float {
    let points = Double(passes.axes.reduce(1, *))
    let isForward = direction == .fft || direction == .rfft
    switch normalization {
    case .ortho: return Float(1 / points.squareRoot())
    case .backward: return isForward ? 1 : Float(1 / points)
    case .forward: return isForward ? Float(1 / points) : 1
    }
  }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let passes = passes(inputs[0])
    switch direction {
    case .fft, .ifft: return inputs[0]
    case .rfft: return Shape([passes.batch] + passes.halfAxes + [passes.channels, 2])
    case .irfft: return Shape([passes.batch] + passes.axes + [passes.channels])
    }
  }

  /// The passes' own memory, and a copy of the half spectrum, which the transform to a real signal
  /// destroys.
  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    let passes = passes(inputs[0])
    switch (direction, pass) {
    case (.rfft, .backward), (.irfft, .forward):
      return passes.scratchCount + 2 * passes.halfCount
    default: return passes.scratchCount
    }
  }

  func forward(_ pass: ForwardPass) {
    let passes = passes(pass.inputs[0].shape)
    let (x, y, factor) = (pass.inputs[0].pointer, pass.output.pointer, factor(passes))
    let (scratch, work) = (pass.scratch, pass.scratch + passes.scratchCount)
    switch direction {
    case .fft:
      passes.complex(
        x, into: y, isInverse: false, factor: factor, scratch: scratch, pass.workers)
    case .ifft:
      passes.complex(x, into: y, isInverse: true, factor: factor, scratch: scratch, pass.workers)
    case .rfft:
      passes.realForward(
        x, into: y, factor: factor, weight: .one, scratch: scratch, pass.workers)
    case .irfft:
      passes.realInverse(
        x, into: y, work: work, factor: factor, weight: .one, scratch: scratch, pass.workers)
    }
  }

  func backward(_ pass: BackwardPass) {
    guard let gradient = pass.inputGradients[0]?.pointer else { return }
    let passes = passes(pass.shapes[0])
    let (upstream, factor) = (pass.outputGradient.pointer, factor(passes))
    let (scratch, work) = (pass.scratch, pass.scratch + passes.scratchCount)
    switch direction {
    case .fft:
      passes.complex(
        upstream, into: gradient, isInverse: true, factor: factor, scratch: scratch, pass.workers)
    case .ifft:
      passes.complex(
        upstream, into: gradient, isInverse: false, factor: factor, scratch: scratch, pass.workers)
    // A real inverse counts every column that stands for two twice; the sum over the half spectrum
    // counts it once.
    case .rfft:
      passes.realInverse(
        upstream, into: gradient, work: work, factor: factor, weight: .inverseMultiplicity,
        scratch: scratch, pass.workers)
    case .irfft:
      passes.realForward(
        upstream, into: gradient, factor: factor, weight: .multiplicity, scratch: scratch,
        pass.workers)
    }
  }
}

extension Tensor {
  /// The spectrum of complex signals `[N, …, C, 2]`, along the one to three axes between N and C.
  ///
  /// `X[k] = Σ x[n]·exp(−2πi·k·n/size)`, zero frequency first, as in numpy.
  public func fft(normalization: SpectrumNormalization = .backward) -> Tensor {
    Tensor.apply(FourierOperation(direction: .fft, normalization: normalization), [self])
  }

  /// The complex signals of spectra `[N, …, C, 2]`, the inverse of ``fft(normalization:)``.
  public func ifft(normalization: SpectrumNormalization = .backward) -> Tensor {
    Tensor.apply(FourierOperation(direction: .ifft, normalization: normalization), [self])
  }

  /// The half spectrum `[N, …, n/2 + 1, C, 2]` of real signals `[N, …, n, C]`, along the one to three
  /// axes between N and C.
  public func rfft(normalization: SpectrumNormalization = .backward) -> Tensor {
    Tensor.apply(FourierOperation(direction: .rfft, normalization: normalization), [self])
  }

  /// The real signals `[N, …, last, C]` of half spectra `[N, …, last/2 + 1, C, 2]`.
  ///
  /// A half spectrum that no real signal has is allowed: after complex inverses along the other axes,
  /// the imaginary parts of the entries 0 and, for even sizes, `last/2` have no effect:
  ///
  ///     x[p, q] = 1/(P·Q) · Σ_r Σ_c µ_c · Re(X[r, c]·exp(2πi·(r·p/P + c·q/Q))),   µ_0 = µ_{Q/2} = 1, else 2
  ///
  /// - Parameters:
  ///   - last: The size of the last spatial axis of the signals.
  ///   - normalization: Which direction is scaled.
  /// - Returns: `[N, …, last, C]`.
  public func irfft(last: Int, normalization: SpectrumNormalization = .backward) -> Tensor {
    Tensor.apply(
      FourierOperation(direction: .irfft(last: last), normalization: normalization), [self])
  }
}
