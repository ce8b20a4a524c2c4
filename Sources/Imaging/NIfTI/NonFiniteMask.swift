/// Which voxels of an image were NaN or infinite.
public struct NonFiniteMask: Sendable, Equatable {
  /// The number of voxels that the mask is about.
  public let voxelCount: Int
  /// The number of marked voxels.
  public private(set) var count = 0
  /// One bit a voxel.
  private var words: [UInt64]

  init(voxelCount: Int) {
    self.voxelCount = voxelCount
    words = [UInt64](repeating: 0, count: (voxelCount + 63) / 64)
  }

  /// Whether a voxel is marked, by its position in the work array.
  public subscript(index: Int) -> Bool {
    precondition((0..<voxelCount).contains(index), "NonFiniteMask: \(index) of \(voxelCount)")
    return words[index >> 6] >> (index & 63) & 1 == 1
  }

  mutating func insert(_ index: Int) {
    precondition((0..<voxelCount).contains(index), "NonFiniteMask: \(index) of \(voxelCount)")
    let bit = UInt64(1) << (index & 63)
    if words[index >> 6] & bit == 0 { count += 1 }
    words[index >> 6] |= bit
  }

  /// Whether each voxel is finite, in the order of the work array: those that metrics should count.
  public var finite: [Bool] { (0..<voxelCount).map { !self[$0] } }

  /// Sets the marked voxels of a volume to NaN, so that figures about it do not take them for 0.
  ///
  /// - Parameter volume: The volume, or series, of ``voxelCount`` voxels.
  /// - Returns: The volume with NaN.
  public func applied(to volume: Volume) -> Volume {
    precondition(
      volume.voxels.count == voxelCount, "NonFiniteMask: \(voxelCount) for \(volume.shape)")
    var result = volume
    result.voxels.withUnsafeMutableBufferPointer { restore($0, from: 0) }
    return result
  }

  /// Sets the marked voxels of a part of the work array to NaN.
  ///
  /// - Parameters:
  ///   - voxels: A part of the work array.
  ///   - start: The position of its first voxel.
  func restore(_ voxels: UnsafeMutableBufferPointer<Float>, from start: Int) {
    for offset in voxels.indices where self[start + offset] { voxels[offset] = .nan }
  }
}

/// Running extremes of the finite voxels, and the others' positions.
struct VoxelStatistics {
  private(set) var minimum = Float.infinity
  private(set) var maximum = -Float.infinity
  private(set) var mask: NonFiniteMask?
  private let voxelCount: Int

  init(voxelCount: Int) {
    self.voxelCount = voxelCount
  }

  var nonFiniteCount: Int { mask?.count ?? 0 }

  /// Takes in a part of the work array and sets what is not finite to 0.
  mutating func take(_ voxels: UnsafeMutableBufferPointer<Float>, from start: Int) {
    var low = SIMD16<Float>(repeating: .infinity)
    var high = SIMD16<Float>(repeating: -.infinity)
    // x * 0 is NaN exactly if x is not finite.
    var finite = SIMD16<Float>(repeating: 0)
    let raw = UnsafeRawBufferPointer(voxels)
    let whole = voxels.count & ~15
    for index in stride(from: 0, to: whole, by: 16) {
      let part = raw.loadUnaligned(fromByteOffset: index * 4, as: SIMD16<Float>.self)
      low.replace(with: part, where: part .< low)
      high.replace(with: part, where: part .> high)
      finite += part * 0
    }
    var isFinite = finite.sum() == 0
    for index in whole..<voxels.count { isFinite = isFinite && voxels[index].isFinite }
    guard isFinite else { return takeOneByOne(voxels, from: start) }
    minimum = min(minimum, low.min())
    maximum = max(maximum, high.max())
    for index in whole..<voxels.count {
      minimum = min(minimum, voxels[index])
      maximum = max(maximum, voxels[index])
    }
  }

  private mutating func takeOneByOne(
    _ voxels: UnsafeMutableBufferPointer<Float>, from start: Int
  ) {
    var mask = self.mask ?? NonFiniteMask(voxelCount: voxelCount)
    self.mask = nil
    for index in voxels.indices {
      let value = voxels[index]
      if value.isFinite {
        minimum = min(minimum, value)
        maximum = max(maximum, value)
      } else {
        mask.insert(start + index)
        voxels[index] = 0
      }
    }
    self.mask = mask
  }
}
