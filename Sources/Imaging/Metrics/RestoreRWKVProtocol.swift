/// The evaluation of the Restore-RWKV authors' code.
///
/// Prediction and label are clipped to the modality's range; the data range is the span of the clipped
/// label, per image. SSIM is ``StructuralSimilarity/restoreRWKV``. A score over several images is the
/// mean of theirs.
///
/// Source: Yang et al., *Restore-RWKV: Efficient and Effective Medical Image Restoration with RWKV*,
/// the published evaluation code.
public struct RestoreRWKVProtocol: Sendable, Equatable {
  /// What made the image, which decides the range that counts.
  public enum Modality: String, Sendable, CaseIterable {
    /// Computed tomography, in HU.
    case ct
    /// Positron emission tomography, in standardised uptake values.
    case pet
    /// Magnetic resonance imaging, in arbitrary units.
    case mri

    /// The range to which images are clipped before they are compared.
    public var clippingRange: ClosedRange<Float> {
      switch self {
      case .ct: -160...240
      case .pet: 0...20
      case .mri: 0...4095
      }
    }
  }

  /// The three figures of the protocol.
  public struct Score: Sendable, Equatable {
    /// Peak signal-to-noise ratio in dB.
    public let psnr: Double
    /// Structural similarity.
    public let ssim: Double
    /// Root mean squared error in units of the image.
    public let rmse: Double
  }

  /// The name of the protocol on the command line and in tables.
  public static let name = "restore-rwkv"

  /// What made the images.
  public let modality: Modality

  /// Creates the protocol of a modality.
  public init(modality: Modality) {
    self.modality = modality
  }

  /// Compares a 2D image with its label as the authors do, both in physical units.
  ///
  /// - Parameters:
  ///   - prediction: The image, shape `[height, width]`.
  ///   - label: The label, same shape.
  ///   - height: The number of rows.
  ///   - width: The number of columns.
  /// - Returns: The three figures; SSIM is NaN where a constant label leaves it undefined.
  public func score(
    of prediction: [Float], against label: [Float], height: Int, width: Int
  ) -> Score {
    let range = modality.clippingRange
    let clippedLabel = label.map { $0.clipped(to: range) }
    let clippedPrediction = prediction.map { $0.clipped(to: range) }
    let fidelity = Fidelity(of: clippedPrediction, against: clippedLabel)
    return Self.score(
      of: clippedPrediction, against: clippedLabel, height: height, width: width,
      dataRange: fidelity.referenceSpan)
  }

  /// Compares a 2D image with its label for a given data range, without clipping.
  ///
  /// - Parameters:
  ///   - prediction: The image, shape `[height, width]`.
  ///   - label: The label, same shape.
  ///   - height: The number of rows.
  ///   - width: The number of columns.
  ///   - dataRange: The range R in units of the image.
  ///   - similarity: The variant of SSIM.
  /// - Returns: The three figures.
  public static func score(
    of prediction: [Float], against label: [Float], height: Int, width: Int, dataRange: Double,
    similarity: StructuralSimilarity = .restoreRWKV
  ) -> Score {
    precondition(
      prediction.count == height * width && label.count == height * width,
      "restore-rwkv: \(prediction.count) and \(label.count) samples for \([height, width])")
    precondition(
      similarity.border == .zeroPadded || min(height, width) >= similarity.window.taps,
      "restore-rwkv: window of \(similarity.window.taps) in \([height, width])")
    let fidelity = Fidelity(of: prediction, against: label)
    return Score(
      psnr: fidelity.peakSignalToNoiseRatio(dataRange: dataRange),
      ssim: similarity.meanIndex(
        prediction, label, shape: [height, width], dataRange: dataRange),
      rmse: fidelity.rootMeanSquaredError)
  }
}

extension Float {
  /// The nearest value of a range; NaN stays NaN.
  func clipped(to range: ClosedRange<Float>) -> Float {
    self < range.lowerBound ? range.lowerBound : self > range.upperBound ? range.upperBound : self
  }
}
