/// The peak signal-to-noise ratio over the foreground of a clean image, as all tables state it.
///
/// - The scale s is the 99.5th percentile of the clean image's voxels > 0.
/// - The foreground is clean > 0.05 s, closed by a ball of radius 2, its holes filled, in 3D.
/// - Each slice has PSNR = 10 log₁₀(s² / MSE), the error being that of its foreground voxels.
/// - An image's figure is the mean over the slices of which at least 10 % is foreground; that of a
///   test set is the mean over subjects.
///
/// One value serves all images that are compared with the same clean one.
public struct ForegroundPSNR: Sendable {
  /// The figure of one slice.
  public struct Slice: Sendable, Equatable {
    /// The position along the axis.
    public let index: Int
    /// The part of the slice that is foreground, in `0.1 ... 1`.
    public let coverage: Double
    /// The ratio over the foreground in dB; +∞ if the images are equal there.
    public let psnr: Double
  }

  /// The figures of an image.
  public struct Score: Sendable, Equatable {
    /// The slices that count, by position.
    public let slices: [Slice]

    /// The mean over the slices in dB, or nil if none counts.
    public var mean: Double? {
      slices.isEmpty ? nil : slices.reduce(0) { $0 + $1.psnr } / Double(slices.count)
    }
  }

  /// The percentage of the positive voxels below the scale.
  public static let scalePercentile = 99.5
  /// The part of the scale above which a voxel is foreground at first.
  public static let threshold = 0.05
  /// The radius of the closing, in voxels.
  public static let closingRadius = 2
  /// The smallest part of a slice that must be foreground for the slice to count.
  public static let leastCoverage = 0.1

  /// The clean image, one volume; 0 where voxels do not count.
  public let clean: Volume
  /// The scale s, in units of the image.
  public let scale: Double
  /// The foreground.
  public let foreground: VoxelMask

  /// Finds scale and foreground of a clean image.
  ///
  /// - Parameters:
  ///   - clean: The clean image, one volume (`volumeCount` 1).
  ///   - counted: Whether each voxel counts, in the order of the work array; all of them if nil. One that
  ///     does not is no part of the foreground, but of the area of its slice.
  ///   - name: What errors call it.
  /// - Throws: ``ImagingError/noForeground(file:)`` if no voxel is greater than 0.
  public init(
    clean: Volume, counting counted: [Bool]? = nil, name: String = "clean image"
  ) throws(ImagingError) {
    precondition(clean.volumeCount == 1, "ForegroundPSNR: \(clean.volumeCount) volumes, not one")
    precondition(
      (counted?.count ?? clean.voxels.count) == clean.voxels.count,
      "ForegroundPSNR: a mask of \(counted?.count ?? 0) for \(clean.voxels.count) voxels")
    var known = clean
    if let counted { known.voxels = zip(clean.voxels, counted).map { $1 ? $0 : 0 } }
    let statistics = OrderStatistics(of: known.voxels, selection: .positive)
    guard let scale = statistics.percentile(Self.scalePercentile) else {
      throw .noForeground(file: name)
    }
    self.clean = known
    self.scale = scale
    let threshold = Self.threshold * scale
    let whole = VoxelMask(voxels: known.voxels.map { Double($0) > threshold }, size: clean.size)
      .closed(radius: Self.closingRadius).holesFilled()
    guard let counted else {
      foreground = whole
      return
    }
    // Closing and filling reach over voxels that do not count.
    foreground = VoxelMask(voxels: zip(whole.voxels, counted).map { $0 && $1 }, size: clean.size)
  }

  /// Compares an image with the clean one, slice by slice in the anatomical plane.
  ///
  /// - Parameters:
  ///   - voxels: The image, on the grid of the clean one, shape `[z, y, x]`.
  ///   - plane: The plane whose slices count.
  /// - Returns: The figures.
  public func score(of voxels: [Float], in plane: AnatomicalPlane) -> Score {
    let axis = clean.geometry.orientation.storageAxis(alongWorldAxis: plane.normalAxis).axis
    return score(of: voxels, alongAxis: axis)
  }

  /// Compares an image with the clean one, slice by slice along a storage axis.
  ///
  /// - Parameters:
  ///   - voxels: The image, on the grid of the clean one, shape `[z, y, x]`.
  ///   - axis: The storage axis across the slices: 0 = x, 1 = y, 2 = z.
  /// - Returns: The figures.
  public func score(of voxels: [Float], alongAxis axis: Int) -> Score {
    let size = clean.size
    precondition(
      voxels.count == size.count, "ForegroundPSNR: \(voxels.count) voxels for shape \(size)")
    precondition((0..<3).contains(axis), "ForegroundPSNR: axis \(axis) of shape \(size)")
    var errors = [Double](repeating: 0, count: size[axis])
    var counts = [Int](repeating: 0, count: size[axis])
    var index = 0
    for z in 0..<size.z {
      for y in 0..<size.y {
        for x in 0..<size.x {
          if foreground.voxels[index] {
            let difference = Double(voxels[index]) - Double(clean.voxels[index])
            let slice = axis == 0 ? x : axis == 1 ? y : z
            errors[slice] += difference * difference
            counts[slice] += 1
          }
          index += 1
        }
      }
    }
    let area = Double(size.count / size[axis])
    return Score(
      slices: counts.indices.compactMap { slice in
        let coverage = Double(counts[slice]) / area
        guard coverage >= Self.leastCoverage else { return nil }
        let psnr = Fidelity.decibels(
          meanSquaredError: errors[slice] / Double(counts[slice]), range: scale)
        return Slice(index: slice, coverage: coverage, psnr: psnr)
      })
  }
}
