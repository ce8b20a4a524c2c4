/// Where the voxels of a volume lie in the patient.
public struct Geometry: Sendable, Equatable {
  /// The number of voxels along the storage axes.
  public let size: GridSize
  /// The map from voxel indices to world positions in mm, RAS+; always usable.
  public let affine: Affine
  /// Whether the file said how the patient lies; if not, sides must not be labelled.
  public let isOrientationKnown: Bool
  /// The nearest anatomical directions of i, j, k.
  public let orientation: Orientation

  /// Creates a geometry.
  ///
  /// - Parameters:
  ///   - size: Voxels along the storage axes.
  ///   - affine: A usable affine (see ``Affine/isUsable``).
  ///   - isOrientationKnown: False if the directions of the affine are a mere assumption.
  public init(size: GridSize, affine: Affine, isOrientationKnown: Bool = true) {
    precondition(affine.isUsable, "Geometry: the affine \(affine.rows) is not usable")
    self.size = size
    self.affine = affine
    self.isOrientationKnown = isOrientationKnown
    orientation = Orientation(affine)
  }

  /// Creates a geometry without orientation from voxel sizes alone.
  ///
  /// - Parameters:
  ///   - size: Voxels along the storage axes.
  ///   - spacing: Voxel size along x, y, z in mm, each finite and greater than 0.
  public init(size: GridSize, spacing: SIMD3<Double> = SIMD3(1, 1, 1)) {
    self.init(size: size, affine: Affine(spacing: spacing), isOrientationKnown: false)
  }

  /// Voxel sizes that a file or a user may give, mm: what computes with others overflows.
  public static let spacingRange = 1e-6...1e6

  /// Whether a file or a user may give a voxel size.
  public static func accepts(_ spacing: SIMD3<Double>) -> Bool {
    (0..<3).allSatisfy { spacingRange.contains(spacing[$0]) }
  }

  /// The voxel size along the storage axes x, y, z in mm.
  public var spacing: SIMD3<Double> { affine.spacing }

  /// The volume of one voxel in mm^3.
  public var voxelVolume: Double { affine.determinant.magnitude }

  /// The storage axis (0 = x, 1 = y, 2 = z) across which the image was acquired slice by slice.
  ///
  /// It is an axis with a single voxel if there is one; else, where two spacings agree within 1 % and
  /// the third differs from both, the third, whether slices are thicker or thinner than pixels are
  /// wide; else the axis with the largest spacing, and of several within 1 % of it the last, because
  /// files store slices along z.
  public var throughPlaneAxis: Int {
    if let single = (0..<3).last(where: { size[$0] == 1 }) { return single }
    let spacing = spacing
    let largest = spacing.max()
    func agree(_ a: Int, _ b: Int) -> Bool {
      min(spacing[a], spacing[b]) >= max(spacing[a], spacing[b]) * 0.99
    }
    // Pixels are square nearly always: the pair that agrees tells the slices' plane.
    let unlike = (0..<3).first { axis in
      let (a, b) = ((axis + 1) % 3, (axis + 2) % 3)
      return agree(a, b) && !agree(axis, a) && !agree(axis, b)
    }
    return unlike ?? (0..<3).last { spacing[$0] >= largest * 0.99 } ?? 2
  }

  /// The anatomical plane in which the image was acquired, that is across ``throughPlaneAxis``.
  public var acquisitionPlane: AnatomicalPlane {
    AnatomicalPlane(normalTo: orientation.directions[throughPlaneAxis].worldAxis)
  }

  /// Whether slices of all three planes look alike: several of them, voxels of about equal sides (the longest
  /// below 1.3 times the shortest).
  public var isIsotropic: Bool {
    spacing.max() < 1.3 * spacing.min() && (0..<3).allSatisfy { size[$0] > 1 }
  }

  /// The centres of the eight corner voxels in mm, x fastest.
  public var corners: [SIMD3<Double>] { Self.corners(of: affine, size: size) }

  static func corners(of affine: Affine, size: GridSize) -> [SIMD3<Double>] {
    (0..<8).map { corner in
      affine.world(
        SIMD3(
          corner & 1 == 0 ? 0 : Double(size.x - 1), corner & 2 == 0 ? 0 : Double(size.y - 1),
          corner & 4 == 0 ? 0 : Double(size.z - 1)))
    }
  }

  /// The largest distance in mm between corresponding corners of two grids.
  public func largestCornerOffset(from other: Geometry) -> Double {
    zip(corners, other.corners).map { length($0 - $1) }.max() ?? 0
  }

  /// Whether two grids have the same voxels at the same places.
  ///
  /// - Parameters:
  ///   - other: The other grid.
  ///   - tolerance: The largest accepted distance between corresponding corners in mm.
  /// - Returns: True if sizes are equal and all corners agree.
  public func matches(_ other: Geometry, tolerance: Double = 1e-3) -> Bool {
    size == other.size && largestCornerOffset(from: other) <= tolerance
  }

  /// A grid with another number of voxels over the same field of view.
  ///
  /// The outer faces of the outermost voxels stay where they are ("corner alignment"), so the new
  /// first voxel's centre moves by half the difference of the voxel sizes.
  ///
  /// - Parameter size: The new number of voxels along x, y, z.
  /// - Returns: The new grid, with spacing `old spacing * old size / new size`.
  public func resized(to size: GridSize) -> Geometry {
    let scale = SIMD3(
      Double(self.size.x) / Double(size.x), Double(self.size.y) / Double(size.y),
      Double(self.size.z) / Double(size.z))
    // New index n covers old indices scale * n - 0.5 ..< scale * (n + 1) - 0.5.
    let affine = Affine(
      i: affine.i * scale.x, j: affine.j * scale.y, k: affine.k * scale.z,
      origin: affine.world((scale - 1) / 2))
    return Geometry(size: size, affine: affine, isOrientationKnown: isOrientationKnown)
  }
}
