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
  public init(
    to mask: VoxelMask, spacing: SIMD3<Double>,
    threads: Int? = nil
  ) {
    precondition(
      spacing.x > 0 && spacing.y > 0 && spacing.z > 0, "DistanceTransform: spacing \(spacing)")
    let size = mask.size
    self.size = size
    self.spacing = spacing
    let threads = threads ?? ProcessInfo.processInfo.activeProcessorCount
    self.threads = threads
    let area = size.x * size.y
    inSlices = [Double](unsafeUninitializedCapacity: size.count) { buffer, count in
      guard let base = buffer.baseAddress else { return }
      Parallel.run(size.z, threads: threads) { z in
        let slice = base + z * area
        mask.voxels.withUnsafeBufferPointer { voxels in
          var hasVoxel = false
          for y in 0..<size.y {
            let row = UnsafeBufferPointer(
              rebasing: voxels[z * area + y * size.x..<z * area + (y + 1) * size.x])
            hasVoxel = Self.scan(row, step: spacing.x, into: slice + y * size.x) || hasVoxel
          }
          guard hasVoxel, size.y > 1 else { return }
          var envelope = LowerEnvelope(capacity: size.y, step: spacing.y)
          for x in 0..<size.x {
            envelope.build(slice + x, stride: size.x)
            envelope.evaluateAll(into: slice + x, stride: size.x)
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
    // Queries of one column share its envelope.
    let order = queries.indices.sorted { queries[$0] % area < queries[$1] % area }
    let starts = order.indices.filter { position in
      position == 0
        || queries[order[position - 1]] % area != queries[order[position]] % area
    }
    let pieces = min(starts.count, 256)
    let bounds = starts + [order.count]
    var result = [Double](repeating: 0, count: queries.count)
    result.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      Parallel.run(pieces, threads: threads) { piece in
        var envelope = LowerEnvelope(capacity: size.z, step: spacing.z)
        inSlices.withUnsafeBufferPointer { slices in
          guard let first = slices.baseAddress else { return }
          for column in starts.count * piece / pieces..<starts.count * (piece + 1) / pieces {
            let members = order[bounds[column]..<bounds[column + 1]]
            guard let any = members.first else { continue }
            envelope.build(first + queries[any] % area, stride: area)
            for query in members {
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
        var envelope = LowerEnvelope(capacity: size.z, step: spacing.z)
        for x in 0..<size.x where size.z > 1 {
          envelope.build(row + x, stride: area)
          envelope.evaluateAll(into: row + x, stride: area)
        }
        for z in 0..<size.z {
          for x in 0..<size.x { row[z * area + x].formSquareRoot() }
        }
      }
    }
    return result
  }

  /// Squared distances along one row; returns whether the row holds a voxel of the set.
  private static func scan(
    _ row: UnsafeBufferPointer<Bool>, step: Double, into squares: UnsafeMutablePointer<Double>
  ) -> Bool {
    guard let base = row.baseAddress else { return false }
    func fill(_ range: Range<Int>, around root: Int) {
      for x in range {
        let distance = Double(x - root) * step
        squares[x] = distance * distance
      }
    }
    var (previous, x) = (-1, 0)
    // Searched by the library, many voxels at a time.
    while x < row.count, let found = memchr(base + x, 1, row.count - x) {
      let next = UnsafeRawPointer(found) - UnsafeRawPointer(base)
      // The first place that is nearer to the voxel ahead than to the one behind.
      let middle = previous < 0 ? 0 : (previous + next) / 2 + 1
      fill(x..<middle, around: previous)
      fill(middle..<next + 1, around: next)
      (previous, x) = (next, next + 1)
    }
    guard previous >= 0 else {
      squares.update(repeating: .infinity, count: row.count)
      return false
    }
    fill(x..<row.count, around: previous)
    return true
  }
}

/// The lower envelope of the parabolas `f(p) + (step · (q − p))²` along one line.
private struct LowerEnvelope {
  private let step: Double
  /// The roots of the parabolas that are lowest somewhere, their heights, and where each begins.
  private var roots: [Int]
  private var heights: [Double]
  private var begins: [Double]
  private var count = 0
  private let length: Int

  init(capacity: Int, step: Double) {
    length = capacity
    self.step = step
    roots = [Int](repeating: 0, count: capacity)
    heights = [Double](repeating: 0, count: capacity)
    begins = [Double](repeating: 0, count: capacity)
  }

  /// Takes the heights of a line; ∞ where there is no parabola.
  mutating func build(_ line: UnsafePointer<Double>, stride: Int) {
    count = 0
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

  /// The envelope at every place of the line.
  func evaluateAll(into line: UnsafeMutablePointer<Double>, stride: Int) {
    guard count > 0 else {
      for q in 0..<length { line[q * stride] = .infinity }
      return
    }
    var at = 0
    for q in 0..<length {
      while at + 1 < count, begins[at + 1] <= Double(q) { at += 1 }
      let distance = Double(q - roots[at]) * step
      line[q * stride] = heights[at] + distance * distance
    }
  }
}
