/// A box of voxels of a grid: half-open ranges along x, y and z.
struct VoxelBox: Equatable {
  var x: Range<Int>
  var y: Range<Int>
  var z: Range<Int>

  /// The number of voxels along each axis; the box must not be empty.
  var size: GridSize { GridSize(x: x.count, y: y.count, z: z.count) }

  /// The smallest box around both.
  func union(_ other: VoxelBox) -> VoxelBox {
    func span(_ a: Range<Int>, _ b: Range<Int>) -> Range<Int> {
      min(a.lowerBound, b.lowerBound)..<max(a.upperBound, b.upperBound)
    }
    return VoxelBox(x: span(x, other.x), y: span(y, other.y), z: span(z, other.z))
  }

  /// The box grown by `margin` voxels on each side, as far as the grid reaches.
  func grown(by margin: Int, within grid: GridSize) -> VoxelBox {
    func span(_ range: Range<Int>, _ length: Int) -> Range<Int> {
      max(0, range.lowerBound - margin)..<min(length, range.upperBound + margin)
    }
    return VoxelBox(x: span(x, grid.x), y: span(y, grid.y), z: span(z, grid.z))
  }
}

extension VoxelMask {
  /// The smallest box that holds the set; nil for an empty set.
  var boundingBox: VoxelBox? {
    var (lowX, highX, lowY, highY, lowZ, highZ) = (size.x, -1, size.y, -1, size.z, -1)
    forEachRun { row, run in
      let (z, y) = row.quotientAndRemainder(dividingBy: size.y)
      lowX = min(lowX, run.lowerBound)
      highX = max(highX, run.upperBound - 1)
      lowY = min(lowY, y)
      highY = max(highY, y)
      lowZ = min(lowZ, z)
      highZ = z
    }
    guard highX >= 0 else { return nil }
    return VoxelBox(x: lowX..<highX + 1, y: lowY..<highY + 1, z: lowZ..<highZ + 1)
  }

  /// The part of the set inside a box.
  func cropped(to box: VoxelBox) -> VoxelMask {
    var result: [Bool] = []
    result.reserveCapacity(box.size.count)
    for z in box.z {
      for y in box.y {
        let row = (z * size.y + y) * size.x
        result += voxels[row + box.x.lowerBound..<row + box.x.upperBound]
      }
    }
    return VoxelMask(voxels: result, size: box.size)
  }
}
