import Foundation

/// How far an image is from its reference, sample by sample.
///
/// All sums run in `Double` over the float32 samples. A NaN in either image makes every figure NaN, unless
/// it is one of the samples that do not count.
public struct Fidelity: Sendable, Equatable {
  /// What a root mean squared error is divided by to make it free of units.
  public enum Normalization: Sendable, CaseIterable {
    /// The root mean square of the reference.
    case euclidean
    /// The span, maximum minus minimum, of the reference.
    case minMax
    /// The mean of the reference.
    case mean
  }

  /// The mean of the squared differences, MSE, in squared units of the images.
  public let meanSquaredError: Double
  /// The mean of the absolute differences, MAE, in units of the images.
  public let meanAbsoluteError: Double
  /// The mean of the squares of the reference.
  public let referenceMeanSquare: Double
  /// The mean of the reference.
  public let referenceMean: Double
  /// The smallest and the largest value of the reference.
  public let referenceRange: ClosedRange<Double>

  /// Compares an image with its reference.
  ///
  /// - Parameters:
  ///   - prediction: The image, any shape, at least one sample.
  ///   - reference: The reference, as many samples.
  ///   - counted: Whether each sample counts; all of them if nil. All figures are NaN if none does.
  public init(
    of prediction: [Float], against reference: [Float], counting counted: [Bool]? = nil
  ) {
    precondition(
      prediction.count == reference.count && !reference.isEmpty
        && (counted?.count ?? reference.count) == reference.count,
      "Fidelity: \(prediction.count) samples against \(reference.count)")
    var squaredError = 0.0
    var absoluteError = 0.0
    var squares = 0.0
    var sum = 0.0
    let first = counted?.firstIndex(of: true) ?? 0
    var lowest = reference[first]
    var highest = reference[first]
    var samples = 0
    for index in reference.indices {
      if let counted, !counted[index] { continue }
      samples += 1
      let expected = Double(reference[index])
      let difference = Double(prediction[index]) - expected
      squaredError += difference * difference
      absoluteError += abs(difference)
      squares += expected * expected
      sum += expected
      lowest = min(lowest, reference[index])
      highest = max(highest, reference[index])
    }
    let count = Double(samples)
    meanSquaredError = squaredError / count
    meanAbsoluteError = absoluteError / count
    referenceMeanSquare = squares / count
    referenceMean = sum / count
    referenceRange = lowest <= highest ? Double(lowest)...Double(highest) : 0...0
  }

  /// The span of the reference, the default data range R of PSNR and SSIM.
  public var referenceSpan: Double { referenceRange.upperBound - referenceRange.lowerBound }

  /// The root mean squared error, RMSE, in units of the images.
  public var rootMeanSquaredError: Double { meanSquaredError.squareRoot() }

  /// The squared error relative to the energy of the reference, NMSE = ‖p − r‖² / ‖r‖².
  ///
  /// 0 for equal images, also if both are zero; +∞ if only the reference is zero.
  public var normalizedMeanSquaredError: Double {
    meanSquaredError == 0 ? 0 : meanSquaredError / referenceMeanSquare
  }

  /// The root mean squared error relative to the reference, NRMSE.
  ///
  /// - Parameter normalization: What to divide by.
  /// - Returns: The ratio; 0 for equal images, also if the divisor is zero.
  public func normalizedRootMeanSquaredError(by normalization: Normalization = .euclidean) -> Double
  {
    guard meanSquaredError != 0 else { return 0 }
    return switch normalization {
    case .euclidean: rootMeanSquaredError / referenceMeanSquare.squareRoot()
    case .minMax: rootMeanSquaredError / referenceSpan
    case .mean: rootMeanSquaredError / referenceMean
    }
  }

  /// The peak signal-to-noise ratio, PSNR = 10 log₁₀(R² / MSE), in dB.
  ///
  /// - Parameter dataRange: The range R in units of the images; the reference's own span if nil.
  /// - Returns: The ratio; +∞ for equal images, −∞ if R is 0 and the images differ.
  public func peakSignalToNoiseRatio(dataRange: Double? = nil) -> Double {
    Self.decibels(meanSquaredError: meanSquaredError, range: dataRange ?? referenceSpan)
  }

  static func decibels(meanSquaredError: Double, range: Double) -> Double {
    meanSquaredError == 0 ? .infinity : 10 * log10(range * range / meanSquaredError)
  }
}
