import CNIfTI

/// The quaternion form ("qform") of a rigid map with voxel sizes, as NIfTI stores it.
///
/// Source: NIfTI-1 standard, method 2: a unit quaternion `(a, b, c, d)` with `a` left out, the
/// position of the first voxel, voxel sizes and `qfac`, which is -1 for a left-handed frame.
public struct QuaternionForm: Sendable, Equatable {
  /// The vector part `(b, c, d)` of the unit quaternion.
  public var vector: SIMD3<Double>
  /// The world position in mm of the centre of voxel `(0, 0, 0)`.
  public var offset: SIMD3<Double>
  /// The voxel size along i, j, k in mm.
  public var spacing: SIMD3<Double>
  /// The handedness, 1 or -1; -1 turns the k axis around.
  public var qfac: Double

  /// Creates a form from its numbers.
  public init(
    vector: SIMD3<Double>, offset: SIMD3<Double>, spacing: SIMD3<Double>, qfac: Double
  ) {
    self.vector = vector
    self.offset = offset
    self.spacing = spacing
    self.qfac = qfac
  }

  /// Creates the closest form to an affine: a shear, which it cannot express, is lost.
  ///
  /// - Parameter affine: A usable affine.
  public init(closestTo affine: Affine) {
    precondition(affine.isUsable, "QuaternionForm: the affine \(affine.rows) is not usable")
    var (b, c, d, x, y, z) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    var (dx, dy, dz, qfac) = (0.0, 0.0, 0.0, 0.0)
    nifti_dmat44_to_quatern(affine.dmat44, &b, &c, &d, &x, &y, &z, &dx, &dy, &dz, &qfac)
    self.init(
      vector: SIMD3(b, c, d), offset: SIMD3(x, y, z), spacing: SIMD3(dx, dy, dz), qfac: qfac)
  }

  /// The affine that the form stands for.
  public var affine: Affine {
    Affine(
      nifti_quatern_to_dmat44(
        vector.x, vector.y, vector.z, offset.x, offset.y, offset.z, spacing.x, spacing.y,
        spacing.z, qfac))
  }
}
