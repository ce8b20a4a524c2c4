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

  /// Those of a real image, `[height, width]`.
  init(of image: [Float], height: Int, width: Int) {
    precondition(
      image.count == height * width, "spectrum: \(image.count) pixels for \([height, width])")
    self.init(height: height, width: width)
    for index in image.indices { values[2 * index] = image[index] }
    values.withUnsafeMutableBufferPointer { buffer in
      guard let values = buffer.baseAddress else { return }
      FourierTransform<Float>(axes: [height, width]).fft(values, into: values)
    }
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
