import CNIfTI

/// An affine map from voxel indices `(i, j, k)` to world positions in mm, axes RAS+.
///
/// World x grows towards the patient's right, y towards anterior, z towards superior; index i runs
/// fastest in a file.
public struct Affine: Sendable, Equatable {
  /// The world step in mm of one voxel along index i.
  public var i: SIMD3<Double>
  /// The world step in mm of one voxel along index j.
  public var j: SIMD3<Double>
  /// The world step in mm of one voxel along index k.
  public var k: SIMD3<Double>
  /// The world position in mm of the centre of voxel `(0, 0, 0)`.
  public var origin: SIMD3<Double>

  /// Creates an affine from the world steps of the three indices and the first voxel's position.
  public init(
    i: SIMD3<Double>, j: SIMD3<Double>, k: SIMD3<Double>, origin: SIMD3<Double> = .zero
  ) {
    self.i = i
    self.j = j
    self.k = k
    self.origin = origin
  }

  /// Creates the affine that only scales: voxel `(0, 0, 0)` lies at the world's origin.
  ///
  /// - Parameter spacing: Voxel size along i, j, k in mm.
  public init(spacing: SIMD3<Double>) {
    self.init(
      i: SIMD3(spacing.x, 0, 0), j: SIMD3(0, spacing.y, 0), k: SIMD3(0, 0, spacing.z))
  }

  /// The 4x4 matrix by rows; the last row is `0 0 0 1`.
  public var rows: [[Double]] {
    (0..<3).map { [i[$0], j[$0], k[$0], origin[$0]] } + [[0, 0, 0, 1]]
  }

  /// The length in mm of one voxel step along i, j, k.
  public var spacing: SIMD3<Double> { SIMD3(length(i), length(j), length(k)) }

  /// The signed volume of one voxel in mm^3; negative if the indices form a left-handed frame.
  public var determinant: Double { dot(i, cross(j, k)) }

  /// Whether every number is finite and the three steps span space.
  ///
  /// The bound is relative to the voxel's own size: steps closer to a common plane than 1 part in a
  /// million make an affine whose inverse is noise.
  public var isUsable: Bool {
    let numbers = [i, j, k, origin]
    guard numbers.allSatisfy({ $0.x.isFinite && $0.y.isFinite && $0.z.isFinite }) else {
      return false
    }
    let size = spacing
    let product = size.x * size.y * size.z
    return product > 0 && product.isFinite && determinant.magnitude > 1e-6 * product
  }

  /// The world position in mm of a voxel index, which may lie between voxels.
  public func world(_ index: SIMD3<Double>) -> SIMD3<Double> {
    origin + index.x * i + index.y * j + index.z * k
  }

  /// The voxel index, in general between voxels, of a world position in mm.
  ///
  /// The affine must be usable.
  public func index(_ world: SIMD3<Double>) -> SIMD3<Double> {
    let offset = world - origin
    let scale = 1 / determinant
    return SIMD3(
      dot(offset, cross(j, k)) * scale, dot(offset, cross(k, i)) * scale,
      dot(offset, cross(i, j)) * scale)
  }

  /// The same directions and origin with steps of other lengths.
  ///
  /// - Parameter spacing: Voxel size along i, j, k in mm.
  /// - Returns: The affine with these voxel sizes.
  public func withSpacing(_ spacing: SIMD3<Double>) -> Affine {
    let old = self.spacing
    return Affine(
      i: i * (spacing.x / old.x), j: j * (spacing.y / old.y), k: k * (spacing.z / old.z),
      origin: origin)
  }
}

/// The scalar product.
func dot(_ a: SIMD3<Double>, _ b: SIMD3<Double>) -> Double { (a * b).sum() }

/// The vector product.
func cross(_ a: SIMD3<Double>, _ b: SIMD3<Double>) -> SIMD3<Double> {
  SIMD3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)
}

/// The Euclidean length.
func length(_ a: SIMD3<Double>) -> Double { dot(a, a).squareRoot() }

// MARK: - libnifti's matrices

extension Affine {
  /// The matrix as libnifti takes it.
  var dmat44: nifti_dmat44 {
    nifti_dmat44(
      m: (
        (i.x, j.x, k.x, origin.x), (i.y, j.y, k.y, origin.y), (i.z, j.z, k.z, origin.z),
        (0, 0, 0, 1)
      ))
  }

  /// The affine of a matrix that libnifti gave.
  init(_ matrix: nifti_dmat44) {
    let (x, y, z, _) = matrix.m
    self.init(
      i: SIMD3(x.0, y.0, z.0), j: SIMD3(x.1, y.1, z.1), k: SIMD3(x.2, y.2, z.2),
      origin: SIMD3(x.3, y.3, z.3))
  }
}
