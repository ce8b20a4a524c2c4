import Foundation
public import Randomness

/// The smooth shading of magnetic resonance images by coil sensitivity.
///
/// The field is `exp(s · g)`, g being a sum of cosines of at most two half periods along each axis
/// with random weights and phases, shifted and scaled to the range `−1 … 1`: the field lies in
/// `e^(−s) … e^s`, and the strength s is half the range of its logarithm.
///
/// Source: Sled, Zijdenbos, Evans, *A Nonparametric Method for Automatic Correction of Intensity
/// Nonuniformity in MRI Data*, IEEE Transactions on Medical Imaging 17(1), 1998 (multiplicative,
/// smooth model).
public struct BiasField: Sendable, Equatable {
  /// The largest absolute logarithm s of the field.
  public let strength: Double

  /// A field of a strength.
  ///
  /// - Parameter strength: s, finite and ≥ 0; 0.3 is moderate, 0.7 severe.
  public init(strength: Double) {
    precondition(strength >= 0 && strength.isFinite, "BiasField: strength \(strength)")
    self.strength = strength
  }

  /// A random field of a grid.
  ///
  /// - Parameters:
  ///   - size: The grid.
  ///   - generator: Where its weights and phases come from.
  /// - Returns: Factors, shape `[z, y, x]`.
  public func field(size: GridSize, using generator: inout SeededGenerator) -> [Float] {
    let waves = SmoothField(modes: 6, highest: 2, using: &generator)
    var values = waves.values(size: size)
    let (low, high) = (values.min() ?? 0, values.max() ?? 0)
    guard high > low else { return values.map { _ in 1 } }
    for index in values.indices {
      let centred = 2 * (values[index] - low) / (high - low) - 1
      values[index] = Float(exp(strength * Double(centred)))
    }
    return values
  }

  /// Shades an image.
  ///
  /// - Parameters:
  ///   - volume: The clean image, or series, of which each volume is shaded by its own field.
  ///   - seed: The seed of the experiment.
  ///   - image: The number of the image in the experiment.
  /// - Returns: The shaded image on the same grid.
  public func applied(to volume: Volume, seed: UInt64, image: UInt64) -> Volume {
    var result = volume
    // A local copy: the volume checks its count at each change.
    var voxels = volume.voxels
    for time in 0..<volume.volumeCount {
      var generator = SeededGenerator(seed: seed, stream: image, UInt64(time))
      let field = field(size: volume.size, using: &generator)
      for (offset, index) in volume.range(ofVolume: time).enumerated() {
        voxels[index] *= field[offset]
      }
    }
    result.voxels = voxels
    return result
  }
}

/// A sum of cosines along the axes with random weights: smooth, and cheap at every voxel.
struct SmoothField: Sendable, Equatable {
  private struct Mode: Sendable, Equatable {
    let weight: Double
    let frequency: SIMD3<Double>
    let phase: SIMD3<Double>
  }

  private let modes: [Mode]

  /// Draws a field.
  ///
  /// - Parameters:
  ///   - count: How many products of three cosines.
  ///   - highest: Most half periods along an axis.
  ///   - generator: Where the numbers come from.
  init(modes count: Int, highest: Double, using generator: inout SeededGenerator) {
    modes = (0..<count).map { _ in
      let weight = generator.nextNormalDouble()
      var (frequency, phase) = (SIMD3<Double>(), SIMD3<Double>())
      for axis in 0..<3 {
        frequency[axis] = (0.25 + 0.75 * generator.nextUniformDouble()) * highest
        phase[axis] = 2 * .pi * generator.nextUniformDouble()
      }
      return Mode(weight: weight, frequency: frequency, phase: phase)
    }
  }

  /// The field at all voxels of a grid, shape `[z, y, x]`; variance about 1/8 of the modes' number.
  func values(size: GridSize) -> [Float] {
    var result = [Float](repeating: 0, count: size.count)
    for mode in modes {
      let waves = (0..<3).map { axis in
        (0..<size[axis]).map { index in
          let position = (Double(index) + 0.5) / Double(size[axis])
          return Float(cos(.pi * mode.frequency[axis] * position + mode.phase[axis]))
        }
      }
      result.withUnsafeMutableBufferPointer { result in
        waves[0].withUnsafeBufferPointer { row in
          for z in 0..<size.z {
            for y in 0..<size.y {
              let factor = Float(mode.weight) * waves[2][z] * waves[1][y]
              let first = (z * size.y + y) * size.x
              for x in 0..<size.x { result[first + x] += factor * row[x] }
            }
          }
        }
      }
    }
    return result
  }
}
