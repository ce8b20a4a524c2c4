import Foundation

/// Exact Euclidean distances to the nearest voxel of a set, for any voxel size.
///
/// Squared distances separate: a scan along x, then for y and for z the lower envelope of one parabola
/// for each voxel of the line. The time is proportional to the number of voxels.
///
/// Source: Felzenszwalb and Huttenlocher, *Distance Transforms of Sampled Functions*, Theory of
/// Computing 8, 2012.
public struct DistanceTransform: Sendable {
  /// The grid.
  public let size: GridSize
  /// Voxel size along x, y, z in mm.
  public let spacing: SIMD3<Double>
  /// Threads that share the work; results do not depend on it.
  private let threads: Int
  /// Squared distances in mm² within each slice z, shape `[z, y, x]`; ∞ in slices without a voxel of
  /// the set.
  private let inSlices: [Double]

  /// Prepares the distances to a set.
  ///
  /// - Parameters:
  ///   - mask: The set.
  ///   - spacing: Voxel size along x, y, z in mm, each > 0.
  ///   - threads: Threads that share the work, nil for all processors; results do not depend on it.
  public init(to mask: VoxelMask, spacing: SIMD3<Double>, threads: Int? = nil) {
    self.init(to: mask, spacing: spacing, threads: threads, reach: .infinity)
  }

  /// Prepares distances up to `reach` mm; farther ones come out as any that are larger than `reach`.
  package init(to mask: VoxelMask, spacing: SIMD3<Double>, threads: Int?, reach: Double) {
    precondition(
      spacing.x > 0 && spacing.y > 0 && spacing.z > 0, "DistanceTransform: spacing \(spacing)")
    let size = mask.size
    self.size = size
    self.spacing = spacing
    let threads = Parallel.threads(threads)
    self.threads = threads
    let area = size.x * size.y
    func voxels(_ length: Int, _ step: Double) -> Int {
      let count = (reach / step).rounded(.up)
      return count < Double(length) ? Int(count) : length
    }
    let near = (x: voxels(size.x, spacing.x), y: voxels(size.y, spacing.y))
    inSlices = [Double](unsafeUninitializedCapacity: size.count) { buffer, count in
      guard let base = buffer.baseAddress else { return }
      Parallel.run(size.z, threads: threads) { z in
        let slice = base + z * area
        mask.voxels.withUnsafeBufferPointer { voxels in
          var hasVoxel = false
          for y in 0..<size.y {
            let row = UnsafeBufferPointer(
              rebasing: voxels[z * area + y * size.x..<z * area + (y + 1) * size.x])
            let found = Self.scan(
              row, step: spacing.x, near: near.x, into: slice + y * size.x)
            hasVoxel = found || hasVoxel
          }
          guard hasVoxel, size.y > 1 else { return }
          let envelope = LowerEnvelope(capacity: size.y, step: spacing.y)
          for x in 0..<size.x {
            envelope.build(slice + x, stride: size.x)
            envelope.evaluate(into: slice + x, stride: size.x, near: near.y)
          }
        }
      }
      count = size.count
    }
  }

