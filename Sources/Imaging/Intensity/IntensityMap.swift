/// The map from the intensities of one image to the numbers that a network works on, and back.
///
/// Forwards `y = (x − shift) / scale`, backwards `x = y · scale + shift`, both in `Double`. Without
/// clipping the two are inverse to each other up to the rounding of the float32 in between.
///
/// A constant image has the scale 0: it becomes 0 (the divisor is kept above zero), and whatever a
/// network makes of it is mapped back to the constant exactly.
public struct IntensityMap: Sendable, Equatable, Codable {
  /// The intensity that becomes 0.
  public let shift: Double
  /// The difference of intensities that becomes 1, ≥ 0.
  public let scale: Double
  /// Whether values outside of `[0, 1]` are set to its nearest end, on both ways.
  public let clips: Bool

  /// Creates a map.
  ///
  /// - Parameters:
  ///   - shift: The intensity that becomes 0, finite.
  ///   - scale: The difference of intensities that becomes 1, finite and ≥ 0.
  ///   - clips: Whether values outside of `[0, 1]` are set to its nearest end, on both ways.
  public init(shift: Double, scale: Double, clips: Bool = false) {
    precondition(
      shift.isFinite && scale.isFinite && scale >= 0, "IntensityMap: shift \(shift), scale \(scale)"
    )
    self.shift = shift
    self.scale = scale
    self.clips = clips
  }

  /// Maps intensities to normalised values in place.
  ///
  /// - Parameter samples: Intensities, which become normalised values.
  public func normalize(_ samples: UnsafeMutableBufferPointer<Float>) {
    let divisor = max(scale, .leastNormalMagnitude)
    for index in samples.indices {
      samples[index] = clip(Float((Double(samples[index]) - shift) / divisor))
    }
  }

  /// Maps normalised values back to intensities in place.
  ///
  /// - Parameter samples: Normalised values, which become intensities.
  public func restore(_ samples: UnsafeMutableBufferPointer<Float>) {
    for index in samples.indices {
      samples[index] = Float(Double(clip(samples[index])) * scale + shift)
    }
  }

  /// The normalised values of some intensities.
  ///
  /// - Parameter intensities: Intensities, any shape.
  /// - Returns: Normalised values, same shape.
  public func normalized(_ intensities: [Float]) -> [Float] {
    var values = intensities
    values.withUnsafeMutableBufferPointer { normalize($0) }
    return values
  }

  /// The intensities of some normalised values.
  ///
  /// - Parameter values: Normalised values, any shape.
  /// - Returns: Intensities, same shape.
  public func restored(_ values: [Float]) -> [Float] {
    var intensities = values
    intensities.withUnsafeMutableBufferPointer { restore($0) }
    return intensities
  }

  private func clip(_ value: Float) -> Float { clips ? value.clipped(to: 0...1) : value }
}
