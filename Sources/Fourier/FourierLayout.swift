import CFFTW

/// What a plan computes.
enum FourierKind: Hashable, Sendable {
  case complexForward, complexInverse, realForward, realInverse
}

/// The shape `[batch, axes..., channels]` of a signal.
struct FourierLayout: Hashable, Sendable {
  var batch: Int
  var axes: [Int]
  var channels: Int
  /// The distance between neighbours along the last of the axes: ``channels`` for a dense array, more
  /// for a slice of a wider one.
  var pitch: Int
  /// The distance between entries of the batch of complex lines; nil where they are dense.
  var lineDistance: Int?

  /// The sizes of the axes in the spectrum of a real signal.
  var halfSpectrumAxes: [Int] { axes.dropLast() + axes.suffix(1).map { $0 / 2 + 1 } }
}

/// FFTW's description of a layout: per axis its size and the distances of neighbours.
///
/// Distances count complex values on the complex side of a transform, real ones on the other. The
/// single- and double-precision libraries share the type.
struct FourierDimensions {
  /// The transformed axes.
  var axes: [fftw_iodim64] = []
  /// The axes along which the transform is repeated: batch and channels.
  var loops: [fftw_iodim64]

  init(_ kind: FourierKind, _ layout: FourierLayout) {
    let inputAxes = kind == .realInverse ? layout.halfSpectrumAxes : layout.axes
    let outputAxes = kind == .realForward ? layout.halfSpectrumAxes : layout.axes
    var (inputStride, outputStride) = (layout.pitch, layout.pitch)
    for axis in layout.axes.indices.reversed() {
      axes.append(fftw_iodim64(n: layout.axes[axis], is: inputStride, os: outputStride))
      inputStride *= inputAxes[axis]
      outputStride *= outputAxes[axis]
    }
    axes.reverse()
    if let distance = layout.lineDistance { (inputStride, outputStride) = (distance, distance) }
    loops = [
      fftw_iodim64(n: layout.batch, is: inputStride, os: outputStride),
      fftw_iodim64(n: layout.channels, is: 1, os: 1),
    ]
  }
}
