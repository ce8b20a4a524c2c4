public import Imaging

/// How a segmentation network sees images: everything that follows from the dataset it was trained on.
///
/// Part of a bundle's card (`plan`). Axes are in the network's order: slices, rows, columns.
///
/// Source: Isensee et al., *nnU-Net*, Nature Methods 18, 2021, in its spirit; see
/// `docs/training.md` for the rules.
public struct SegmentationPlan: Codable, Sendable, Equatable {
  /// How the intensities of a channel become what the network sees.
  public enum Normalization: Codable, Sendable, Equatable {
    /// The image's own mean becomes 0, its standard deviation 1.
    case ofImage
    /// Cut to two values, then the mean and deviation of the dataset's structures: for CT, whose numbers
    /// mean the same in all images.
    case ofDataset(low: Double, high: Double, mean: Double, deviation: Double)
  }

  /// A channel.
  public struct Channel: Codable, Sendable, Equatable {
    /// As in `CT`.
    public let name: String
    /// Its normalisation.
    public let normalization: Normalization

    /// A channel.
    public init(name: String, normalization: Normalization) {
      (self.name, self.normalization) = (name, normalization)
    }
  }

  /// The channels in order.
  public var channels: [Channel]
  /// The structures, numbered from 1.
  public var labels: [NNUNetFolder.Label]
  /// 2 for slices one by one, 3 for volumes.
  public var axes: Int
  /// The axis along which slices are counted: 0 from left to right, 1 from posterior to anterior, 2 from inferior
  /// to superior; the storage axes x, y, z where ``isAnatomical`` is false.
  public var sliceAxis: Int
  /// Whether axes are those of the body, so that an image looks the same however it is stored; false in plans of
  /// versions that took storage axes.
  public var isAnatomical: Bool
  /// The distance of voxels to which images are resampled, mm; slices one by one keep their distance.
  public var spacing: [Double]
  /// What the network sees at once, voxels: rows and columns, with three axes slices first.
  public var patch: [Int]
  /// By what each level of the network divides each axis.
  public var pooling: [[Int]]
  /// Samples of a training step.
  public var batch: Int
  /// The middle size of the dataset's images after resampling.
  public var medianSize: [Int]

  /// A plan.
  public init(
    channels: [Channel], labels: [NNUNetFolder.Label], axes: Int, sliceAxis: Int,
    isAnatomical: Bool = true, spacing: [Double], patch: [Int], pooling: [[Int]], batch: Int,
    medianSize: [Int]
  ) {
    (self.channels, self.labels, self.axes) = (channels, labels, axes)
    (self.sliceAxis, self.isAnatomical) = (sliceAxis, isAnatomical)
    (self.spacing, self.patch) = (spacing, patch)
    (self.pooling, self.batch, self.medianSize) = (pooling, batch, medianSize)
  }

  /// A plan as it is stored; without `isAnatomical` its axes are those of the storage.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    channels = try container.decode([Channel].self, forKey: .channels)
    labels = try container.decode([NNUNetFolder.Label].self, forKey: .labels)
    axes = try container.decode(Int.self, forKey: .axes)
    sliceAxis = try container.decode(Int.self, forKey: .sliceAxis)
    isAnatomical = try container.decodeIfPresent(Bool.self, forKey: .isAnatomical) ?? false
    spacing = try container.decode([Double].self, forKey: .spacing)
    patch = try container.decode([Int].self, forKey: .patch)
    pooling = try container.decode([[Int]].self, forKey: .pooling)
    batch = try container.decode(Int.self, forKey: .batch)
    medianSize = try container.decode([Int].self, forKey: .medianSize)
  }

  /// The voxels of a grid along the axes that the plan counts.
  func grid(of geometry: Geometry) -> AnatomicalGrid {
    isAnatomical ? AnatomicalGrid(geometry) : AnatomicalGrid(storageOf: geometry)
  }

  /// The axes of ``grid(of:)`` in the network's order.
  var order: [Int] { [[2, 0, 1], [1, 0, 2], [0, 1, 2]][sliceAxis] }

  /// Where the network's axes are in that of ``grid(of:)``.
  var inverseOrder: [Int] { [[1, 2, 0], [1, 0, 2], [0, 1, 2]][sliceAxis] }

  /// The patch with three axes; slices one by one have one.
  public var patchVolume: [Int] { axes == 3 ? patch : [1] + patch }

  /// The size that an image has after resampling.
  ///
  /// - Parameter geometry: Its grid.
  /// - Returns: Slices, rows, columns.
  public func size(of geometry: Geometry) -> [Int] {
    zip(sizes(of: geometry), ratios(of: geometry)).map { count, ratio in
      ratio == 1 ? count : max(1, Int((Double(count) * ratio).rounded()))
    }
  }

  /// Checks that an image of a grid can be resampled.
  ///
  /// - Parameters:
  ///   - geometry: Its grid.
  ///   - file: The name in errors.
  /// - Throws: ``ImagingError/invalidDimensions(file:dimensions:reason:)``.
  package func requireSize(of geometry: Geometry, file: String) throws(ImagingError) {
    _ = try ResampledSize.sizes(sizes(of: geometry), ratios: ratios(of: geometry), file: file)
  }

  private func sizes(of geometry: Geometry) -> [Int] {
    let size = grid(of: geometry).size
    return order.map { size[$0] }
  }

  /// By how much each axis grows; slices one by one keep their distance.
  private func ratios(of geometry: Geometry) -> [Double] {
    let old = grid(of: geometry).spacing
    return order.enumerated().map { place, axis in
      axes == 2 && place == 0 ? 1 : old[axis] / spacing[place]
    }
  }

  /// What is wrong with a plan that somebody wrote, nil if nothing is.
  var brokenRule: String? {
    guard axes == 2 || axes == 3 else { return "axes must be 2 or 3, not \(axes)" }
    guard (0...2).contains(sliceAxis) else { return "sliceAxis must be 0, 1 or 2" }
    guard spacing.count == 3, spacing.allSatisfy({ $0.isFinite && $0 > 0 }) else {
      return "spacing must be three sizes above 0"
    }
    guard patch.count == axes, patch.allSatisfy((1...4096).contains) else {
      return "patch must be \(axes) sizes in 1...4096"
    }
    guard pooling.count <= 16,
      pooling.allSatisfy({ $0.count == axes && $0.allSatisfy((1...4).contains) })
    else { return "pooling must be \(axes) factors in 1...4 for each level" }
    guard !labels.isEmpty, labels.count < 256,
      labels.map(\.value) == Array(1...labels.count), Set(labels.map(\.name)).count == labels.count
    else { return "labels must be numbered 1, 2, 3 without gaps and have names of their own" }
    guard !channels.isEmpty else { return "it has no channels" }
    return nil
  }
}
