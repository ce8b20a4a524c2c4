/// Fronts that spread from a voxel through tissue: shortest paths over a random medium.
///
/// Source: Dijkstra, *A Note on Two Problems in Connexion with Graphs*, Numerische Mathematik 1, 1959,
/// over 26 neighbours.
struct LesionGrowth {
  /// Voxels in the order in which a front reached them.
  struct Region {
    /// One voxel.
    struct Place {
      let voxel: Int
      /// When it was reached: mm at a slowness of 1.
      let time: Float
      let isInside: Bool
    }

    let places: [Place]
    /// When the last voxel inside was reached.
    let end: Float

    var insideCount: Int { places.count { $0.isInside } }
  }

  let size: GridSize
  let spacing: SIMD3<Double>
  let isTissue: [Bool]
  /// How long the front takes for a mm.
  let slowness: [Float]

  private var neighbours: [(x: Int, y: Int, z: Int, length: Float)] {
    var result: [(Int, Int, Int, Float)] = []
    for z in -1...1 {
      for y in -1...1 {
        for x in -1...1 where (x, y, z) != (0, 0, 0) {
          let step = SIMD3(Double(x), Double(y), Double(z)) * spacing
          result.append((x, y, z, Float((step * step).sum().squareRoot())))
        }
      }
    }
    return result
  }

  /// The region that a front covers.
  ///
  /// - Parameters:
  ///   - start: A voxel of tissue.
  ///   - voxels: Voxels inside, fewer if the tissue ends.
  ///   - border: How long the front goes on after the last voxel inside.
  /// - Returns: Its voxels, those of the border too.
  func region(from start: Int, voxels: Int, beyond border: Float) -> Region {
    var best: [Int: Float] = [start: 0]
    var isDone: Set<Int> = []
    var queue = FrontQueue()
    queue.insert(0, start)
    var places: [Region.Place] = []
    var end: Float = 0
    let neighbours = neighbours
    while let (time, voxel) = queue.removeFirst() {
      guard !isDone.contains(voxel) else { continue }
      let isInside = places.count < voxels
      if isInside { end = time } else if time > end + border { break }
      isDone.insert(voxel)
      places.append(Region.Place(voxel: voxel, time: time, isInside: isInside))
      let (x, y, z) = (voxel % size.x, voxel / size.x % size.y, voxel / (size.x * size.y))
      for step in neighbours {
        let (i, j, k) = (x + step.x, y + step.y, z + step.z)
        guard i >= 0, i < size.x, j >= 0, j < size.y, k >= 0, k < size.z else { continue }
        let next = (k * size.y + j) * size.x + i
        guard isTissue[next] else { continue }
        let arrival = time + step.length * (slowness[voxel] + slowness[next]) / 2
        if arrival < best[next] ?? .infinity {
          best[next] = arrival
          queue.insert(arrival, next)
        }
      }
    }
    return Region(places: places, end: max(end, .leastNormalMagnitude))
  }
}

/// Voxels by the time at which a front reaches them, the earliest first; equal times by voxel.
private struct FrontQueue {
  private var heap: [(time: Float, voxel: Int)] = []

  mutating func insert(_ time: Float, _ voxel: Int) {
    heap.append((time, voxel))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child] < heap[parent] else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func removeFirst() -> (time: Float, voxel: Int)? {
    guard let first = heap.first, let last = heap.popLast() else { return nil }
    guard !heap.isEmpty else { return first }
    heap[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && heap[child] < heap[least] { least = child }
      guard least != parent else { return first }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
