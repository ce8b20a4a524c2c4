/// How far two sets of voxels cover each other, from four counts.
public struct OverlapScore: Sendable, Equatable {
  /// Voxels of both sets.
  public let intersection: Int
  /// Voxels of the prediction.
  public let prediction: Int
  /// Voxels of the reference.
  public let reference: Int

  /// Voxels of either set.
  public var union: Int { prediction + reference - intersection }

  /// Counts two sets on one grid.
  public init(of prediction: VoxelMask, against reference: VoxelMask) {
    precondition(
      prediction.size == reference.size,
      "OverlapScore: grids \(prediction.size) and \(reference.size)")
    self.init(of: prediction.voxels, against: reference.voxels)
  }

  /// Counts two sets of voxels, or of pixels, in one order.
  public init(of prediction: [Bool], against reference: [Bool]) {
    precondition(
      prediction.count == reference.count,
      "OverlapScore: \(prediction.count) and \(reference.count) voxels")
    var (both, first, second) = (0, 0, 0)
    prediction.withUnsafeBufferPointer { p in
      reference.withUnsafeBufferPointer { r in
        for index in p.indices {
          both += p[index] && r[index] ? 1 : 0
          first += p[index] ? 1 : 0
          second += r[index] ? 1 : 0
        }
      }
    }
    (intersection, self.prediction, self.reference) = (both, first, second)
  }

  /// 2·|P∩R| / (|P|+|R|); 1 if both are empty.
  public var dice: Double {
    prediction + reference == 0 ? 1 : 2 * Double(intersection) / Double(prediction + reference)
  }

  /// |P∩R| / |P∪R|; 1 if both are empty.
  public var iou: Double { union == 0 ? 1 : Double(intersection) / Double(union) }

  /// |P∩R| / |P|, the part of the prediction that is right; of an empty one 1 if the reference is
  /// empty too, else 0.
  public var precision: Double {
    prediction == 0 ? (reference == 0 ? 1 : 0) : Double(intersection) / Double(prediction)
  }

  /// |P∩R| / |R|, the part of the reference that was found; of an empty one 1 if the prediction is
  /// empty too, else 0.
  public var recall: Double {
    reference == 0 ? (prediction == 0 ? 1 : 0) : Double(intersection) / Double(reference)
  }

  /// Dice, IoU, recall and precision with `epsilon` added to each denominator, so that two empty sets
  /// score 0.
  ///
  /// Source: Xue et al., NeuroImage: Clinical 25 (2019) 102118, the published code.
  public func smoothed(by epsilon: Double) -> Smoothed {
    let both = Double(intersection)
    return Smoothed(
      dice: 2 * both / (Double(prediction + reference) + epsilon),
      iou: both / (Double(union) + epsilon), recall: both / (Double(reference) + epsilon),
      precision: both / (Double(prediction) + epsilon))
  }

  /// Figures with a small number in each denominator.
  public struct Smoothed: Sendable, Equatable {
    /// 2·|P∩R| / (|P|+|R|+ε).
    public let dice: Double
    /// |P∩R| / (|P∪R|+ε).
    public let iou: Double
    /// |P∩R| / (|R|+ε).
    public let recall: Double
    /// |P∩R| / (|P|+ε).
    public let precision: Double
  }
}
