/// A 3D image, or a series of them on one grid, as float32 intensities with its geometry.
///
/// The work array has the order (t, z, y, x) with x fastest, the order of the voxels in a NIfTI
/// file; nothing is reoriented. Anatomy is reached through ``slices(in:)`` and ``SliceLayout``.
public struct Volume: Sendable, Equatable {
  /// The grid of each volume of the series.
  public let geometry: Geometry
  /// The number of volumes, t; 1 for a 3D image.
  public let volumeCount: Int
  /// The intensities, shape `[t, z, y, x]`, in the units of the file after its scaling.
  public var voxels: [Float] {
    didSet { checkCount() }
  }

  /// Creates a volume from intensities.
  ///
  /// - Parameters:
  ///   - voxels: Intensities, shape `[volumeCount, z, y, x]`.
  ///   - geometry: The grid.
  ///   - volumeCount: The number of volumes, at least 1.
  public init(voxels: [Float], geometry: Geometry, volumeCount: Int = 1) {
    self.voxels = voxels
    self.geometry = geometry
    self.volumeCount = volumeCount
    checkCount()
  }

  private func checkCount() {
    precondition(
      volumeCount > 0 && voxels.count == volumeCount * geometry.size.count,
      "Volume: \(voxels.count) voxels for shape \(shape)")
  }

  /// The shape of the work array, `[t, z, y, x]`.
  public var shape: [Int] { [volumeCount] + geometry.size.shape }

  /// The number of voxels of the grid along x, y, z.
  public var size: GridSize { geometry.size }

  /// The voxel size along the storage axes x, y, z in mm.
  public var spacing: SIMD3<Double> { geometry.spacing }

  /// The lowest and the highest intensity.
  public var range: [Float] { Self.range(of: voxels) }

  /// The lowest and the highest of some intensities; 0 if there are none.
  static func range(of voxels: [Float]) -> [Float] { [voxels.min() ?? 0, voxels.max() ?? 0] }

  /// The positions of one volume in ``voxels``.
  ///
  /// - Parameter index: The volume, in `0 ..< volumeCount`.
  /// - Returns: The half-open range of its voxels.
  public func range(ofVolume index: Int) -> Range<Int> {
    precondition(
      (0..<volumeCount).contains(index), "Volume: volume \(index) of \(volumeCount)")
    return index * size.count..<(index + 1) * size.count
  }

  /// One volume of the series as a 3D image.
  ///
  /// - Parameter index: The volume, in `0 ..< volumeCount`.
  /// - Returns: A volume with `volumeCount` 1 on the same grid.
  public func volume(at index: Int) -> Volume {
    let range = range(ofVolume: index)
    guard volumeCount > 1 else { return self }
    return Volume(voxels: Array(voxels[range]), geometry: geometry)
  }

  /// The value of a voxel.
  ///
  /// - Parameters:
  ///   - x: Index along x.
  ///   - y: Index along y.
  ///   - z: Index along z.
  ///   - t: The volume.
  public subscript(x: Int, y: Int, z: Int, t t: Int) -> Float {
    get { voxels[offset(x, y, z, t)] }
    set { voxels[offset(x, y, z, t)] = newValue }
  }

  private func offset(_ x: Int, _ y: Int, _ z: Int, _ t: Int) -> Int {
    precondition(
      (0..<size.x).contains(x) && (0..<size.y).contains(y) && (0..<size.z).contains(z)
        && (0..<volumeCount).contains(t), "Volume: index \([t, z, y, x]) in shape \(shape)")
    return ((t * size.z + z) * size.y + y) * size.x + x
  }

  /// Checks that another volume lies on the same grid.
  ///
  /// - Parameters:
  ///   - reference: The volume that this one must match, shape and place.
  ///   - file: The name of this volume in the error.
  ///   - referenceFile: The name of the reference in the error.
  ///   - tolerance: The largest accepted distance between corresponding corners in mm.
  /// - Throws: ``ImagingError/geometryDiffers(file:shape:reference:referenceShape:offset:)``.
  public func requireGrid(
    of reference: Volume, file: String, referenceFile: String, tolerance: Double = 1e-3
  ) throws(ImagingError) {
    guard shape == reference.shape, geometry.matches(reference.geometry, tolerance: tolerance)
    else {
      throw .geometryDiffers(
        file: file, shape: shape, reference: referenceFile, referenceShape: reference.shape,
        offset: geometry.largestCornerOffset(from: reference.geometry))
    }
  }
}
