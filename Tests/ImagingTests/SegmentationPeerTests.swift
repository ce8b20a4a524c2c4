import Foundation
import Imaging
import Testing

/// Pairs of masks with the figures of MONAI 1.6, MedPy 0.5.2 and surface-distance 0.1; see
/// `Benchmarks/segmentation/fixture.py`.
struct SegmentationPair: Decodable, Sendable, CustomTestStringConvertible {
  let shape: [Int]
  let spacing: [Double]
  let prediction: String
  let reference: String
  let figures: [String: Double]

  enum CodingKeys: String, CodingKey {
    case shape, prediction, reference, figures
    case spacing = "spacing_zyx"
  }

  var testDescription: String { "\(shape), \(spacing)" }

  func mask(_ text: String) -> VoxelMask {
    VoxelMask(
      voxels: text.utf8.map { $0 == UInt8(ascii: "1") },
      size: GridSize(x: shape[2], y: shape[1], z: shape[0]))
  }

  static func all() throws -> [SegmentationPair] {
    let folder = try #require(Bundle.module.resourceURL)
    let file = folder.appendingPathComponent("Fixtures/segmentation/peers.json")
    return try JSONDecoder().decode([SegmentationPair].self, from: Data(contentsOf: file))
  }
}

@Suite("Segmentation figures against other packages")
struct SegmentationPeerTests {
  @Test("every figure equals that of MONAI, MedPy or surface-distance")
  func peers() throws {
    let pairs = try SegmentationPair.all()
    #expect(pairs.count == 36)
    for pair in pairs {
      let score = SegmentationScore(
        of: pair.mask(pair.prediction), against: pair.mask(pair.reference),
        spacing: SIMD3(pair.spacing[2], pair.spacing[1], pair.spacing[0]), tolerance: 1)
      #expect(pair.figures.count == 11)
      for (name, expected) in pair.figures {
        let metric = try #require(SegmentationMetric(rawValue: name))
        let found = try #require(score.figures[metric])
        #expect(abs(found - expected) <= 1e-6 * max(1, abs(expected)), "\(name) of \(pair)")
      }
    }
  }

  @Test("the documented balls have the documented figures")
  func documented() {
    let a = Self.ball(20, 20, 10, radius: 6)
    #expect(a.count == 925)
    var far = a.voxels
    far[(2 * 40 + 2) * 40 + 2] = true
    let cases: [(VoxelMask, VoxelMask, SIMD3<Double>, [Double])] = [
      (Self.ball(22, 20, 10, radius: 6), a, [1, 1, 1], [0.76, 2, 2, 2, 2, 0.9797, 0.9797]),
      (Self.ball(22, 20, 10, radius: 6), a, [1, 1, 3], [0.76, 2, 2, 2, 2, 1.0610, 1.0610]),
      (
        VoxelMask(voxels: far, size: a.size), a, [1, 1, 1],
        [0.9995, 20.6882, 0, 0, 0, 0.0292, 0.0583]
      ),
      (
        Self.ball(26, 20, 10, radius: 3), a, [1, 1, 1],
        [0.0916, 9, 8.3066, 8.3066, 8.2462, 4.2926, 1.4144]
      ),
      (
        Self.ball(26, 20, 10, radius: 3), a, [1, 1, 3],
        [0.0916, 10.8628, 10.0499, 10.0000, 9.4340, 5.3769, 1.4596]
      ),
      (
        Self.ball(23, 24, 10, radius: 0), Self.ball(20, 20, 10, radius: 0), [1, 1, 1],
        [0, 5, 5, 5, 5, 5, 5]
      ),
      (Self.slab(22), Self.slab(20), [1, 1, 1], [0.9524, 2, 2, 2, 2, 0.3912, 0.4378]),
    ]
    let metrics: [SegmentationMetric] = [
      .dice, .hausdorff, .hausdorff95, .hausdorff95Pooled, .hausdorff95Surfel, .assd, .asd,
    ]
    for (prediction, reference, spacing, expected) in cases {
      let score = SegmentationScore(
        of: prediction, against: reference, spacing: spacing, tolerance: 1)
      for (metric, value) in zip(metrics, expected) {
        #expect(abs((score.figures[metric] ?? .nan) - value) < 5.1e-5, "\(metric)")
      }
    }
  }

  private static let grid = GridSize(x: 40, y: 40, z: 20)

  private static func set(_ contains: (Int, Int, Int) -> Bool) -> VoxelMask {
    VoxelMask(
      voxels: (0..<grid.count).map { contains($0 % 40, $0 / 40 % 40, $0 / 1600) }, size: grid)
  }

  private static func ball(_ x: Int, _ y: Int, _ z: Int, radius: Int) -> VoxelMask {
    set { ($0 - x) * ($0 - x) + ($1 - y) * ($1 - y) + ($2 - z) * ($2 - z) <= radius * radius }
  }

  private static func slab(_ end: Int) -> VoxelMask { set { x, _, _ in x < end } }
}
