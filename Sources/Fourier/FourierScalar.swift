import CFFTW

/// A precision that ``FourierTransform`` computes in: `Float` or `Double`.
public protocol FourierScalar: BinaryFloatingPoint, Sendable {
  /// The FFTW library of this precision, with its plans.
  static var fourierLibrary: FourierLibrary<Self> { get }
}

extension Float: FourierScalar {
  /// FFTW in single precision.
  public static let fourierLibrary = FourierLibrary<Float>(
    alignment: { Int(fftwf_alignment_of($0)) },
    makePlan: { kind, dimensions, input, output, flags in
      let (axes, loops) = (dimensions.axes, dimensions.loops)
      let (rank, loopRank) = (Int32(axes.count), Int32(loops.count))
      switch kind {
      case .complexForward, .complexInverse:
        return fftwf_plan_guru64_dft(
          rank, axes, loopRank, loops, pairs(input), pairs(output),
          kind == .complexForward ? FFTW_FORWARD : FFTW_BACKWARD, flags)
      case .realForward:
        return fftwf_plan_guru64_dft_r2c(
          rank, axes, loopRank, loops, input, pairs(output), flags)
      case .realInverse:
        return fftwf_plan_guru64_dft_c2r(
          rank, axes, loopRank, loops, pairs(input), output, flags)
      }
    },
    execute: { kind, plan, input, output in
      switch kind {
      case .complexForward, .complexInverse:
        fftwf_execute_dft(plan, pairs(input), pairs(output))
      case .realForward: fftwf_execute_dft_r2c(plan, input, pairs(output))
      case .realInverse: fftwf_execute_dft_c2r(plan, pairs(input), output)
      }
    },
    scale: { values, count, factor in
      for i in 0..<count { values[i] *= factor }
    },
    destroy: { fftwf_destroy_plan($0) })
}

extension Double: FourierScalar {
  /// FFTW in double precision.
  public static let fourierLibrary = FourierLibrary<Double>(
    alignment: { Int(fftw_alignment_of($0)) },
    makePlan: { kind, dimensions, input, output, flags in
      let (axes, loops) = (dimensions.axes, dimensions.loops)
      let (rank, loopRank) = (Int32(axes.count), Int32(loops.count))
      switch kind {
      case .complexForward, .complexInverse:
        return fftw_plan_guru64_dft(
          rank, axes, loopRank, loops, pairs(input), pairs(output),
          kind == .complexForward ? FFTW_FORWARD : FFTW_BACKWARD, flags)
      case .realForward:
        return fftw_plan_guru64_dft_r2c(
          rank, axes, loopRank, loops, input, pairs(output), flags)
      case .realInverse:
        return fftw_plan_guru64_dft_c2r(
          rank, axes, loopRank, loops, pairs(input), output, flags)
      }
    },
    execute: { kind, plan, input, output in
      switch kind {
      case .complexForward, .complexInverse:
        fftw_execute_dft(plan, pairs(input), pairs(output))
      case .realForward: fftw_execute_dft_r2c(plan, input, pairs(output))
      case .realInverse: fftw_execute_dft_c2r(plan, pairs(input), output)
      }
    },
    scale: { values, count, factor in
      for i in 0..<count { values[i] *= factor }
    },
    destroy: { fftw_destroy_plan($0) })
}

/// The same memory as pairs of real and imaginary part, which is FFTW's complex type.
private func pairs<Scalar>(
  _ values: UnsafeMutablePointer<Scalar>
) -> UnsafeMutablePointer<(Scalar, Scalar)> {
  UnsafeMutableRawPointer(values).assumingMemoryBound(to: (Scalar, Scalar).self)
}
