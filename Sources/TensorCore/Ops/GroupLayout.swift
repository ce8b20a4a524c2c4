/// `[items, rows, channels]`, the channels in groups, and the division of rows into blocks.
struct GroupLayout {
  /// Sums over rows, one for each channel and another kind of sum for each channel behind them.
  typealias Sums = UnsafeMutablePointer<Double>

  let items: Int
  let rows: Int
  let channels: Int
  let groups: Int
  let rowsPerBlock: Int
  let blocks: Int

  init(_ shape: Shape, groups: Int?) {
    items = groups == nil ? 1 : shape.dimensions[0]
    channels = shape.channels
    rows = shape.rows / max(1, items)
    self.groups = groups ?? channels
    rowsPerBlock = max(64, (1 << 15) / max(1, channels))
    blocks = (rows + rowsPerBlock - 1) / rowsPerBlock
  }

  var channelsPerGroup: Int { channels / groups }
  var elementsPerGroup: Double { Double(rows * channelsPerGroup) }
  var statisticsCount: Int { items * channels }

  /// Two sums in double for each item, block and channel, and three coefficients for each item and
  /// channel.
  var scratchCount: Int { 4 * items * blocks * channels + 3 * statisticsCount + 1 }

  /// Calls `body` with the item, the first row (counted over all items) and the number of rows of
  /// each block, and with the block's two rows of sums, set to zero.
  func forEachBlock(
    sums: Sums, _ workers: WorkerPool,
    _ body: (
      _ item: Int, _ row: Int, _ count: Int, _ sum: Sums, _ other: Sums
    ) -> Void
  ) {
    workers.run(chunks: items * blocks) { unit in
      let (item, block) = unit.quotientAndRemainder(dividingBy: blocks)
      let first = block * rowsPerBlock
      let part = sums + unit * 2 * channels
      part.update(repeating: 0, count: 2 * channels)
      body(item, item * rows + first, min(rowsPerBlock, rows - first), part, part + channels)
    }
  }

  /// Adds the blocks' sums into those of the first block of each item.
  func addBlocks(sums: Sums) {
    for item in 0..<items {
      let total = sums + item * blocks * 2 * channels
      for block in 1..<max(1, blocks) {
        let part = total + block * 2 * channels
        for index in 0..<2 * channels { total[index] += part[index] }
      }
    }
  }

  /// The first block's sums of an item.
  func sums(_ sums: Sums, ofItem item: Int) -> Sums {
    sums + item * blocks * 2 * channels
  }

  /// The coefficients and, behind them, the sums.
  func divided(
    _ scratch: UnsafeMutablePointer<Float>
  ) -> (coefficients: GroupCoefficients, sums: Sums) {
    let sums = UnsafeMutableRawPointer(scratch + (3 * statisticsCount + 1) / 2 * 2)
    return (
      GroupCoefficients(scratch, statisticsCount),
      sums.bindMemory(to: Double.self, capacity: 2 * items * blocks * channels)
    )
  }

  func channels(ofGroup group: Int) -> Range<Int> {
    group * channelsPerGroup..<(group + 1) * channelsPerGroup
  }
}

/// Three arrays of `count` floats, one after another.
struct GroupCoefficients {
  let start: UnsafeMutablePointer<Float>
  let count: Int

  init(_ start: UnsafeMutablePointer<Float>, _ count: Int) {
    self.start = start
    self.count = count
  }

  subscript(index: Int) -> UnsafeMutablePointer<Float> { start + index * count }
}
