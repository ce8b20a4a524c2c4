/// The distances between the surfaces of two sets, each piece of surface weighted by its area.
///
/// Surface pieces sit at the corners between voxels. Both sets must hold a voxel. An axis with one voxel
/// takes no part: a slice has contours, weighted by their lengths.
///
/// Source: as for ``SurfaceDistances`` of DeepMind's *surface-distance* (see the area table).
public struct SurfelDistances: Sendable, Equatable {
  /// A piece of surface.
  public struct Surfel: Sendable, Equatable, Comparable {
    /// The distance to the other surface in mm.
    public let distance: Double
    /// The area in mm², or the length in mm.
    public let size: Double

    /// By distance, then by size.
    public static func < (a: Surfel, b: Surfel) -> Bool {
      (a.distance, a.size) < (b.distance, b.size)
    }
  }

  /// The pieces of the prediction's surface, ascending.
  public let prediction: [Surfel]
  /// The pieces of the reference's surface, ascending.
  public let reference: [Surfel]

  /// Measures two sets.
  ///
  /// - Parameters:
  ///   - prediction: The predicted set, not empty.
  ///   - reference: The reference on the same grid, not empty.
  ///   - spacing: Voxel size along x, y, z in mm.
  ///   - threads: Threads that share the work, nil for all processors; results do not depend on it.
  public init(
    of prediction: VoxelMask, against reference: VoxelMask, spacing: SIMD3<Double>,
    threads: Int? = nil
  ) {
    let threads = Parallel.threads(threads)
    guard let masks = BoxedMasks(prediction, reference, threads: threads) else {
      preconditionFailure("SurfelDistances: a set is empty")
    }
    self.init(masks, spacing: spacing, threads: threads)
  }

  init(_ masks: BoxedMasks, spacing: SIMD3<Double>, threads: Int) {
    let (first, second) = Parallel.both(
      threads: threads, { SurfelMap(masks.prediction, masks.axes, spacing) },
      { SurfelMap(masks.reference, masks.axes, spacing) })
    precondition(
      !first.targets.voxels.isEmpty && !second.targets.voxels.isEmpty,
      "SurfelDistances: a set is empty")
    func surfels(of map: SurfelMap, to other: SurfelMap) -> [Surfel] {
      let distances = DistanceTransform.distances(
        at: map.targets.voxels, to: other.targets, spacing: spacing, threads: max(1, threads / 2))
      return zip(distances, map.sizes).map { Surfel(distance: $0, size: $1) }.sorted()
    }
    (prediction, reference) = Parallel.both(
      threads: threads, { surfels(of: first, to: second) }, { surfels(of: second, to: first) })
  }

  /// The larger of the two directed percentiles, each by area.
  ///
  /// - Parameter percent: 95 for HD95.
  /// - Returns: A distance in mm.
  public func hausdorff(percentile percent: Double) -> Double {
    func directed(_ surfels: [Surfel]) -> Double {
      let total = surfels.reduce(0) { $0 + $1.size }
      var sum = 0.0
      for surfel in surfels {
        sum += surfel.size
        if sum / total >= percent / 100 { return surfel.distance }
      }
      return surfels.last?.distance ?? 0
    }
    return max(directed(prediction), directed(reference))
  }

  /// The part of both surfaces, by area, within a tolerance of the other one (NSD).
  ///
  /// - Parameter tolerance: In mm.
  /// - Returns: A part, `0...1`.
  public func surfaceDice(tolerance: Double) -> Double {
    let all = prediction + reference
    let near = all.reduce(0) { $1.distance <= tolerance ? $0 + $1.size : $0 }
    return near / all.reduce(0) { $0 + $1.size }
  }
}

/// The grid corners through which a surface passes.
private struct SurfelMap {
  /// One corner more than there are voxels along each axis that takes part.
  let targets: DistanceTransform.Targets
  let sizes: [Double]

  init(_ set: VoxelMask, _ axes: [Int], _ spacing: SIMD3<Double>) {
    let extra = (0..<3).map { axes.contains($0) ? 1 : 0 }
    let size = set.size
    let grid = GridSize(x: size.x + extra[0], y: size.y + extra[1], z: size.z + extra[2])
    let table: SurfelTable
    switch axes.count {
    case 3: table = SurfelTable(spacing: spacing)
    case 2: table = SurfelTable(first: spacing[axes[0]], second: spacing[axes[1]])
    // A row or a single voxel has ends, each counted as one.
    default: table = SurfelTable(first: 1, second: 1)
    }
    var voxels = [Bool](repeating: false, count: grid.count)
    var positions: [Int] = []
    var sizes: [Double] = []
    // Bits of the voxels before and after the corner along each axis, the first axis highest: those of
    // the rows around a row of corners, then the same one voxel further.
    let others = axes.filter { $0 != 0 }
    let rowCount = 1 << others.count
    let full = (1 << (1 << axes.count)) - 1
    var bits = [UInt8](repeating: 0, count: size.x)
    set.voxels.withUnsafeBufferPointer { inside in
      for corner in 0..<grid.y * grid.z {
        for x in bits.indices { bits[x] = 0 }
        for place in 0..<rowCount {
          var (y, z) = (corner % grid.y, corner / grid.y)
          for (order, axis) in others.enumerated() {
            let step = (place >> (others.count - 1 - order) & 1) - 1
            if axis == 1 { y += step } else { z += step }
          }
          guard y >= 0, y < size.y, z >= 0, z < size.z else { continue }
          let row = (z * size.y + y) * size.x
          for x in bits.indices { bits[x] |= inside[row + x] ? 1 << UInt8(place) : 0 }
        }
        let first = corner * grid.x
        func note(_ x: Int, _ code: Int) {
          guard code != 0, code != full else { return }
          voxels[first + x] = true
          positions.append(first + x)
          sizes.append(table.sizes[code])
        }
        guard axes.contains(0) else {
          note(0, Int(bits[0]))
          continue
        }
        var before = 0
        for x in 0..<size.x {
          let after = Int(bits[x])
          note(x, before | after << rowCount)
          before = after
        }
        note(size.x, before)
      }
    }
    targets = DistanceTransform.Targets(
      mask: VoxelMask(voxels: voxels, size: grid), voxels: positions)
    self.sizes = sizes
  }
}
