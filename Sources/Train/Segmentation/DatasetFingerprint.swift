import Foundation
import Imaging

/// What the images of a dataset have in common, as far as a plan depends on it.
public struct DatasetFingerprint: Sendable, Equatable {
  /// One image.
  public struct Image: Sendable, Equatable {
    /// Voxels from inferior to superior, posterior to anterior, left to right.
    public let size: [Int]
    /// The distance of voxels along these axes, mm.
    public let spacing: [Double]

    /// An image.
    public init(size: [Int], spacing: [Double]) { (self.size, self.spacing) = (size, spacing) }
  }

  /// The intensities of a channel inside of all structures together.
  public struct Intensities: Sendable, Equatable {
    /// The 0.5th percentile.
    public let low: Double
    /// The 99.5th percentile.
    public let high: Double
    /// The mean.
    public let mean: Double
    /// The standard deviation.
    public let deviation: Double

    /// Intensities.
    public init(low: Double, high: Double, mean: Double, deviation: Double) {
      (self.low, self.high, self.mean, self.deviation) = (low, high, mean, deviation)
    }
  }

  /// The images.
  public var images: [Image]
  /// The channels.
  public var intensities: [Intensities]

  /// A fingerprint.
  public init(images: [Image], intensities: [Intensities]) {
    (self.images, self.intensities) = (images, intensities)
  }

  /// Voxels of each image and channel that are looked at, evenly spread.
  private static let samples = 20_000

  /// Collects from cases one by one.
  struct Collector {
    private var images: [Image] = []
    private var values: [[Float]]

    init(channels: Int) { values = [[Float]](repeating: [], count: channels) }

    mutating func add(_ volumes: [Volume], _ labels: LabelMap) {
      let grid = AnatomicalGrid(volumes[0].geometry)
      images.append(Image(size: grid.size, spacing: grid.spacing))
      let inside = labels.labels.indices.filter { labels.labels[$0] > 0 }
      let step = max(1, inside.count / DatasetFingerprint.samples)
      for (channel, volume) in volumes.enumerated() {
        for place in stride(from: 0, to: inside.count, by: step) {
          let value = volume.voxels[inside[place]]
          if value.isFinite { values[channel].append(value) }
        }
      }
    }

    /// The fingerprint; images without any structure have no intensities.
    func fingerprint() -> DatasetFingerprint {
      DatasetFingerprint(
        images: images,
        intensities: values.map { values in
          let statistics = OrderStatistics(of: values)
          let count = Double(max(1, values.count))
          let mean = values.reduce(0) { $0 + Double($1) } / count
          let squares = values.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
          return Intensities(
            low: statistics.percentile(0.5) ?? 0, high: statistics.percentile(99.5) ?? 1,
            mean: mean, deviation: (squares / count).squareRoot())
        })
    }
  }
}
