/// Which lesions were found, lesion by lesion.
///
/// Lesions are the components of a set over faces, edges and corners (26 neighbours). One of the
/// reference is found if any of its voxels is predicted; one of the prediction is false if none of its
/// voxels belongs to the reference.
public struct LesionDetection: Sendable, Equatable {
  /// One lesion of the reference.
  public struct Lesion: Sendable, Equatable {
    /// Its volume in ml.
    public let volume: Double
    /// Whether any of its voxels is predicted.
    public let isFound: Bool
  }

  /// The lesions of the reference.
  public let reference: [Lesion]
  /// The volumes in ml of the predicted lesions that miss the reference.
  public let falsePositives: [Double]
  /// The number of predicted lesions.
  public let predictedCount: Int

  /// Matches the lesions of two sets.
  ///
  /// - Parameters:
  ///   - prediction: The predicted set.
  ///   - reference: The reference on the same grid.
  ///   - voxelVolume: The volume of a voxel in ml.
  ///   - threads: Threads that share the work, nil for all processors; results do not depend on it.
  public init(
    of prediction: VoxelMask, against reference: VoxelMask, voxelVolume: Double,
    threads: Int? = nil
  ) {
    let threads = Parallel.threads(threads)
    self.init(
      BoxedMasks(prediction, reference, threads: threads), voxelVolume: voxelVolume,
      threads: threads)
  }

  init(_ masks: BoxedMasks?, voxelVolume: Double, threads: Int) {
    guard let masks else {
      (reference, falsePositives, predictedCount) = ([], [], 0)
      return
    }
    let (predicted, expected) = Parallel.both(
      threads: threads, { ConnectedComponents(of: masks.prediction) },
      { ConnectedComponents(of: masks.reference) })
    var isHit = [Bool](repeating: false, count: predicted.count + 1)
    var isFound = [Bool](repeating: false, count: expected.count + 1)
    for (p, r) in zip(predicted.labels, expected.labels) where p > 0 && r > 0 {
      isHit[Int(p)] = true
      isFound[Int(r)] = true
    }
    reference = expected.voxelCounts.enumerated().map { index, count in
      Lesion(volume: Double(count) * voxelVolume, isFound: isFound[index + 1])
    }
    falsePositives = predicted.voxelCounts.enumerated().compactMap { index, count in
      isHit[index + 1] ? nil : Double(count) * voxelVolume
    }
    predictedCount = predicted.count
  }

  /// The number of the reference's lesions that were found.
  public var foundCount: Int { reference.count { $0.isFound } }

  /// 2·TP / (2·TP + FP + FN) over lesions; 1 if there are none on either side.
  public var f1: Double {
    let (found, missed) = (Double(foundCount), Double(reference.count - foundCount))
    let total = 2 * found + missed + Double(falsePositives.count)
    return total == 0 ? 1 : 2 * found / total
  }

  /// Lesions of the reference in classes of size, and how many of each were found.
  ///
  /// - Parameter edges: Ascending volumes in ml between the classes.
  /// - Returns: One class more than there are edges; a lesion at an edge belongs to the upper class.
  public func bySize(edges: [Double]) -> [(count: Int, found: Int, falsePositives: Int)] {
    func place(_ volume: Double) -> Int { edges.count { $0 <= volume } }
    var classes = [(count: Int, found: Int, falsePositives: Int)](
      repeating: (0, 0, 0), count: edges.count + 1)
    for lesion in reference {
      classes[place(lesion.volume)].count += 1
      classes[place(lesion.volume)].found += lesion.isFound ? 1 : 0
    }
    for volume in falsePositives { classes[place(volume)].falsePositives += 1 }
    return classes
  }
}
