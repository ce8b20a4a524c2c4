/// Which voxels hang together.
public enum Connectivity: Int, Sendable, CaseIterable {
  /// Over faces: 6 neighbours, 4 in a slice.
  case faces = 6
  /// Over faces and edges: 18 neighbours, 8 in a slice.
  case edges = 18
  /// Over faces, edges and corners: 26 neighbours, 8 in a slice.
  case corners = 26
}

/// The parts of a set of voxels that do not touch each other.
///
/// Components are numbered from 1 in the order of their first voxels in memory.
///
/// Source: two passes with a union-find forest; Rosenfeld and Pfaltz, *Sequential Operations in Digital
/// Picture Processing*, JACM 13(4), 1966; here with runs of voxels along x instead of voxels.
public struct ConnectedComponents: Sendable, Equatable {
  /// The component of each voxel, 0 outside the set; shape `[z, y, x]`.
  public let labels: [Int32]
  /// The grid.
  public let size: GridSize
  /// The number of voxels of each component, the first component's at 0.
  public let voxelCounts: [Int]

  /// The number of components.
  public var count: Int { voxelCounts.count }

  /// Finds the components of a set.
  ///
  /// - Parameters:
  ///   - mask: The set.
  ///   - connectivity: Which voxels hang together.
  public init(of mask: VoxelMask, connectivity: Connectivity = .corners) {
    let size = mask.size
    self.size = size
    var runs: [Range<Int>] = []
    // The first run of each row, and the end of the last row.
    var starts = [Int](repeating: 0, count: size.y * size.z + 1)
    mask.forEachRun { row, run in
      starts[row + 1] += 1
      runs.append(run)
    }
    for row in 0..<size.y * size.z { starts[row + 1] += starts[row] }
    var forest = DisjointSets(count: runs.count)
    for row in 0..<size.y * size.z where starts[row] < starts[row + 1] {
      let (z, y) = row.quotientAndRemainder(dividingBy: size.y)
      for neighbour in Self.earlierRows(connectivity) {
        guard y + neighbour.y >= 0, y + neighbour.y < size.y, z + neighbour.z >= 0 else { continue }
        let other = row + neighbour.z * size.y + neighbour.y
        forest.join(
          starts[row]..<starts[row + 1], starts[other]..<starts[other + 1], of: runs,
          reach: neighbour.reach)
      }
    }
    var counts: [Int] = []
    var numbers = [Int32](repeating: 0, count: runs.count)
    let labels = [Int32](unsafeUninitializedCapacity: size.count) { buffer, count in
      buffer.initialize(repeating: 0)
      for row in 0..<size.y * size.z {
        for index in starts[row]..<starts[row + 1] {
          // A set is named by its first run, which therefore has a number already.
          let root = forest.root(of: index)
          if root == index {
            counts.append(0)
            numbers[index] = Int32(counts.count)
          }
          counts[Int(numbers[root]) - 1] += runs[index].count
          let first = row * size.x
          buffer[first + runs[index].lowerBound..<first + runs[index].upperBound]
            .update(repeating: numbers[root])
        }
      }
      count = size.count
    }
    self.labels = labels
    voxelCounts = counts
  }

  /// The voxels of one component, from 1.
  public func mask(of component: Int) -> VoxelMask {
    let wanted = Int32(component)
    return VoxelMask(voxels: labels.map { $0 == wanted }, size: size)
  }

  /// The number of the largest component, the first of equal ones; nil if there is none.
  public var largest: Int? {
    guard let most = voxelCounts.max() else { return nil }
    return voxelCounts.firstIndex(of: most).map { $0 + 1 }
  }

  /// The rows before a row in memory that hold neighbours of its voxels, and how far these lie away along x.
  private static func earlierRows(
    _ connectivity: Connectivity
  ) -> [(y: Int, z: Int, reach: Int)] {
    switch connectivity {
    case .faces: [(-1, 0, 0), (0, -1, 0)]
    case .edges: [(-1, 0, 1), (-1, -1, 0), (0, -1, 1), (1, -1, 0)]
    case .corners: [(-1, 0, 1), (-1, -1, 1), (0, -1, 1), (1, -1, 1)]
    }
  }
}

/// Sets of runs that turned out to belong together, each named by its first run.
private struct DisjointSets {
  private var parents: [Int]

  /// Each run in a set of its own.
  init(count: Int) { parents = Array(0..<count) }

  /// The run that names a run's set.
  mutating func root(of run: Int) -> Int {
    var run = run
    while parents[run] != run {
      parents[run] = parents[parents[run]]
      run = parents[run]
    }
    return run
  }

  /// Joins those runs of two rows that lie within `reach` voxels of each other along x.
  mutating func join(_ row: Range<Int>, _ other: Range<Int>, of runs: [Range<Int>], reach: Int) {
    var (a, b) = (row.lowerBound, other.lowerBound)
    while a < row.upperBound, b < other.upperBound {
      let (one, two) = (runs[a], runs[b])
      if one.lowerBound < two.upperBound + reach, two.lowerBound < one.upperBound + reach {
        let (first, second) = (root(of: a), root(of: b))
        parents[max(first, second)] = min(first, second)
      }
      // What ends first meets nothing further on, save by reach what begins right behind.
      if one.upperBound < two.upperBound { a += 1 } else { b += 1 }
    }
  }
}
