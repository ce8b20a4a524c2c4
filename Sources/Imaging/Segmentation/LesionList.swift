/// The lesions of a mask, largest first: what hangs together over faces, edges and corners.
public struct LesionList: Sendable, Equatable, Codable {
  /// One lesion.
  public struct Lesion: Sendable, Equatable, Codable {
    /// ml.
    public let volume: Double
    /// Voxels.
    public let voxels: Int
    /// The mean position of its voxels in mm, RAS+.
    public let centre: [Double]
    /// The mean probability in its voxels; nil if none is known.
    public let meanProbability: Double?
  }

  /// The lesions, the largest first.
  public let lesions: [Lesion]

  /// ml of all lesions.
  public var volume: Double { lesions.reduce(0) { $0 + $1.volume } }

  /// Finds the lesions of a mask.
  ///
  /// - Parameters:
  ///   - mask: The voxels of all lesions.
  ///   - geometry: Their grid.
  ///   - probability: The probability of each voxel, shape `[z, y, x]`; nil if not known.
  public init(of mask: VoxelMask, geometry: Geometry, probability: [Float]? = nil) {
    precondition(
      mask.size == geometry.size && (probability?.count ?? mask.size.count) == mask.size.count,
      "LesionList: mask \(mask.size), grid \(geometry.size)")
    let components = ConnectedComponents(of: mask)
    var sums = [SIMD3<Double>](repeating: .zero, count: components.count)
    var probabilities = [Double](repeating: 0, count: components.count)
    let size = mask.size
    for (index, label) in components.labels.enumerated() where label > 0 {
      let row = index / size.x
      sums[Int(label) - 1] += SIMD3(
        Double(index % size.x), Double(row % size.y), Double(row / size.y))
      if let probability { probabilities[Int(label) - 1] += Double(probability[index]) }
    }
    lesions = components.voxelCounts.enumerated().map { index, count in
      let centre = geometry.affine.world(sums[index] / Double(count))
      return Lesion(
        volume: Double(count) * geometry.voxelVolume / 1000, voxels: count,
        centre: [centre.x, centre.y, centre.z],
        meanProbability: probability.map { _ in probabilities[index] / Double(count) })
    }.sorted { $0.voxels > $1.voxels }
  }
}
