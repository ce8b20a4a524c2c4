/// The area of the surface that passes between the eight voxels around a grid corner, for each of the
/// 256 ways in which some of them belong to a set; in a slice the length of the contour between four.
///
/// The areas are those of DeepMind's *surface-distance*: up to four flat pieces for each case. The table
/// is unchanged by turning, mirroring and swapping inside with outside, so that 13 cases stand for all.
///
/// Source: Nikolov et al., *Deep Learning to Achieve Clinically Applicable Segmentation of Head and Neck
/// Anatomy for Radiotherapy*, arXiv 1809.04430, and its published tables.
struct SurfelTable {
  /// The areas in mm² (lengths in mm in a slice) by code: bit `4·dx + 2·dy + dz` for the voxel at
  /// offset (dx, dy, dz), or bit `2·dx + dy` in a slice.
  let sizes: [Double]

  /// Pieces of one case as absolute components of their normals, in units of a face of a voxel cube.
  private static let cases: [(code: Int, normals: [SIMD3<Double>])] = {
    func n(_ x: Double, _ y: Double, _ z: Double) -> SIMD3<Double> { SIMD3(x, y, z) / 8 }
    let corner = n(1, 1, 1)
    return [
      (0b0000_0001, [corner]),
      (0b0000_0011, [n(2, 2, 0), n(2, 2, 0)]),
      (0b0000_0110, [corner, corner]),
      (0b0000_0111, [corner, n(2, 2, 2), n(4, 0, 0)]),
      (0b0000_1111, [n(4, 0, 0), n(4, 0, 0)]),
      (0b0001_0110, [corner, corner, corner]),
      (0b0001_0111, [corner, corner, n(2, 2, 2), n(2, 2, 2)]),
      (0b0001_1000, [corner, corner]),
      (0b0001_1001, [n(0, 2, 2), n(0, 2, 2), corner]),
      (0b0001_1011, [n(0, 2, 2), corner, n(2, 0, 2), n(3, 3, 3)]),
      (0b0001_1110, [corner, corner, n(2, 2, 2), n(4, 0, 0)]),
      (0b0011_1100, [n(2, 2, 0), n(2, 2, 0), n(2, 2, 0), n(2, 2, 0)]),
      (0b0110_1001, [corner, corner, corner, corner]),
    ]
  }()

  /// The table for a volume.
  ///
  /// - Parameter spacing: Voxel size along x, y, z in mm.
  init(spacing: SIMD3<Double>) {
    let faces = SIMD3(
      spacing.y * spacing.z, spacing.x * spacing.z, spacing.x * spacing.y)
    var sizes = [Double](repeating: 0, count: 256)
    for (code, normals) in Self.cases {
      for order in Self.orders {
        for mirrored in 0..<8 {
          let turned = Self.turned(code, order, mirrored)
          // Summed in ascending order, so that no turn changes the last bit.
          let area = normals.map { normal in
            let face = SIMD3(normal[order[0]], normal[order[1]], normal[order[2]]) * faces
            return length(face)
          }.sorted().reduce(0, +)
          sizes[turned] = area
          sizes[255 - turned] = area
        }
      }
    }
    self.sizes = sizes
  }

  /// The table for a slice.
  ///
  /// - Parameters:
  ///   - first: Pixel size in mm along the axis of the code's upper bit.
  ///   - second: Along the other axis.
  init(first: Double, second: Double) {
    let corner = 0.5 * (first * first + second * second).squareRoot()
    sizes = (0..<16).map { code in
      switch code {
      case 0, 15: 0
      case 0b0011, 0b1100: second
      case 0b0101, 0b1010: first
      case 0b0110, 0b1001: 2 * corner
      default: corner
      }
    }
  }

  private static let orders = [
    [0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0],
  ]

  /// A case after its axes change places and some are mirrored.
  private static func turned(_ code: Int, _ order: [Int], _ mirrored: Int) -> Int {
    var result = 0
    for corner in 0..<8 where code >> corner & 1 == 1 {
      let place = [corner >> 2 & 1, corner >> 1 & 1, corner & 1]
      var target = 0
      for axis in 0..<3 { target = target << 1 | (place[order[axis]] ^ (mirrored >> axis & 1)) }
      result |= 1 << target
    }
    return result
  }
}