  /// The distances of some voxels, in mm; ∞ if the set is empty.
  ///
  /// - Parameter queries: Positions in the work array `[z, y, x]`, any order.
  /// - Returns: One distance for each.
  public func distances(at queries: [Int]) -> [Double] {
    guard size.z > 1 else { return queries.map { inSlices[$0].squareRoot() } }
    let area = size.x * size.y
    // Queries of one column share its envelope: they are put in the columns' order by counting.
    var bounds = [Int](repeating: 0, count: area + 1)
    for query in queries { bounds[query % area + 1] += 1 }
    for column in 0..<area { bounds[column + 1] += bounds[column] }
    var order = [Int](repeating: 0, count: queries.count)
    var next = bounds
    for (index, query) in queries.enumerated() {
      let column = query % area
      order[next[column]] = index
      next[column] += 1
    }
    let columns = (0..<area).filter { bounds[$0] < bounds[$0 + 1] }
    let pieces = min(columns.count, 256)
    var result = [Double](repeating: 0, count: queries.count)
    result.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      Parallel.run(pieces, threads: threads) { piece in
        let envelope = LowerEnvelope(capacity: size.z, step: spacing.z)
        inSlices.withUnsafeBufferPointer { slices in
          guard let first = slices.baseAddress else { return }
          let range = columns.count * piece / pieces..<columns.count * (piece + 1) / pieces
          for column in columns[range] {
            envelope.build(first + column, stride: area)
            for query in order[bounds[column]..<bounds[column + 1]] {
              base[query] = envelope.value(at: queries[query] / area).squareRoot()
            }
          }
        }
      }
    }
    return result
  }

  /// The distance of every voxel in mm, shape `[z, y, x]`; ∞ everywhere if the set is empty.
  public var distances: [Double] {
    var result = inSlices
    let area = size.x * size.y
    result.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      Parallel.run(size.y, threads: threads) { y in
        let row = base + y * size.x
        let envelope = LowerEnvelope(capacity: size.z, step: spacing.z)
        for x in 0..<size.x where size.z > 1 {
          envelope.build(row + x, stride: area)
          envelope.evaluate(into: row + x, stride: area, near: size.z)
        }
        for z in 0..<size.z {
          for x in 0..<size.x { row[z * area + x].formSquareRoot() }
        }
      }
    }
    return result
  }

  /// Squared distances along one row, ∞ farther than `near` voxels from the set; returns whether the row
  /// holds a voxel of the set.
  private static func scan(
    _ row: UnsafeBufferPointer<Bool>, step: Double, near: Int,
    into squares: UnsafeMutablePointer<Double>
  ) -> Bool {
    guard let base = row.baseAddress else { return false }
    func fill(_ range: Range<Int>, around root: Int) {
      for x in range {
        let distance = Double(x - root) * step
        squares[x] = distance * distance
      }
    }
    func clear(_ range: Range<Int>) {
      (squares + range.lowerBound).update(repeating: .infinity, count: range.count)
    }
    var (previous, x) = (-1, 0)
    // Searched by the library, many voxels at a time.
    while x < row.count, let found = memchr(base + x, 1, row.count - x) {
      let next = UnsafeRawPointer(found) - UnsafeRawPointer(base)
      // The first place that is nearer to the voxel ahead than to the one behind.
      let middle = previous < 0 ? 0 : (previous + next) / 2 + 1
      let behind = previous < 0 ? 0 : min(middle, previous + near + 1)
      let ahead = max(middle, next - near)
      fill(x..<behind, around: previous)
      clear(behind..<ahead)
      fill(ahead..<next + 1, around: next)
      (previous, x) = (next, next + 1)
    }
    guard previous >= 0 else {
      clear(0..<row.count)
      return false
    }
    let end = min(row.count, previous + near + 1)
    fill(x..<end, around: previous)
    clear(end..<row.count)
    return true
  }
}

extension DistanceTransform {
  /// A set of voxels, and the same as positions in the work array.
  package struct Targets {
    let mask: VoxelMask
    let voxels: [Int]

    package init(mask: VoxelMask, voxels: [Int]) {
      self.mask = mask
      self.voxels = voxels
    }
  }

  /// The distances of some voxels to a set that is not empty, in mm: those of the whole transform.
  ///
  /// Where all queries lie near the set, as surfaces of similar shapes do, most of the grid is too far
  /// away from the set to matter. How near is guessed from a few of them; if one turns out to be farther,
  /// the whole transform is taken.
  package static func distances(
    at queries: [Int], to targets: Targets, spacing: SIMD3<Double>, threads: Int
  ) -> [Double] {
    let reach = likelyReach(of: queries, to: targets, spacing)
    let near = DistanceTransform(
      to: targets.mask, spacing: spacing, threads: threads, reach: reach
    ).distances(at: queries)
    if near.allSatisfy({ $0 <= reach }) { return near }
    return DistanceTransform(to: targets.mask, spacing: spacing, threads: threads)
      .distances(at: queries)
  }

