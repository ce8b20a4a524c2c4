import Foundation

/// What a restoration did to the intensities of an image, output minus input.
public struct IntensityChange: Codable, Sendable, Equatable {
  /// The mean difference, in the image's units.
  public let mean: Double
  /// The root of the mean squared difference, in the image's units.
  public let rootMeanSquare: Double

  /// Compares an image with what was made of it; nil if the two have different numbers of voxels, or none
  /// that counts.
  ///
  /// - Parameters:
  ///   - input: The image before.
  ///   - output: The image after.
  ///   - counting: Which voxels count; nil for all.
  public init?(from input: Volume, to output: Volume, counting: [Bool]? = nil) {
    let count = input.voxels.count
    guard output.voxels.count == count, (counting?.count ?? count) == count else { return nil }
    var (number, sum, squares) = (0, 0.0, 0.0)
    for index in 0..<count where counting?[index] ?? true {
      let difference = Double(output.voxels[index]) - Double(input.voxels[index])
      number += 1
      sum += difference
      squares += difference * difference
    }
    guard number > 0 else { return nil }
    mean = sum / Double(number)
    rootMeanSquare = (squares / Double(number)).squareRoot()
  }
}
