/// The evaluation of the FS-RWKV authors' code, without LPIPS, whose network is not theirs.
///
/// Intensities are scaled so that 1 is white and clamped to 0 … 1; the data range is 1. SSIM is
/// ``StructuralSimilarity/gaussian``, the interior alone. A score over several images is the mean of theirs.
///
/// Source: FS-RWKV (3T-to-7T MRI translation), the published evaluation code.
public struct FSRWKVProtocol: Sendable, Equatable {
  /// The name of the protocol on the command line and in tables.
  public static let name = "fs-rwkv"

  /// The three figures of the protocol.
  public typealias Score = RestoreRWKVProtocol.Score

  /// The intensity of a reference that stands for 1, as 255 in pictures of 8 bits.
  public let white: Double
  /// The intensity of an image that stands for 1, as 65 535 in pictures of 16 bits.
  public let imageWhite: Double

  /// Creates the protocol.
  ///
  /// - Parameters:
  ///   - white: The intensity of references that stands for 1, > 0.
  ///   - imageWhite: That of the images, > 0; as that of references if nil.
  public init(white: Double = 1, imageWhite: Double? = nil) {
    let imageWhite = imageWhite ?? white
    precondition(
      min(white, imageWhite) > 0 && white.isFinite && imageWhite.isFinite,
      "fs-rwkv: white \(white), of images \(imageWhite)")
    self.white = white
    self.imageWhite = imageWhite
  }

  /// Compares images with what they should be: the means over the slices of the acquisition plane.
  ///
  /// - Parameters:
  ///   - prediction: The images.
  ///   - reference: As they should be, on the same grid.
  ///   - name: What errors call them.
  /// - Returns: The mean scores; the RMSE in parts of white.
  /// - Throws: As ``StructuralSimilarity/score(of:against:counting:shape:dataRange:name:)``.
  public func score(
    of prediction: Volume, against reference: Volume, name: String
  ) throws(ImagingError) -> Score {
    let plane = reference.geometry.acquisitionPlane
    func clamped(_ pixels: [Float], _ white: Double) -> [Float] {
      pixels.map { Float(Double($0) / white).clipped(to: 0...1) }
    }
    var scores: [Score] = []
    for time in 0..<reference.volumeCount {
      let expected = reference.slices(in: plane, ofVolume: time)
      for (slice, target) in zip(prediction.slices(in: plane, ofVolume: time), expected) {
        let (own, wanted) = (clamped(slice.pixels, imageWhite), clamped(target.pixels, white))
        let fidelity = Fidelity(of: own, against: wanted)
        let similarity = try StructuralSimilarity.gaussian.score(
          of: own, against: wanted, shape: [target.height, target.width], dataRange: 1, name: name)
        scores.append(
          Score(
            psnr: fidelity.peakSignalToNoiseRatio(dataRange: 1), ssim: similarity,
            rmse: fidelity.rootMeanSquaredError))
      }
    }
    func mean(_ figure: (Score) -> Double) -> Double {
      scores.reduce(0) { $0 + figure($1) } / Double(scores.count)
    }
    return Score(psnr: mean(\.psnr), ssim: mean(\.ssim), rmse: mean(\.rmse))
  }
}
