/// Copies a block of whole rows into or out of a larger dense array.
///
/// `inner` lies inside `outer` at `offsets`. Both are walked row by row of the outer array, where a row
/// spans all axes from the last one that differs.
struct PaddedBlock {
  // Sizes and offsets per axis; an axis that the block spans is merged into the one outside it.
  private var inner: [Int] = [1]
  private var outer: [Int] = [1]
  private var offsets: [Int] = [0]

  init(inner: Shape, outer: Shape, offsets: [Int]) {
    for axis in 0..<inner.rank {
      let (part, whole) = (inner.dimensions[axis], outer.dimensions[axis])
      if part == whole {
        self.inner[self.inner.count - 1] *= part
        self.outer[self.outer.count - 1] *= whole
        self.offsets[self.offsets.count - 1] *= whole
      } else {
        self.inner.append(part)
        self.outer.append(whole)
        self.offsets.append(offsets[axis])
      }
    }
  }

  private var rowAxes: Range<Int> { 0..<inner.count - 1 }
  private var innerRow: Int { inner[inner.count - 1] }
  private var outerRow: Int { outer[outer.count - 1] }
  private var before: Int { offsets[offsets.count - 1] }
  private func rowsPerChunk(_ row: Int) -> Int { max(1, (1 << 15) / max(1, row)) }

  /// Writes all of `target: outer`: `source: inner` in the block, `value` around it.
  func insert(
    _ source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, around value: Float,
    workers: WorkerPool
  ) {
    let rows = rowAxes.reduce(1) { $0 * outer[$1] }
    workers.run(count: rows, grain: rowsPerChunk(outerRow)) { range in
      for row in range {
        let to = target + row * outerRow
        guard let from = innerRowIndex(ofOuterRow: row) else {
          to.update(repeating: value, count: outerRow)
          continue
        }
        to.update(repeating: value, count: before)
        (to + before).update(from: source + from * innerRow, count: innerRow)
        (to + before + innerRow).update(repeating: value, count: outerRow - before - innerRow)
      }
    }
  }

  /// Writes all of `target: inner` with the block's elements of `source: outer`.
  func extract(
    _ source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, workers: WorkerPool
  ) {
    let rows = rowAxes.reduce(1) { $0 * inner[$1] }
    workers.run(count: rows, grain: rowsPerChunk(innerRow)) { range in
      for row in range {
        let from = source + outerRowIndex(ofInnerRow: row) * outerRow + before
        (target + row * innerRow).update(from: from, count: innerRow)
      }
    }
  }

  private func innerRowIndex(ofOuterRow row: Int) -> Int? {
    var rest = row
    var index = 0
    var stride = 1
    for axis in rowAxes.reversed() {
      let position = rest % outer[axis] - offsets[axis]
      guard position >= 0, position < inner[axis] else { return nil }
      rest /= outer[axis]
      index += position * stride
      stride *= inner[axis]
    }
    return index
  }

  private func outerRowIndex(ofInnerRow row: Int) -> Int {
    var rest = row
    var index = 0
    var stride = 1
    for axis in rowAxes.reversed() {
      index += (rest % inner[axis] + offsets[axis]) * stride
      rest /= inner[axis]
      stride *= outer[axis]
    }
    return index
  }
}
