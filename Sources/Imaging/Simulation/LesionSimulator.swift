import Foundation
import Randomness

/// Lesions grown into real brains, with their exact mask.
///
/// A lesion spreads from a random voxel of tissue through tissue alone, faster in some places than in
/// others (a smooth random field), until it has its volume; the border is soft. It is dark in T1 and
/// bright in FLAIR; some large ones have a fluid-like core, dark in both. What was there before stays
/// visible at a third of its contrast. This is the look of chronic strokes, not a model of how they
/// come about: territories of arteries, swelling and shrinking are not simulated.
public struct LesionSimulator: Sendable, Equatable {
  /// The least and the greatest number of lesions.
  public var counts = 1...3
  /// The least and the greatest volume of a lesion in ml; logarithms are uniform.
  public var volumes = 0.3...30.0
  /// What a number may be at most: more lesions than any brain has room for.
  public static let largestCount = 1000
  /// What a volume may be at most, ml: more than any brain has.
  public static let largestVolume = 2000.0
  /// Half the width of the border, mm.
  public var border = 1.5

  /// A simulator with the given numbers.
  public init(counts: ClosedRange<Int> = 1...3, volumes: ClosedRange<Double> = 0.3...30) {
    precondition(
      counts.lowerBound >= 0 && counts.upperBound <= Self.largestCount
        && volumes.lowerBound > 0 && volumes.upperBound <= Self.largestVolume,
      "LesionSimulator: \(counts) lesions of \(volumes) ml")
    self.counts = counts
    self.volumes = volumes
  }

  /// A brain with lesions.
  public struct Result: Sendable, Equatable {
    /// T1 and, if given, FLAIR.
    public var images: [Volume]
    /// The voxels of all simulated lesions.
    public let mask: VoxelMask
    /// How many lesions were wanted.
    public let wanted: Int
    /// How many of them found a place.
    public let placed: Int
  }

  /// Grows lesions into the brain of one subject.
  ///
  /// - Parameters:
  ///   - images: T1 and perhaps FLAIR on one grid, the background 0.
  ///   - seed: Decides number, places, sizes, shapes and contrasts.
  /// - Returns: The images with lesions; the background stays 0.
  /// - Throws: ``ImagingError/noForeground(file:)`` if there is no tissue.
  public func applied(to images: [Volume], seed: UInt64) throws(ImagingError) -> Result {
    precondition(
      (1...2).contains(images.count) && images.allSatisfy { $0.shape == images[0].shape }
        && images[0].volumeCount == 1,
      "LesionSimulator: \(images.map(\.shape)), not T1 and FLAIR of one grid")
    let t1 = images[0]
    guard let median = Self.median(t1.voxels.filter { $0 > 0 }) else {
      throw .noForeground(file: "T1")
    }
    // Fluid is darker than half of the brain's median in T1.
    let isTissue = t1.voxels.map { $0 > 0.5 * median }
    let tissue = isTissue.indices.filter { isTissue[$0] }
    guard !tissue.isEmpty else { throw .noForeground(file: "T1") }
    let medians = images.map { image in Self.median(tissue.map { image.voxels[$0] }) ?? 0 }

    var generator = SeededGenerator(seed: seed, stream: 0)
    let field = SmoothField(modes: 32, highest: 20, using: &generator).values(size: t1.size)
    // The field's standard deviation is about 2, that of the logarithm of the slowness one half.
    let growth = LesionGrowth(
      size: t1.size, spacing: t1.spacing, isTissue: isTissue, slowness: field.map { exp($0 / 4) })
    let count = counts.lowerBound + generator.nextInt(below: counts.count)
    var voxels = images.map(\.voxels)
    var mask = [Bool](repeating: false, count: t1.voxels.count)
    var placed = 0
    for lesion in 0..<count {
      var generator = SeededGenerator(seed: seed, stream: 1, UInt64(lesion))
      let range = log(volumes.upperBound / volumes.lowerBound)
      let volume = volumes.lowerBound * exp(range * generator.nextUniformDouble())
      // More than the whole image is as impossible as any larger number.
      let most = Double(8 * t1.voxels.count)
      let wanted = max(1, Int(min(volume * 1000 / t1.geometry.voxelVolume, most).rounded()))
      guard
        let grown = grow(growth, wanted, tissue: tissue, using: &generator)
      else { continue }
      placed += 1
      let look = Look(volume: volume, using: &generator)
      for place in grown.places {
        if place.isInside { mask[place.voxel] = true }
        for channel in voxels.indices {
          let old = voxels[channel][place.voxel]
          let weight = min(max(0.5 + (grown.end - place.time) / Float(2 * border), 0), 1)
          let new = look.value(
            old, channel: channel, median: medians[channel], depth: 1 - place.time / grown.end)
          voxels[channel][place.voxel] = old + weight * (new - old)
        }
      }
    }
    return Result(
      images: zip(images, voxels).map { Volume(voxels: $1, geometry: $0.geometry) },
      mask: VoxelMask(voxels: mask, size: t1.size), wanted: count, placed: placed)
  }

  /// A lesion of at least a fifth of the wanted size, from the first of some random voxels that allows it.
  private func grow(
    _ growth: LesionGrowth, _ wanted: Int, tissue: [Int], using generator: inout SeededGenerator
  ) -> LesionGrowth.Region? {
    for _ in 0..<20 {
      let start = tissue[generator.nextInt(below: tissue.count)]
      let region = growth.region(from: start, voxels: wanted, beyond: Float(border))
      if 5 * region.insideCount >= wanted { return region }
    }
    return nil
  }

  static func median(_ values: [Float]) -> Float? {
    guard !values.isEmpty else { return nil }
    return values.sorted()[values.count / 2]
  }
}

/// The contrasts of one lesion.
private struct Look {
  /// Of the brain's median, in T1 and FLAIR.
  private let levels: [Float]
  private let core: [Float]?

  /// Draws contrasts.
  init(volume: Double, using generator: inout SeededGenerator) {
    levels = [0.35 + 0.3 * generator.nextUniform(), 1.35 + 0.5 * generator.nextUniform()]
    core = generator.nextUniform() < 0.4 && volume > 4 ? [0.2, 0.35] : nil
  }

  /// What a voxel inside the lesion shows.
  ///
  /// - Parameters:
  ///   - old: What it showed.
  ///   - channel: 0 for T1, 1 for FLAIR.
  ///   - median: That of the brain's tissue in this channel.
  ///   - depth: 0 at the border, 1 at the start.
  /// - Returns: An intensity above 0.
  func value(_ old: Float, channel: Int, median: Float, depth: Float) -> Float {
    var level = levels[channel]
    if let core {
      let share = min(max((depth - 0.4) / 0.1, 0), 1)
      level += share * (core[channel] - level)
    }
    // Above 0: the voxel is still the brain's.
    return max(level * median + 0.35 * (old - median), 0.02 * median)
  }
}
