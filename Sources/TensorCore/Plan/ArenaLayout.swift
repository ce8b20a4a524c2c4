/// Places for blocks of memory with known lifetimes in one arena.
///
/// Blocks are placed one after the other, the largest first, each in the tightest gap between those
/// that are alive at the same time.
package struct ArenaLayout {
  /// A block: its size and the steps during which it must not change.
  package struct Block: Sendable {
    package var count: Int
    package var lifetime: ClosedRange<Int>

    /// A block of `count` floats.
    package init(count: Int, lifetime: ClosedRange<Int>) {
      self.count = count
      self.lifetime = lifetime
    }
  }

  /// Floats to which the beginning of a block is rounded: a cache line.
  package static let alignment = 16

  /// Where each block begins, in floats.
  package let offsets: [Int]
  /// Floats of the whole arena.
  package let count: Int

  /// Places blocks.
  package init(_ blocks: [Block]) {
    var offsets = [Int](repeating: 0, count: blocks.count)
    var placed: [Int] = []
    var total = 0
    let order = blocks.indices.sorted {
      blocks[$0].count == blocks[$1].count ? $0 < $1 : blocks[$0].count > blocks[$1].count
    }
    for block in order where blocks[block].count > 0 {
      let size = Self.rounded(blocks[block].count)
      let neighbours = placed.filter { blocks[$0].lifetime.overlaps(blocks[block].lifetime) }
        .sorted { offsets[$0] < offsets[$1] }
      var best: (offset: Int, gap: Int)?
      var end = 0
      for neighbour in neighbours {
        let gap = offsets[neighbour] - end
        if gap >= size, gap < best?.gap ?? .max { best = (end, gap) }
        end = max(end, offsets[neighbour] + Self.rounded(blocks[neighbour].count))
      }
      offsets[block] = best?.offset ?? end
      total = max(total, offsets[block] + size)
      placed.append(block)
    }
    self.offsets = offsets
    count = total
  }

  private static func rounded(_ count: Int) -> Int {
    (count + alignment - 1) / alignment * alignment
  }
}
