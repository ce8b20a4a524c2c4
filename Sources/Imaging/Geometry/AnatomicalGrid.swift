/// A volume's voxels as an array whose axes run towards superior, anterior and right, whatever the
/// order in the file; on an oblique grid each storage axis stands for its nearest anatomical one.
///
/// Going there and back is a permutation with flips: no value changes.
public struct AnatomicalGrid: Sendable, Equatable {
  /// Voxels along superior, anterior, right: `[D0, D1, D2]`.
  public let size: [Int]
  /// Distances of neighbouring voxels along these axes, mm.
  public let spacing: [Double]

  /// Elements from a voxel to its neighbour along these axes, in storage order.
  public let strides: [Int]
  /// The element of the voxel `[0, 0, 0]`, in storage order.
  public let first: Int

  /// The array of a grid.
  public init(_ geometry: Geometry) {
    let storageStrides = geometry.size.strides
    var (size, spacing, strides, first) = ([Int](), [Double](), [Int](), 0)
    for worldAxis in [2, 1, 0] {
      let (axis, isReversed) = geometry.orientation.storageAxis(alongWorldAxis: worldAxis)
      let count = geometry.size[axis]
      size.append(count)
      spacing.append(geometry.spacing[axis])
      strides.append(isReversed ? -storageStrides[axis] : storageStrides[axis])
      if isReversed { first += (count - 1) * storageStrides[axis] }
    }
    (self.size, self.spacing, self.strides, self.first) = (size, spacing, strides, first)
  }

  /// A grid as it is stored, axes z, y, x, for what knows nothing of anatomy.
  public init(storageOf geometry: Geometry) {
    let (size, spacing) = (geometry.size, geometry.spacing)
    self.size = [size.z, size.y, size.x]
    self.spacing = [spacing.z, spacing.y, spacing.x]
    strides = [size.x * size.y, size.x, 1]
    first = 0
  }

  /// The number of voxels.
  public var count: Int { size[0] * size[1] * size[2] }

  // What follows is open to the optimiser of other modules: a type of voxels that it does not know would
  // cost several calls for each.

  /// The voxels of one volume, in storage order, as the array.
  @inlinable
  public func array<Value>(of voxels: [Value]) -> [Value] {
    precondition(voxels.count == count, "AnatomicalGrid: \(voxels.count) voxels for \(size)")
    return [Value](unsafeUninitializedCapacity: count) { target, filled in
      voxels.withUnsafeBufferPointer { voxels in
        forEach { place, offset in target.initializeElement(at: place, to: voxels[offset]) }
      }
      filled = count
    }
  }

  /// The array as the voxels of one volume, in storage order.
  @inlinable
  public func voxels<Value>(of array: [Value]) -> [Value] {
    precondition(array.count == count, "AnatomicalGrid: \(array.count) values for \(size)")
    return [Value](unsafeUninitializedCapacity: count) { target, filled in
      array.withUnsafeBufferPointer { array in
        forEach { place, offset in target.initializeElement(at: offset, to: array[place]) }
      }
      filled = count
    }
  }

  /// The array as the voxels of one volume, in storage order, several values for each.
  ///
  /// - Parameters:
  ///   - array: `[D0, D1, D2, channels]`.
  ///   - channels: Values of a voxel.
  /// - Returns: `[z, y, x, channels]`.
  @inlinable
  public func voxels<Value>(of array: [Value], channels: Int) -> [Value] {
    precondition(
      array.count == count * channels, "AnatomicalGrid: \(array.count) values for \(size)")
    return [Value](unsafeUninitializedCapacity: array.count) { target, filled in
      array.withUnsafeBufferPointer { array in
        forEach { place, offset in
          for channel in 0..<channels {
            target.initializeElement(
              at: offset * channels + channel, to: array[place * channels + channel])
          }
        }
      }
      filled = array.count
    }
  }

  @inlinable @inline(__always)
  func forEach(_ body: (_ place: Int, _ offset: Int) -> Void) {
    var place = 0
    for d0 in 0..<size[0] {
      for d1 in 0..<size[1] {
        var offset = first + d0 * strides[0] + d1 * strides[1]
        for _ in 0..<size[2] {
          body(place, offset)
          place += 1
          offset += strides[2]
        }
      }
    }
  }
}
