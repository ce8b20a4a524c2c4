/// The figures of an image against its reference, both on one grid.
///
/// A series counts as one image: errors run over all its voxels, SSIM and the foreground figure are
/// means over its volumes. Where some voxels do not count, SSIM is the mean over all windows, of whichever
/// slice or volume, that hold counted voxels alone.
public struct ImageComparison: Sendable, Equatable {
  /// Over what the window of SSIM slid.
  public enum SimilarityKind: String, Sendable {
    /// A 3D window over the volume.
    case volume = "ssim_3d"
    /// A 2D window over each slice in the plane of acquisition; the mean over slices.
    case slices = "ssim_2d"
  }

  /// Errors and PSNR.
  public let fidelity: Fidelity
  /// The data range R of PSNR and SSIM.
  public let dataRange: Double
  /// The structural similarity.
  public let similarity: Double
  /// Over what its window slid.
  public let similarityKind: SimilarityKind

  /// The peak signal-to-noise ratio in dB.
  public var psnr: Double { fidelity.peakSignalToNoiseRatio(dataRange: dataRange) }

  /// Compares an image with its reference.
  ///
  /// The window of SSIM is 3D where the volume has at least as many slices as the window has taps,
  /// else 2D.
  ///
  /// - Parameters:
  ///   - prediction: The image, on the grid of the reference.
  ///   - reference: The reference.
  ///   - counted: Whether each voxel counts, in the order of the work array; all of them if nil.
  ///   - dataRange: The range R in units of the images, > 0; the span of the reference if nil.
  ///   - variant: The variant of SSIM.
  ///   - name: What errors call the image.
  /// - Throws: ``ImagingError/smallerThanWindow(file:shape:window:)`` or
  ///   ``ImagingError/invalidParameter(name:value:reason:)``, as SSIM does.
  public init(
    of prediction: Volume, against reference: Volume, counting counted: [Bool]? = nil,
    dataRange: Double? = nil, variant: StructuralSimilarity = .gaussian, name: String = "image"
  ) throws(ImagingError) {
    precondition(
      prediction.shape == reference.shape,
      "ImageComparison: shape \(prediction.shape) against \(reference.shape)")
    fidelity = Fidelity(of: prediction.voxels, against: reference.voxels, counting: counted)
    let range = dataRange ?? fidelity.referenceSpan
    self.dataRange = range
    let geometry = reference.geometry
    similarityKind =
      geometry.size[geometry.throughPlaneAxis] >= variant.window.taps ? .volume : .slices
    let mask = counted.map { reference.marking($0) }
    var sum = 0.0
    var all = (sum: 0.0, count: 0)
    for index in 0..<reference.volumeCount {
      switch similarityKind {
      case .volume:
        let windows = try variant.indexSum(
          of: prediction.volume(at: index).voxels, against: reference.volume(at: index).voxels,
          counting: mask?.volume(at: index).marks, shape: geometry.size.shape, dataRange: range,
          name: name)
        sum += windows.sum / Double(windows.count)
        all = (all.sum + windows.sum, all.count + windows.count)
      case .slices:
        let plane = geometry.acquisitionPlane
        let masks = mask?.slices(in: plane, ofVolume: index)
        let pairs = zip(
          prediction.slices(in: plane, ofVolume: index),
          reference.slices(in: plane, ofVolume: index))
        var ofSlices = 0.0
        for (position, (slice, expected)) in pairs.enumerated() {
          let windows = try variant.indexSum(
            of: slice.pixels, against: expected.pixels, counting: masks?[position].marks,
            shape: [slice.height, slice.width], dataRange: range, name: name)
          ofSlices += windows.sum / Double(windows.count)
          all = (all.sum + windows.sum, all.count + windows.count)
        }
        sum += ofSlices / Double(geometry.size[geometry.throughPlaneAxis])
      }
    }
    let mean = sum / Double(reference.volumeCount)
    similarity =
      fidelity.meanSquaredError.isNaN
      ? .nan : counted == nil ? mean : all.sum / Double(all.count)
  }
}

