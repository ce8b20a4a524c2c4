/// The number of voxels along the storage axes of a volume.
public struct GridSize: Sendable, Equatable, Hashable, CustomStringConvertible {
  /// Voxels along x, the axis that runs fastest (index i).
  public let x: Int
  /// Voxels along y (index j).
  public let y: Int
  /// Voxels along z (index k).
  public let z: Int

  /// Creates a size; each count must be at least 1 and the product must fit an `Int`.
  public init(x: Int, y: Int, z: Int) {
    precondition(x > 0 && y > 0 && z > 0, "GridSize: \([z, y, x]) has an axis without voxels")
    self.x = x
    self.y = y
    self.z = z
  }

  /// The number of voxels.
  public var count: Int { x * y * z }

  /// The count along storage axis 0 (x), 1 (y) or 2 (z).
  public subscript(axis: Int) -> Int { [x, y, z][axis] }

  /// The distance in memory between neighbours along each storage axis.
  var strides: [Int] { [1, x, x * y] }

  /// The shape in the order of the work array, `[z, y, x]`.
  public var shape: [Int] { [z, y, x] }

  /// The shape in the order of the work array.
  public var description: String { "\(shape)" }
}
