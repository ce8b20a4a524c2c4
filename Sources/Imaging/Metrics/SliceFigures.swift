/// The figures of one slice of an image, with the data range of the whole image.
public struct SliceFigures: Sendable, Equatable {
  /// The volume of a series.
  public let volume: Int
  /// The position in the plane of acquisition.
  public let index: Int
  /// PSNR, dB.
  public let psnr: Double
  /// SSIM of the slice.
  public let similarity: Double
  /// Root mean squared error, units of the image.
  public let rootMeanSquaredError: Double
  /// Mean absolute error, units of the image.
  public let meanAbsoluteError: Double

  /// The figures of all slices of the plane of acquisition.
  ///
  /// - Parameters:
  ///   - prediction: The image.
  ///   - reference: The image as it should be, on the same grid.
  ///   - counted: Whether each voxel counts, in the order of the work array; all of them if nil. Figures
  ///     of a slice without one are NaN.
  ///   - dataRange: R of PSNR and SSIM; if nil, the reference's maximum minus its minimum.
  ///   - variant: The SSIM.
  ///   - name: What errors call the image.
  /// - Returns: One entry a slice, in order.
  /// - Throws: What the SSIM throws.
  public static func all(
    of prediction: Volume, against reference: Volume, counting counted: [Bool]? = nil,
    dataRange: Double? = nil, variant: StructuralSimilarity = .gaussian, name: String = "image"
  ) throws(ImagingError) -> [SliceFigures] {
    precondition(
      prediction.shape == reference.shape,
      "SliceFigures: shape \(prediction.shape) against \(reference.shape)")
    let whole = Fidelity(of: prediction.voxels, against: reference.voxels, counting: counted)
    let range = dataRange ?? whole.referenceSpan
    let plane = reference.geometry.acquisitionPlane
    let mask = counted.map { reference.marking($0) }
    var result: [SliceFigures] = []
    for volume in 0..<reference.volumeCount {
      let masks = mask?.slices(in: plane, ofVolume: volume)
      let pairs = zip(
        prediction.slices(in: plane, ofVolume: volume),
        reference.slices(in: plane, ofVolume: volume))
      for (index, (slice, expected)) in pairs.enumerated() {
        let marks = masks?[index].marks
        let fidelity = Fidelity(of: slice.pixels, against: expected.pixels, counting: marks)
        result.append(
          SliceFigures(
            volume: volume, index: index,
            psnr: fidelity.peakSignalToNoiseRatio(dataRange: range),
            similarity: try variant.score(
              of: slice.pixels, against: expected.pixels, counting: marks,
              shape: [slice.height, slice.width], dataRange: range, name: name),
            rootMeanSquaredError: fidelity.rootMeanSquaredError,
            meanAbsoluteError: fidelity.meanAbsoluteError))
      }
    }
    return result
  }
}
