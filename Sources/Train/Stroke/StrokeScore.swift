import Imaging
import Layers
import Models
import TensorCore

/// How well lesions of one brain were found.
public struct StrokeScore: Codable, Sendable, Equatable {
  /// The case.
  public let name: String
  /// Dice of the system with the truth: 1 if both are empty.
  public let dice: Double
  /// Dice of each path alone, by the path's name.
  public let pathDice: [String: Double]
  /// Lesions of the truth, and those of which a voxel was found.
  public let lesions: Int
  /// Of the lesions, those of which a voxel was found.
  public let found: Int
  /// Found lesions that are none.
  public let falseLesions: Int
  /// The part of the voxels of lesions that the scan came with that were found; nil if it came with none.
  public let ownRecall: Double?
  /// ml in the truth.
  public let trueVolume: Double
  /// ml found.
  public let foundVolume: Double

  /// Figures for a model card, by name: means over cases.
  static func metrics(_ scores: [StrokeScore]) -> [String: Double] {
    guard !scores.isEmpty else { return [:] }
    func mean(_ value: (StrokeScore) -> Double) -> Double {
      scores.reduce(0) { $0 + value($1) } / Double(scores.count)
    }
    var metrics = ["dice_test": mean(\.dice)]
    for path in scores[0].pathDice.keys {
      metrics["dice_test_\(path)"] = mean { $0.pathDice[path] ?? 0 }
    }
    let lesions = scores.reduce(0) { $0 + $1.lesions }
    if lesions > 0 {
      metrics["lesion_recall_test"] =
        Double(scores.reduce(0) { $0 + $1.found }) / Double(lesions)
    }
    metrics["false_lesions_per_brain_test"] = mean { Double($0.falseLesions) }
    return metrics
  }
}

extension StrokeTrainer {
  /// Segments the brains that nothing learnt from and compares.
  ///
  /// - Returns: One score for each case.
  /// - Throws: What reading images throws.
  public func evaluate() throws -> [StrokeScore] {
    system.setTraining(false)
    system.setRequiresGradient(false)
    return try (0..<data.count(.test)).map { index in
      try score(try data.load(.test, index))
    }
  }

  private func score(_ item: StrokeCase) throws -> StrokeScore {
    let stacks = StrokeStacks(of: item.volume, for: system)
    let masks = system.networks.indices.map { path in system.mask(ofPath: path, stacks) { _ in } }
    let found = system.probability(stacks, masks).map { $0 > 0.5 }
    let truth = item.truth.map { $0 == 1 }
    var pathDice: [String: Double] = [:]
    for (path, mask) in zip(configuration.system.strokePaths, masks) {
      let own = stacks[path].volume(of: mask).map { $0 == 1 }
      pathDice[path.name] = OverlapScore(of: own, against: truth).dice
    }
    let size = GridSize(x: stacks.size[2], y: stacks.size[1], z: stacks.size[0])
    let detection = LesionDetection(
      of: VoxelMask(voxels: found, size: size), against: VoxelMask(voxels: truth, size: size),
      voxelVolume: item.voxelVolume, threads: Engine.shared.threads)
    var ownRecall: Double?
    if let own = item.ownLesions {
      let count = own.count { $0 == 1 }
      let both = zip(own, found).count { $0 == 1 && $1 }
      ownRecall = count == 0 ? nil : Double(both) / Double(count)
    }
    return StrokeScore(
      name: item.name, dice: OverlapScore(of: found, against: truth).dice, pathDice: pathDice,
      lesions: detection.reference.count, found: detection.foundCount,
      falseLesions: detection.falsePositives.count, ownRecall: ownRecall,
      trueVolume: Double(truth.count { $0 }) * item.voxelVolume,
      foundVolume: Double(found.count { $0 }) * item.voxelVolume)
  }
}
