import Fourier
import Kernels

/// Complex lines that one thread transforms together, in its cache.
///
/// From one buffer to another, as dense lines: that is where FFTW's estimated plans are good. On strided
/// numbers, or in place, they take two to four times as long, which costs more than copies in the cache.
struct FourierLines {
  /// Lines that are transformed together.
  static let count = 16

  /// Complex numbers of a line.
  let size: Int
  private let input: UnsafeMutablePointer<Float>
  private let output: UnsafeMutablePointer<Float>

  /// Lines in temporary memory of ``scratchCount(_:)`` floats.
  init(of size: Int, in scratch: UnsafeMutablePointer<Float>) {
    self.size = size
    input = scratch
    output = scratch + 2 * Self.count * Self.distance(size)
  }

  /// Floats of both buffers.
  static func scratchCount(_ size: Int) -> Int { 4 * count * distance(size) }

  /// Whole cache lines and one more, so that the lines' equal places do not share sets of the cache.
  private static func distance(_ size: Int) -> Int { (size + 7) / 8 * 8 + 8 }

  /// Where a line is to be written before ``transform(_:isInverse:)``.
  func source(_ line: Int) -> UnsafeMutablePointer<Float> {
    input + 2 * line * Self.distance(size)
  }

  /// Where a line's transform is.
  func target(_ line: Int) -> UnsafePointer<Float> {
    UnsafePointer(output) + 2 * line * Self.distance(size)
  }

  /// Transforms the first lines, without scaling.
  func transform(_ lines: Int, isInverse: Bool) {
    let transform = FourierTransform<Float>(
      lines: lines, of: size, distance: Self.distance(size))
    if isInverse {
      transform.ifft(input, into: output)
    } else {
      transform.fft(input, into: output)
    }
  }

  /// Transforms the columns of `width` columns in `[size, stride]` complex numbers.
  func transformColumns(
    _ from: UnsafePointer<Float>, stride fromStride: Int, width: Int,
    into to: UnsafeMutablePointer<Float>, stride toStride: Int, isInverse: Bool
  ) {
    for first in stride(from: 0, to: width, by: Self.count) {
      let count = min(Self.count, width - first)
      k_transpose_complex(
        input, Self.distance(size), from + 2 * first, fromStride, size, count)
      transform(count, isInverse: isInverse)
      k_transpose_complex(
        to + 2 * first, toStride, output, Self.distance(size), count, size)
    }
  }
}
