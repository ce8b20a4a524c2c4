/// The evaluation of a paper's own code, by name.
public enum SegmentationProtocol: String, Sendable, CaseIterable {
  /// Dice, IoU, HD, HD95, ASD per mask pair; two empty masks are left out, one empty mask scores 0 and
  /// the image diagonal.
  ///
  /// Source: the published GDKVM evaluation, second version.
  case gdkvm
  /// Dice, IoU, recall and precision with 10⁻⁴ in the denominators; two empty masks score 0.
  ///
  /// Source: Xue et al., NeuroImage: Clinical 25 (2019) 102118, the published code.
  case stroke
  /// Dice with 1 added above and below, HD95 of both directions together, directed ASD, in pixels; 100
  /// where the prediction is empty.
  ///
  /// Source: Chen et al., *TVConv*, CVPR 2022, the published code.
  case tvconv

  /// What is added to the denominators of ``stroke``.
  public static let strokeEpsilon = 1e-4
  /// The distances of ``tvconv`` for an empty prediction, in pixels.
  public static let tvconvEmptyDistance = 100.0

  /// The figures of a set, by the names of ``SegmentationMetric``.
  ///
  /// - Parameters:
  ///   - prediction: The predicted set.
  ///   - reference: The reference on the same grid.
  ///   - spacing: Voxel size along x, y, z in mm.
  ///   - percentile: Of ``SegmentationMetric/hausdorff95``; 95 but for tests.
  ///   - threads: Threads that share the work, nil for all processors; results do not depend on it.
  /// - Returns: The figures; NaN in all of them if the protocol leaves the pair out.
  public func figures(
    of prediction: VoxelMask, against reference: VoxelMask, spacing: SIMD3<Double>,
    percentile: Double = 95, threads: Int? = nil
  ) -> [SegmentationMetric: Double] {
    let overlap = OverlapScore(of: prediction, against: reference)
    switch self {
    case .gdkvm:
      let metrics: [SegmentationMetric] = [.dice, .iou, .hausdorff, .hausdorff95, .assd]
      switch (overlap.prediction, overlap.reference) {
      case (0, 0): return Dictionary(uniqueKeysWithValues: metrics.map { ($0, .nan) })
      case (0, _), (_, 0):
        let diagonal = SegmentationScore.diagonal(prediction.size, spacing)
        return Dictionary(
          uniqueKeysWithValues: metrics.map { ($0, $0.isDistance ? diagonal : 0) })
      default:
        let distances = SurfaceDistances(
          of: prediction, against: reference, spacing: spacing, threads: threads)
        return [
          .dice: overlap.dice, .iou: overlap.iou, .hausdorff: distances.hausdorff,
          .hausdorff95: distances.hausdorff(percentile: percentile),
          .assd: distances.averageSymmetric,
        ]
      }
    case .stroke:
      let smoothed = overlap.smoothed(by: Self.strokeEpsilon)
      return [
        .dice: smoothed.dice, .iou: smoothed.iou, .recall: smoothed.recall,
        .precision: smoothed.precision,
      ]
    case .tvconv:
      let dice =
        Double(2 * overlap.intersection + 1) / Double(overlap.prediction + overlap.reference + 1)
      guard overlap.prediction > 0, overlap.reference > 0 else {
        return [
          .dice: dice, .hausdorff95Pooled: Self.tvconvEmptyDistance,
          .asd: Self.tvconvEmptyDistance,
        ]
      }
      let distances = SurfaceDistances(
        of: prediction, against: reference, spacing: SIMD3(1, 1, 1), threads: threads)
      return [
        .dice: dice, .hausdorff95Pooled: distances.pooledHausdorff(percentile: percentile),
        .asd: distances.averageFromPrediction,
      ]
    }
  }
}
