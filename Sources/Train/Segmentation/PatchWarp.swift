import Foundation
package import Randomness

/// The change of place by which a patch is taken from an image: turned, scaled, bent.
///
/// Angles and bends are measured in millimetres, so that a structure keeps its shape where voxels are no
/// cubes. Ranges and how often each happens follow nnU-Net: turned in a fifth of the patches by up to 30
/// degrees, scaled in a fifth by 0.7 to 1.4, bent in a fifth.
///
/// Source: Isensee et al., *nnU-Net*, Nature Methods 18, 2021, supplementary note 2.
package struct PatchWarp {
  /// Displacements of the nodes of a coarse grid over the patch, voxels; empty if it is not bent.
  private var nodes: [SIMD3<Float>] = []
  /// Rows of the matrix from an offset from the patch's centre to that in the image, voxels.
  private var rows: [SIMD3<Float>]
  private let patch: [Int]
  private let centre: SIMD3<Float>

  private static let share: Float = 0.2
  private static let nodesPerAxis = 4

  /// A turn and a scaling that are given.
  ///
  /// - Parameters:
  ///   - patch: Slices, rows, columns.
  ///   - spacing: Of those axes, mm.
  ///   - angles: Radians about each of those axes; the first turns rows into columns.
  ///   - scale: How many times as large structures appear.
  package init(patch: [Int], spacing: [Double], angles: SIMD3<Double>, scale: Double) {
    self.patch = patch
    centre = SIMD3(patch.map { Float($0 - 1) / 2 })
    // The product of a turn in each plane, applied to the columns of the unit matrix.
    var columns: [SIMD3<Double>] = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    for axis in 0..<3 {
      let (first, second) = ((axis + 1) % 3, (axis + 2) % 3)
      let (cosine, sine) = (cos(angles[axis]), sin(angles[axis]))
      for index in columns.indices {
        let old = columns[index]
        columns[index][first] = cosine * old[first] - sine * old[second]
        columns[index][second] = sine * old[first] + cosine * old[second]
      }
    }
    rows = (0..<3).map { row in
      SIMD3((0..<3).map { Float(columns[$0][row] * spacing[$0] / spacing[row] / scale) })
    }
  }

  /// A random one, or nil if this patch is taken as it is.
  ///
  /// - Parameters:
  ///   - patch: Slices, rows, columns.
  ///   - spacing: Of those axes, mm.
  ///   - axes: 2: nothing moves from slice to slice.
  ///   - generator: Draws.
  package init?(
    patch: [Int], spacing: [Double], axes: Int, using generator: inout SeededGenerator
  ) {
    let turns = generator.nextUniform() < Self.share
    let scales = generator.nextUniform() < Self.share
    let bends = generator.nextUniform() < Self.share
    guard turns || scales || bends else { return nil }
    var angles = SIMD3<Double>(repeating: 0)
    if turns {
      for axis in 0..<(axes == 3 ? 3 : 1) {
        angles[axis] = Double(2 * generator.nextUniform() - 1) * .pi / 6
      }
    }
    let scale = scales ? exp(log(0.7) + Double(generator.nextUniform()) * log(2.0)) : 1
    self.init(patch: patch, spacing: spacing, angles: angles, scale: scale)
    if axes == 2 { rows[0] = [1, 0, 0] }
    if bends {
      let most = (0..<3).map { Double(patch[$0]) * spacing[$0] }.max() ?? 0
      let count = Self.nodesPerAxis * Self.nodesPerAxis * Self.nodesPerAxis
      nodes = (0..<count).map { _ in
        SIMD3(
          (0..<3).map { axis in
            let draw = generator.nextNormal()
            return axes == 2 && axis == 0 ? 0 : draw * Float(0.02 * most / spacing[axis])
          })
      }
    }
  }

  /// Where a voxel of the patch lies in the image, relative to where the patch begins there.
  package func place(_ z: Int, _ y: Int, _ x: Int) -> SIMD3<Float> {
    let voxel = SIMD3(Float(z), Float(y), Float(x))
    let offset = voxel - centre
    var moved = SIMD3((0..<3).map { (rows[$0] * offset).sum() })
    if !nodes.isEmpty { moved += bend(voxel) }
    return centre + moved
  }

  /// The displacement between the nodes.
  private func bend(_ voxel: SIMD3<Float>) -> SIMD3<Float> {
    let last = Float(Self.nodesPerAxis - 1)
    let size = SIMD3(patch.map { Float(max(1, $0 - 1)) })
    let place = voxel / size * last
    let low = place.rounded(.down).clamped(
      lowerBound: SIMD3(repeating: 0), upperBound: SIMD3(repeating: last - 1))
    let part = place - low
    var sum = SIMD3<Float>(repeating: 0)
    for corner in 0..<8 {
      let step = SIMD3(Float(corner >> 2 & 1), Float(corner >> 1 & 1), Float(corner & 1))
      let weights = step * part + (1 - step) * (1 - part)
      let node = low + step
      let index =
        (Int(node.x) * Self.nodesPerAxis + Int(node.y)) * Self.nodesPerAxis + Int(node.z)
      sum += weights.x * weights.y * weights.z * nodes[index]
    }
    return sum
  }
}

extension SegmentationDataset.Case {
  /// Copies the channels of a voxel.
  ///
  /// - Returns: Its label; nil, and nothing is copied, outside of the image.
  func read(
    _ source: UnsafeBufferPointer<Float>, _ z: Int, _ y: Int, _ x: Int,
    to values: UnsafeMutableBufferPointer<Float>
  ) -> UInt8? {
    guard
      (0..<size[0]).contains(z) && (0..<size[1]).contains(y) && (0..<size[2]).contains(x)
    else { return nil }
    let from = (z * size[1] + y) * size[2] + x
    for channel in values.indices { values[channel] = source[from * values.count + channel] }
    return labels[from]
  }

  /// The channels between voxels, linearly; at the border the last voxel counts.
  ///
  /// - Returns: The label of the nearest voxel; nil, and nothing is written, outside of the image.
  func interpolate(
    _ source: UnsafeBufferPointer<Float>, at place: SIMD3<Float>,
    to values: UnsafeMutableBufferPointer<Float>
  ) -> UInt8? {
    let nearest = (0..<3).map { Int(place[$0].rounded()) }
    guard (0..<3).allSatisfy({ (0..<size[$0]).contains(nearest[$0]) }) else { return nil }
    let low = place.rounded(.down)
    let part = place - low
    for channel in values.indices { values[channel] = 0 }
    for corner in 0..<8 {
      let step = SIMD3(corner >> 2 & 1, corner >> 1 & 1, corner & 1)
      var weight: Float = 1
      var voxel = 0
      for axis in 0..<3 {
        weight *= step[axis] == 1 ? part[axis] : 1 - part[axis]
        voxel = voxel * size[axis] + min(max(Int(low[axis]) + step[axis], 0), size[axis] - 1)
      }
      guard weight > 0 else { continue }
      for channel in values.indices {
        values[channel] += weight * source[voxel * values.count + channel]
      }
    }
    return labels[(nearest[0] * size[1] + nearest[1]) * size[2] + nearest[2]]
  }
}
