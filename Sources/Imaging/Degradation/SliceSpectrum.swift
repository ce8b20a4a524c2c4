internal import Fourier

/// The spatial frequencies of a slice, in the transform's order: 0, 1, … up to half the pixels of an axis, then
/// the negative ones.
struct SliceSpectrum {
  /// Rows.
  let height: Int
  /// Columns.
  let width: Int
  /// Real and imaginary parts in turn, `[height, width, 2]`.
  var values: [Float]

  /// No frequencies.
  ///
  /// - Parameters:
  ///   - height: Rows.
  ///   - width: Columns.
  init(height: Int, width: Int) {
    (self.height, self.width) = (height, width)
    values = [Float](repeating: 0, count: 2 * height * width)
  }

  /// Those of a real image.
  ///
  /// - Parameters:
  ///   - image: `[height, width]`.
  ///   - height: Rows.
  ///   - width: Columns.
  ///   - unit: By what the image is divided first; see ``unit(of:)``.
  init(of image: [Float], height: Int, width: Int, dividedBy unit: Float) {
    precondition(
      image.count == height * width, "spectrum: \(image.count) pixels for \([height, width])")
    self.init(height: height, width: width)
    for index in image.indices { values[2 * index] = image[index] / unit }
    values.withUnsafeMutableBufferPointer { buffer in
      guard let values = buffer.baseAddress else { return }
      FourierTransform<Float>(axes: [height, width]).fft(values, into: values)
    }
  }

  /// The power of two just below the largest magnitude; 1 if all values are 0.
  ///
  /// Of a slice that is divided by it neither sums over pixels nor squares leave the range of float32, and a
  /// power of two changes no other bit.
  static func unit(of values: [Float]) -> Float {
    let largest = values.reduce(0) { max($0, $1.magnitude) }
    guard largest > 0, largest.isFinite else { return 1 }
    return Float(sign: .plus, exponent: largest.exponent, significand: 1)
  }

  /// The weights of an axis, in the transform's order.
  ///
  /// - Parameters:
  ///   - count: Pixels of the axis.
  ///   - weight: The weight of a spatial frequency |k|, 0 to half the pixels.
  /// - Returns: One weight a frequency.
  static func weights(_ count: Int, _ weight: (_ frequency: Double) -> Float) -> [Float] {
    (0..<count).map { weight(Double(min($0, count - $0))) }
  }

  /// Multiplies each frequency by the weights of its row and its column.
  mutating func multiply(rows: [Float], columns: [Float]) {
    for y in 0..<height {
      for x in 0..<width {
        let index = 2 * (y * width + x)
        let weight = rows[y] * columns[x]
        values[index] *= weight
        values[index + 1] *= weight
      }
    }
  }

  /// The complex image, real and imaginary parts in turn, `[height, width, 2]`.
  consuming func image() -> [Float] {
    var image = values
    image.withUnsafeMutableBufferPointer { buffer in
      guard let values = buffer.baseAddress else { return }
      FourierTransform<Float>(axes: [height, width]).ifft(values, into: values)
    }
    return image
  }
}