// MARK: - Masks that are cut into slices as images are

extension Volume {
  /// A mask on this grid as a volume of ones, where voxels count, and zeros.
  func marking(_ counted: [Bool]) -> Volume {
    let values: [Float] = counted.map { $0 ? 1 : 0 }
    return Volume(voxels: values, geometry: geometry, volumeCount: volumeCount)
  }

  /// The mask that a volume of ones and zeros stands for.
  fileprivate var marks: [Bool] { voxels.map { $0 > 0 } }
}

extension ImageSlice {
  /// The mask that a slice of ones and zeros stands for.
  var marks: [Bool] { pixels.map { $0 > 0 } }
}

extension ForegroundPSNR {
  /// The foreground figure of an image, the mean over the volumes of a series.
  ///
  /// - Parameters:
  ///   - prediction: The image, on the grid of the reference.
  ///   - reference: The clean image.
  ///   - counted: Whether each voxel counts, in the order of the work array; all of them if nil.
  ///   - name: What errors call the reference.
  /// - Returns: The mean in dB over slices in the plane of acquisition; NaN if no slice counts, or if a
  ///   counted voxel of the image is not finite, in the foreground or not.
  /// - Throws: ``ImagingError/noForeground(file:)``.
  public static func mean(
    of prediction: Volume, against reference: Volume, counting counted: [Bool]? = nil,
    name: String = "reference"
  ) throws(ImagingError) -> Double {
    precondition(
      prediction.shape == reference.shape,
      "ForegroundPSNR: shape \(prediction.shape) against \(reference.shape)")
    let isBroken = prediction.voxels.indices.contains { index in
      !prediction.voxels[index].isFinite && counted?[index] ?? true
    }
    var sum = isBroken ? Double.nan : 0
    for index in 0..<reference.volumeCount {
      let clean = reference.volume(at: index)
      let mask = counted.map { Array($0[reference.range(ofVolume: index)]) }
      let score = try ForegroundPSNR(clean: clean, counting: mask, name: name)
        .score(of: prediction.volume(at: index).voxels, in: clean.geometry.acquisitionPlane)
      sum += score.mean ?? .nan
    }
    return sum / Double(reference.volumeCount)
  }
}

extension RestoreRWKVProtocol {
  /// Compares an image with its label slice by slice in the plane of acquisition.
  ///
  /// - Parameters:
  ///   - prediction: The image, on the grid of the label.
  ///   - label: The label.
  /// - Returns: The means over slices; slices whose clipped label is constant have no data range, are
  ///   left out and counted. All figures are NaN if no slice is left.
  public func score(
    of prediction: Volume, against label: Volume
  ) -> (mean: Score, slicesLeftOut: Int) {
    precondition(
      prediction.shape == label.shape,
      "restore-rwkv: shape \(prediction.shape) against \(label.shape)")
    let plane = label.geometry.acquisitionPlane
    let range = modality.clippingRange
    var scores: [Score] = []
    var leftOut = 0
    for index in 0..<label.volumeCount {
      let pairs = zip(
        prediction.slices(in: plane, ofVolume: index), label.slices(in: plane, ofVolume: index))
      for (slice, expected) in pairs {
        let first = expected.pixels.first?.clipped(to: range)
        if expected.pixels.allSatisfy({ $0.clipped(to: range) == first }) {
          leftOut += 1
          continue
        }
        scores.append(
          score(
            of: slice.pixels, against: expected.pixels, height: slice.height, width: slice.width))
      }
    }
    func mean(_ figure: (Score) -> Double) -> Double {
      scores.isEmpty ? .nan : scores.reduce(0) { $0 + figure($1) } / Double(scores.count)
    }
    return (Score(psnr: mean(\.psnr), ssim: mean(\.ssim), rmse: mean(\.rmse)), leftOut)
  }
}
