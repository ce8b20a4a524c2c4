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
/// Picture Processing*, JACM 13(4), 1966.
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
    let earlier = Self.earlierNeighbours(connectivity)
    var labels = [Int32](repeating: 0, count: size.count)
    var forest = DisjointSets()
    mask.voxels.withUnsafeBufferPointer { voxels in
      var index = 0
      for z in 0..<size.z {
        for y in 0..<size.y {
          for x in 0..<size.x {
            defer { index += 1 }
            guard voxels[index] else { continue }
            var label: Int32 = 0
            for step in earlier {
              let (nx, ny, nz) = (x + step.x, y + step.y, z + step.z)
              guard nx >= 0, nx < size.x, ny >= 0, ny < size.y, nz >= 0 else { continue }
              let found = labels[(nz * size.y + ny) * size.x + nx]
              guard found > 0, found != label else { continue }
              label = label == 0 ? found : forest.join(label, found)
            }
            labels[index] = label == 0 ? forest.add() : label
          }
        }
      }
    }
    var counts: [Int] = []
    var numbers = [Int32](repeating: 0, count: forest.count + 1)
    for index in labels.indices where labels[index] > 0 {
      let root = Int(forest.root(of: labels[index]))
      if numbers[root] == 0 {
        counts.append(0)
        numbers[root] = Int32(counts.count)
      }
      labels[index] = numbers[root]
      counts[Int(numbers[root]) - 1] += 1
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

  /// The neighbours that come before a voxel in memory.
  private static func earlierNeighbours(_ connectivity: Connectivity) -> [SIMD3<Int>] {
    let reach = connectivity == .faces ? 1 : connectivity == .edges ? 2 : 3
    var steps: [SIMD3<Int>] = []
    for z in -1...0 {
      for y in -1...1 {
        for x in -1...1 {
          let isEarlier = z < 0 || (z == 0 && (y < 0 || (y == 0 && x < 0)))
          if isEarlier && abs(x) + abs(y) + abs(z) <= reach { steps.append(SIMD3(x, y, z)) }
        }
      }
    }
    return steps
  }
}

/// Sets of provisional labels that turned out to belong together.
private struct DisjointSets {
  private var parents: [Int32] = [0]

  /// The number of labels.
  var count: Int { parents.count - 1 }

  /// A new label in a set of its own.
  mutating func add() -> Int32 {
    parents.append(Int32(parents.count))
    return Int32(parents.count - 1)
  }

  /// The label that stands for a label's set.
  mutating func root(of label: Int32) -> Int32 {
    var label = label
    while parents[Int(label)] != label {
      parents[Int(label)] = parents[Int(parents[Int(label)])]
      label = parents[Int(label)]
    }
    return label
  }

  /// Joins two sets and returns the label that stands for both.
  mutating func join(_ a: Int32, _ b: Int32) -> Int32 {
    let (a, b) = (root(of: a), root(of: b))
    parents[Int(max(a, b))] = min(a, b)
    return min(a, b)
  }
}
