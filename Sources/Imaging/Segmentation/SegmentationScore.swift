/// What the distances between surfaces are when a set is empty, so that nothing is silently dropped.
public enum EmptyMaskRule: String, Sendable, CaseIterable {
  /// Infinite if one set is empty, 0 if both are.
  case infinite
  /// The diagonal of the image if one set is empty, 0 if both are.
  case diagonal
  /// As `infinite` if one set is empty; a case with two empty sets is left out (all figures NaN).
  case nan
}

/// A figure by which a segmentation is judged; the raw value is its name in tables.
public enum SegmentationMetric: String, Sendable, CaseIterable {
  /// 2·|P∩R| / (|P|+|R|).
  case dice
  /// |P∩R| / |P∪R|.
  case iou
  /// |P∩R| / |P|.
  case precision
  /// |P∩R| / |R|.
  case recall
  /// |P| − |R| in ml.
  case volumeDifference = "volume_difference_ml"
  /// 2·TP / (2·TP + FP + FN) over lesions.
  case lesionF1 = "lesion_f1"
  /// The Hausdorff distance in mm.
  case hausdorff = "hd"
  /// The larger directed 95th percentile in mm (MONAI).
  case hausdorff95 = "hd95"
  /// The 95th percentile of both directions together in mm (MedPy).
  case hausdorff95Pooled = "hd95_pooled"
  /// The 95th percentile by area in mm (surface-distance).
  case hausdorff95Surfel = "hd95_surfel"
  /// The mean of the distances of both directions together in mm.
  case assd
  /// The mean distance from prediction to reference in mm.
  case asd
  /// The part of both surfaces within the tolerance, by area (surface-distance).
  case nsdSurfel = "nsd_surfel"

  /// Whether it is a distance, which empty sets leave undefined.
  public var isDistance: Bool {
    switch self {
    case .hausdorff, .hausdorff95, .hausdorff95Pooled, .hausdorff95Surfel, .assd, .asd: true
    default: false
    }
  }
}

/// The figures of one set of voxels against its reference.
public struct SegmentationScore: Sendable, Equatable {
  /// Which sets were empty.
  public enum Emptiness: String, Sendable {
    /// Neither.
    case neither
    /// The prediction alone.
    case prediction
    /// The reference alone.
    case reference
    /// Both.
    case both
  }

  /// The figures.
  public let figures: [SegmentationMetric: Double]
  /// Which sets were empty.
  public let emptiness: Emptiness
  /// The lesions, for detection by size.
  public let lesions: LesionDetection
  /// The volumes of prediction and reference in ml.
  public let volumes: (prediction: Double, reference: Double)

  /// Measures a set.
  ///
  /// - Parameters:
  ///   - prediction: The predicted set.
  ///   - reference: The reference on the same grid.
  ///   - spacing: Voxel size along x, y, z in mm. Distances go by it alone, as if the axes were at right
  ///     angles; on a sheared grid they are approximate.
  ///   - voxelVolume: The volume of a voxel in ml; the product of its sides if nil.
  ///   - tolerance: Of NSD, in mm; nil leaves out the figures by area.
  ///   - emptyRule: What distances are when a set is empty.
  ///   - threads: Threads that share the work, nil for all processors; results do not depend on it.
  public init(
    of prediction: VoxelMask, against reference: VoxelMask, spacing: SIMD3<Double>,
    voxelVolume: Double? = nil, tolerance: Double? = nil, emptyRule: EmptyMaskRule = .infinite,
    threads: Int? = nil
  ) {
    let threads = Parallel.threads(threads)
    let masks = BoxedMasks(prediction, reference, threads: threads)
    let overlap =
      masks.map { OverlapScore(of: $0.prediction, against: $0.reference) }
      ?? OverlapScore(of: prediction, against: reference)
    let voxelVolume = voxelVolume ?? spacing.x * spacing.y * spacing.z / 1000
    let lesions = LesionDetection(masks, voxelVolume: voxelVolume, threads: threads)
    self.lesions = lesions
    volumes = (
      Double(overlap.prediction) * voxelVolume, Double(overlap.reference) * voxelVolume
    )
    var figures: [SegmentationMetric: Double] = [
      .dice: overlap.dice, .iou: overlap.iou, .precision: overlap.precision,
      .recall: overlap.recall, .lesionF1: lesions.f1,
      .volumeDifference: Double(overlap.prediction - overlap.reference) * voxelVolume,
    ]
    switch (masks, overlap.prediction == 0, overlap.reference == 0) {
    case (let masks?, false, false):
      emptiness = .neither
      let distances = SurfaceDistances(masks, spacing: spacing, threads: threads)
      figures[.hausdorff] = distances.hausdorff
      figures[.hausdorff95] = distances.hausdorff(percentile: 95)
      figures[.hausdorff95Pooled] = distances.pooledHausdorff(percentile: 95)
      figures[.assd] = distances.averageSymmetric
      figures[.asd] = distances.averageFromPrediction
      if let tolerance {
        let surfels = SurfelDistances(masks, spacing: spacing, threads: threads)
        figures[.hausdorff95Surfel] = surfels.hausdorff(percentile: 95)
        figures[.nsdSurfel] = surfels.surfaceDice(tolerance: tolerance)
      }
    case (_, let noPrediction, let noReference):
      let areBoth = noPrediction && noReference
      emptiness = areBoth ? .both : noPrediction ? .prediction : .reference
      var distance = areBoth ? 0 : Double.infinity
      if emptyRule == .diagonal && !areBoth {
        distance = Self.diagonal(prediction.size, spacing)
      }
      for metric in SegmentationMetric.allCases where metric.isDistance {
        guard metric != .hausdorff95Surfel || tolerance != nil else { continue }
        figures[metric] = distance
      }
      if tolerance != nil { figures[.nsdSurfel] = areBoth ? 1 : 0 }
      if emptyRule == .nan && areBoth { figures = figures.mapValues { _ in .nan } }
    }
    self.figures = figures
  }

  /// The distance between opposite corner voxels in mm.
  public static func diagonal(_ size: GridSize, _ spacing: SIMD3<Double>) -> Double {
    length(
      SIMD3(Double(size.x - 1), Double(size.y - 1), Double(size.z - 1)) * spacing)
  }

  /// Whether all figures are equal.
  public static func == (a: SegmentationScore, b: SegmentationScore) -> Bool {
    a.figures == b.figures && a.emptiness == b.emptiness && a.lesions == b.lesions
      && a.volumes == b.volumes
  }
}
