/// A set of voxels of a grid.
public struct VoxelMask: Sendable, Equatable {
  /// The grid.
  public let size: GridSize
  /// Whether each voxel belongs to the set, shape `[z, y, x]`.
  public let voxels: [Bool]

  /// Creates a set.
  ///
  /// - Parameters:
  ///   - voxels: Whether each voxel belongs to it, shape `[z, y, x]`.
  ///   - size: The grid.
  public init(voxels: [Bool], size: GridSize) {
    precondition(
      voxels.count == size.count, "VoxelMask: \(voxels.count) voxels for shape \(size)")
    self.voxels = voxels
    self.size = size
  }

  /// The number of voxels in the set.
  public var count: Int { voxels.count { $0 } }

  /// The storage axes with more than one voxel; the others take no part in neighbourhoods, so that
  /// a single slice is treated as the 2D image that it is.
  private var extendedAxes: [Int] { (0..<3).filter { size[$0] > 1 } }

  // MARK: - Closing

  /// The morphological closing, a dilation then an erosion, by a ball.
  ///
  /// The ball holds the voxels at an index distance up to the radius, borders included: 33 voxels for
  /// radius 2, and the disc of 13 pixels if one axis has a single voxel. The grid continues with
  /// background as far as the ball reaches, in both steps; closing therefore never removes a voxel,
  /// not even at the edge of the grid. It equals `scipy.ndimage.binary_closing` with that ball on the
  /// set padded by the radius.
  ///
  /// - Parameter radius: The radius of the ball in voxels, ≥ 0.
  /// - Returns: The closed set.
  public func closed(radius: Int) -> VoxelMask {
    precondition(radius >= 0, "VoxelMask: closing radius \(radius)")
    // With a margin of twice the radius, neighbours can be reached by plain offsets in memory: what
    // wraps around to the next row lands in a margin that is background.
    let margins = (0..<3).map { size[$0] > 1 ? 2 * radius : 0 }
    let padded = GridSize(
      x: size.x + 2 * margins[0], y: size.y + 2 * margins[1], z: size.z + 2 * margins[2])
    let offsets = ballOffsets(radius: radius, in: padded)
    var original = [UInt8](repeating: 0, count: padded.count)
    forEachRow(in: padded, margins: margins) { source, target in
      for x in 0..<size.x { original[target + x] = voxels[source + x] ? 1 : 0 }
    }
    let dilated = Self.combined(original, over: offsets, startingWith: 0) { $0 | $1 }
    let eroded = Self.combined(dilated, over: offsets, startingWith: 1) { $0 & $1 }
    var result = [Bool](repeating: false, count: size.count)
    forEachRow(in: padded, margins: margins) { source, target in
      for x in 0..<size.x { result[source + x] = eroded[target + x] != 0 }
    }
    return VoxelMask(voxels: result, size: size)
  }

  private func forEachRow(
    in padded: GridSize, margins: [Int], _ body: (_ source: Int, _ target: Int) -> Void
  ) {
    for z in 0..<size.z {
      for y in 0..<size.y {
        let target =
          ((z + margins[2]) * padded.y + y + margins[1]) * padded.x + margins[0]
        body((z * size.y + y) * size.x, target)
      }
    }
  }

  private func ballOffsets(radius: Int, in padded: GridSize) -> [Int] {
    let strides = [1, padded.x, padded.x * padded.y]
    let reach = (0..<3).map { size[$0] > 1 ? radius : 0 }
    var offsets: [Int] = []
    for z in -reach[2]...reach[2] {
      for y in -reach[1]...reach[1] {
        for x in -reach[0]...reach[0] where x * x + y * y + z * z <= radius * radius {
          offsets.append(x + y * strides[1] + z * strides[2])
        }
      }
    }
    return offsets
  }

  /// Combines for each voxel the values at some offsets from it; 0 where an offset leaves the array.
  private static func combined(
    _ values: [UInt8], over offsets: [Int], startingWith start: UInt8,
    _ combine: (UInt8, UInt8) -> UInt8
  ) -> [UInt8] {
    let reach = offsets.max() ?? 0
    // Blocks that stay in the cache while every offset passes over them.
    let block = 1 << 14
    return [UInt8](unsafeUninitializedCapacity: values.count) { output, count in
      output.initialize(repeating: 0)
      values.withUnsafeBufferPointer { values in
        for first in stride(from: reach, to: values.count - reach, by: block) {
          let end = min(first + block, values.count - reach)
          for index in first..<end { output[index] = start }
          for offset in offsets {
            for index in first..<end {
              output[index] = combine(output[index], values[index + offset])
            }
          }
        }
      }
      count = values.count
    }
  }

  // MARK: - Holes

  /// The set with its holes filled.
  ///
  /// A hole is background from which no path over the faces of voxels (6-connectivity; 4 in a single
  /// slice) leads out of the grid. Equals `scipy.ndimage.binary_fill_holes`.
  ///
  /// - Returns: The set and its holes.
  public func holesFilled() -> VoxelMask {
    var isOutside = [Bool](repeating: false, count: size.count)
    guard size.count > 1 else { return self }
    var flood = Flood(mask: self)
    forEachFaceVoxel { flood.spread(from: $0, marking: &isOutside) }
    return VoxelMask(voxels: isOutside.map { !$0 }, size: size)
  }

  /// Visits the voxels from which one step along an extended axis leaves the grid.
  private func forEachFaceVoxel(_ body: (Int) -> Void) {
    let axes = extendedAxes
    for z in 0..<size.z {
      for y in 0..<size.y {
        let row = (z * size.y + y) * size.x
        let isFaceRow =
          (axes.contains(2) && (z == 0 || z == size.z - 1))
          || (axes.contains(1) && (y == 0 || y == size.y - 1))
        if isFaceRow {
          for x in 0..<size.x { body(row + x) }
        } else if axes.contains(0) {
          body(row)
          body(row + size.x - 1)
        }
      }
    }
  }
}

/// A flood of the background, a run of voxels along x at a time.
private struct Flood {
  let mask: VoxelMask
  var pending: [Int] = []

  init(mask: VoxelMask) {
    self.mask = mask
  }

  /// Marks all background that can be reached from a voxel.
  mutating func spread(from start: Int, marking isOutside: inout [Bool]) {
    let size = mask.size
    pending.append(start)
    while let voxel = pending.popLast() {
      guard !mask.voxels[voxel], !isOutside[voxel] else { continue }
      let row = voxel / size.x * size.x
      var first = voxel
      var last = voxel
      while first > row, !mask.voxels[first - 1] { first -= 1 }
      while last + 1 < row + size.x, !mask.voxels[last + 1] { last += 1 }
      for index in first...last { isOutside[index] = true }
      let y = row / size.x % size.y
      let z = row / (size.x * size.y)
      if y > 0 { enqueueRuns(first - size.x...last - size.x, isOutside) }
      if y + 1 < size.y { enqueueRuns(first + size.x...last + size.x, isOutside) }
      let area = size.x * size.y
      if z > 0 { enqueueRuns(first - area...last - area, isOutside) }
      if z + 1 < size.z { enqueueRuns(first + area...last + area, isOutside) }
    }
  }

  /// Remembers the first voxel of each run of background in part of a row.
  private mutating func enqueueRuns(_ range: ClosedRange<Int>, _ isOutside: [Bool]) {
    var isInRun = false
    for index in range {
      let isOpen = !mask.voxels[index] && !isOutside[index]
      if isOpen && !isInRun { pending.append(index) }
      isInRun = isOpen
    }
  }
}