  /// A distance within which all queries probably lie: half more than the largest of a sample's, which
  /// are taken to a sample of the set and therefore too large.
  private static func likelyReach(
    of queries: [Int], to targets: Targets, _ spacing: SIMD3<Double>
  ) -> Double {
    let size = targets.mask.size
    func sample(_ voxels: [Int], _ count: Int) -> [SIMD3<Double>] {
      stride(from: 0, to: voxels.count, by: max(1, voxels.count / count)).map { index in
        let (row, x) = voxels[index].quotientAndRemainder(dividingBy: size.x)
        let (z, y) = row.quotientAndRemainder(dividingBy: size.y)
        return SIMD3(Double(x), Double(y), Double(z)) * spacing
      }
    }
    let members = sample(targets.voxels, 4096)
    var largest = 0.0
    for query in sample(queries, 32) {
      var least = Double.infinity
      for member in members {
        let step = member - query
        least = min(least, (step * step).sum())
      }
      largest = max(largest, least)
    }
    return 1.5 * largest.squareRoot() + 2 * spacing.max()
  }
}

/// The lower envelope of the parabolas `f(p) + (step · (q − p))²` along one line.
private final class LowerEnvelope {
  private let step: Double
  private let length: Int
  /// The roots of the parabolas that are lowest somewhere, their heights, and where each begins.
  private let roots: UnsafeMutablePointer<Int>
  private let heights: UnsafeMutablePointer<Double>
  private let begins: UnsafeMutablePointer<Double>
  private var count = 0

  init(capacity: Int, step: Double) {
    length = capacity
    self.step = step
    roots = .allocate(capacity: capacity)
    heights = .allocate(capacity: capacity)
    begins = .allocate(capacity: capacity)
  }

  deinit {
    roots.deallocate()
    heights.deallocate()
    begins.deallocate()
  }

  /// Takes the heights of a line; ∞ where there is no parabola.
  func build(_ line: UnsafePointer<Double>, stride: Int) {
    let (roots, heights, begins) = (roots, heights, begins)
    var count = 0
    let scale = 1 / (2 * step * step)
    for q in 0..<length {
      let height = line[q * stride]
      guard height < .infinity else { continue }
      var begin = -Double.infinity
      while count > 0 {
        let p = roots[count - 1]
        // Where the new parabola falls below the last one.
        begin = (height - heights[count - 1]) * scale / Double(q - p) + Double(q + p) / 2
        if begin > begins[count - 1] { break }
        count -= 1
        begin = -.infinity
      }
      roots[count] = q
      heights[count] = height
      begins[count] = begin
      count += 1
    }
    self.count = count
  }

  /// The envelope at one place; ∞ if there is no parabola.
  func value(at q: Int) -> Double {
    guard count > 0 else { return .infinity }
    // The last parabola that begins at or before q.
    var (low, high) = (0, count - 1)
    while low < high {
      let middle = (low + high + 1) / 2
      if begins[middle] <= Double(q) { low = middle } else { high = middle - 1 }
    }
    let distance = Double(q - roots[low]) * step
    return heights[low] + distance * distance
  }

  /// The envelope at every place of the line from which it was built, save where the lowest parabola's
  /// root is more than `near` places away: there the heights stay, which are no lower.
  func evaluate(into line: UnsafeMutablePointer<Double>, stride: Int, near: Int) {
    var start = 0
    for index in 0..<count {
      let end = index + 1 < count ? firstPlace(from: begins[index + 1]) : length
      let (root, height) = (roots[index], heights[index])
      for q in max(start, root - near)..<max(start, root - near, min(end, root + near + 1)) {
        let distance = Double(q - root) * step
        line[q * stride] = height + distance * distance
      }
      start = end
    }
  }

  /// The first place of the line at or behind `begin`, past the end if there is none.
  private func firstPlace(from begin: Double) -> Int {
    let clamped = min(max(begin, 0), Double(length))
    let place = Int(clamped)
    return Double(place) < clamped ? place + 1 : place
  }
}
