/// The distances between the surfaces of two sets of voxels, in mm.
///
/// A surface is the set minus its erosion by the face neighbours; outside the grid lies background. An
/// axis with one voxel takes no part, so that a slice has the surface of a 2D shape (4 neighbours).
/// Distances are exact and heed the voxel size. Both sets must hold a voxel; what empty sets score is
/// decided by ``EmptyMaskRule``.
public struct SurfaceDistances: Sendable, Equatable {
  /// The distance of each surface voxel of the prediction to the reference's surface, ascending.
  public let fromPrediction: [Double]
  /// The distance of each surface voxel of the reference to the prediction's surface, ascending.
  public let fromReference: [Double]

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
      preconditionFailure("SurfaceDistances: a set is empty")
    }
    self.init(masks, spacing: spacing, threads: threads)
  }

  /// All surface voxels lie in the box around both sets, and so do the nearest ones.
  init(_ masks: BoxedMasks, spacing: SIMD3<Double>, threads: Int) {
    func surface(of mask: VoxelMask) -> DistanceTransform.Targets {
      let surface = mask.surface(alongAxes: masks.axes)
      return DistanceTransform.Targets(
        mask: surface, voxels: surface.voxels.indices.filter { surface.voxels[$0] })
    }
    let (predicted, expected) = Parallel.both(
      threads: threads, { surface(of: masks.prediction) }, { surface(of: masks.reference) })
    precondition(
      !predicted.voxels.isEmpty && !expected.voxels.isEmpty, "SurfaceDistances: a set is empty")
    func distances(
      from surface: DistanceTransform.Targets, to other: DistanceTransform.Targets
    ) -> [Double] {
      DistanceTransform.distances(
        at: surface.voxels, to: other, spacing: spacing, threads: max(1, threads / 2)
      ).sorted()
    }
    (fromPrediction, fromReference) = Parallel.both(
      threads: threads, { distances(from: predicted, to: expected) },
      { distances(from: expected, to: predicted) })
  }

  /// The Hausdorff distance: the largest distance of either direction.
  public var hausdorff: Double { max(fromPrediction.last ?? 0, fromReference.last ?? 0) }

  /// The larger of the two directed percentiles, linear between order statistics, as MONAI has it.
  ///
  /// - Parameter percent: 95 for HD95.
  /// - Returns: A distance in mm.
  public func hausdorff(percentile percent: Double) -> Double {
    max(
      quantile(percent / 100, ofSorted: fromPrediction),
      quantile(percent / 100, ofSorted: fromReference))
  }

  /// The percentile of the distances of both directions together, as MedPy has it.
  ///
  /// - Parameter percent: 95 for HD95.
  /// - Returns: A distance in mm.
  public func pooledHausdorff(percentile percent: Double) -> Double {
    quantile(percent / 100, ofSorted: (fromPrediction + fromReference).sorted())
  }

  /// ASSD, the mean of the distances of both directions together.
  public var averageSymmetric: Double {
    (fromPrediction.reduce(0, +) + fromReference.reduce(0, +))
      / Double(fromPrediction.count + fromReference.count)
  }

  /// ASD, the mean distance from the prediction's surface to the reference's.
  public var averageFromPrediction: Double {
    fromPrediction.reduce(0, +) / Double(fromPrediction.count)
  }

  /// The part of all surface voxels that lie within a tolerance of the other surface.
  ///
  /// - Parameter tolerance: In mm.
  /// - Returns: A part, `0...1`.
  public func surfaceDice(tolerance: Double) -> Double {
    let near = fromPrediction.count { $0 <= tolerance } + fromReference.count { $0 <= tolerance }
    return Double(near) / Double(fromPrediction.count + fromReference.count)
  }
}

extension VoxelMask {
  /// The voxels of the set with a face neighbour outside it; outside the grid lies background.
  ///
  /// - Parameter axes: The storage axes along which there are neighbours.
  /// - Returns: A part of the set.
  func surface(alongAxes axes: [Int]) -> VoxelMask {
    let (alongX, alongY, alongZ) = (axes.contains(0), axes.contains(1), axes.contains(2))
    let area = size.x * size.y
    let result = [Bool](unsafeUninitializedCapacity: size.count) { buffer, count in
      voxels.withUnsafeBufferPointer { voxels in
        for z in 0..<size.z {
          for y in 0..<size.y {
            let row = z * area + y * size.x
            // A row at the edge of the grid is all surface.
            let isEdge =
              (alongY && (y == 0 || y == size.y - 1)) || (alongZ && (z == 0 || z == size.z - 1))
            for x in 0..<size.x {
              let index = row + x
              guard voxels[index] else {
                buffer[index] = false
                continue
              }
              var isInside = !isEdge
              if isInside && alongX {
                isInside =
                  x > 0 && x < size.x - 1 && voxels[index - 1] && voxels[index + 1]
              }
              if isInside && alongY {
                isInside = voxels[index - size.x] && voxels[index + size.x]
              }
              if isInside && alongZ { isInside = voxels[index - area] && voxels[index + area] }
              buffer[index] = !isInside
            }
          }
        }
      }
      count = size.count
    }
    return VoxelMask(voxels: result, size: size)
  }
}
