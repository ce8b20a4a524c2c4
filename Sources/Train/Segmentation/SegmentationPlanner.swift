import Foundation
public import Imaging
public import Inference

/// Chooses spacing, patch, network levels and normalisation from a dataset's fingerprint.
///
/// - Slices are counted along the axis with the largest median spacing (the last such storage axis, z
///   first).
/// - Three axes if images have at least 16 slices and slices are at most three times as far apart as
///   pixels; else two.
/// - The spacing is the median of each axis. Where one axis is more than three times as coarse as the
///   finest, its 10th percentile is taken, which loses less detail.
/// - The patch covers equal millimetres along all axes, at most the median image, and about `budget`
///   voxels. It is then made a multiple of what the network divides by: larger if it covers the whole
///   image, else smaller.
/// - An axis is halved from one level to the next while at least 4 voxels remain and its voxels are less
///   than twice as large as the finest on that level; at most five levels.
/// - A channel called CT gets the normalisation of the dataset, others that of each image.
///
/// Source: Isensee et al., *nnU-Net*, Nature Methods 18, 2021, supplementary note 2, in its spirit, for
/// budgets of a CPU.
public struct SegmentationPlanner: Sendable {
  /// How many axes patches have.
  public enum Axes: String, Sendable, CaseIterable {
    /// What the fingerprint suggests.
    case automatic = "auto"
    /// Slices one by one.
    case two = "2d"
    /// Volumes.
    case three = "3d"
  }

  /// Axes of patches.
  public var axes: Axes
  /// Voxels of a patch with two axes.
  public var sliceBudget = 160 * 160
  /// Voxels of a patch with three axes.
  public var volumeBudget = 48 * 48 * 48

  private static let leastSlices = 16
  private static let anisotropy = 3.0
  private static let leastSide = 4
  private static let mostSteps = 4

  /// A planner.
  public init(axes: Axes = .automatic) { self.axes = axes }

  /// The plan for a dataset.
  ///
  /// - Parameters:
  ///   - fingerprint: Of at least one image.
  ///   - channels: Their names in order.
  ///   - labels: The structures.
  /// - Returns: A plan that networks of ``UNetConfiguration`` can follow.
  public func plan(
    _ fingerprint: DatasetFingerprint, channels: [String], labels: [NNUNetFolder.Label]
  ) -> SegmentationPlan {
    precondition(!fingerprint.images.isEmpty, "segmentation planner: no images")
    let medians = (0..<3).map { axis in
      Self.percentile(50, fingerprint.images.map { $0.spacing[axis] })
    }
    // A picture has one slice: counted along the axis with a single voxel, whatever the spacing.
    let flat = (0..<3).first { axis in
      fingerprint.images.allSatisfy { $0.size[axis] == 1 }
    }
    let widest = medians.max() ?? 1
    let slices = flat ?? (0..<3).first { medians[$0] >= widest * (1 - 1e-6) } ?? 0
    let order = [slices] + (0..<3).filter { $0 != slices }
    var spacing = order.map { medians[$0] }
    let finest = spacing.min() ?? 1
    for place in 0..<3 where spacing[place] > Self.anisotropy * finest {
      spacing[place] = Self.percentile(10, fingerprint.images.map { $0.spacing[order[place]] })
    }
    let sizes = fingerprint.images.map { image in
      order.enumerated().map { place, axis in
        max(1, (Double(image.size[axis]) * image.spacing[axis] / spacing[place]).rounded())
      }
    }
    let median = (0..<3).map { place in
      Int(Self.percentile(50, sizes.map { $0[place] }).rounded())
    }
    let isVolume =
      axes == .three
      || (axes == .automatic && median[0] >= Self.leastSlices
        && spacing[0] <= Self.anisotropy * min(spacing[1], spacing[2]))
    let kept = isVolume ? [0, 1, 2] : [1, 2]
    let (patch, pooling) = network(
      sizes: kept.map { median[$0] }, spacing: kept.map { spacing[$0] },
      budget: isVolume ? volumeBudget : sliceBudget)
    let voxels = patch.reduce(1, *)
    return SegmentationPlan(
      channels: zip(channels, fingerprint.intensities).map { name, intensities in
        let isCT = name.uppercased() == "CT"
        return SegmentationPlan.Channel(
          name: name,
          normalization: isCT
            ? .ofDataset(
              low: intensities.low, high: intensities.high, mean: intensities.mean,
              deviation: intensities.deviation) : .ofImage)
      },
      labels: labels, axes: kept.count, sliceAxis: 2 - slices, spacing: spacing, patch: patch,
      pooling: pooling,
      batch: isVolume ? 2 : min(12, max(2, 2 * sliceBudget / max(1, voxels) + 2)),
      medianSize: median)
  }

  /// Patch and steps of the network.
  private func network(
    sizes: [Int], spacing: [Double], budget: Int
  ) -> (patch: [Int], pooling: [[Int]]) {
    func patch(_ edge: Double) -> [Int] {
      zip(sizes, spacing).map { size, step in
        min(size, max(Self.leastSide, Int((edge / step).rounded())))
      }
    }
    // The largest edge in mm whose patch stays within the budget.
    var (low, high) = (0.0, 2 * (zip(sizes, spacing).map { Double($0) * $1 }.max() ?? 1))
    for _ in 0..<60 {
      let middle = (low + high) / 2
      if patch(middle).reduce(1, *) <= budget { low = middle } else { high = middle }
    }
    let wanted = patch(low)
    var (remaining, current) = (wanted.map(Double.init), spacing)
    var pooling: [[Int]] = []
    while pooling.count < Self.mostSteps {
      let finest = current.min() ?? 1
      let factors = remaining.indices.map { axis in
        remaining[axis] >= Double(2 * Self.leastSide) && current[axis] < 2 * finest ? 2 : 1
      }
      guard factors.contains(2) else { break }
      pooling.append(factors)
      for axis in factors.indices {
        remaining[axis] /= Double(factors[axis])
        current[axis] *= Double(factors[axis])
      }
    }
    let rounded = wanted.indices.map { axis in
      let divisor = pooling.reduce(1) { $0 * $1[axis] }
      let up = (wanted[axis] + divisor - 1) / divisor * divisor
      return wanted[axis] == sizes[axis] ? up : max(divisor, wanted[axis] / divisor * divisor)
    }
    return (rounded, pooling)
  }

  private static func percentile(_ percent: Double, _ values: [Double]) -> Double {
    quantile(percent / 100, ofSorted: values.sorted())
  }
}
