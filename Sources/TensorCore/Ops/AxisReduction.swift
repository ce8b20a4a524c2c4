import Kernels

/// Reduces some axes of a dense array, in an order that depends on the sizes alone.
///
/// Rows are added in blocks of a fixed number and the blocks' results again in the same way, so the
/// rounding error of a sum grows with the logarithm of the number of terms, and blocks can run on any
/// thread.
struct AxisReduction {
  /// One pass over `[outer, rows, columns]` that leaves `[outer, blocks, columns]`.
  private struct Step {
    let outer: Int
    let rows: Int
    let columns: Int

    var rowsPerBlock: Int { columns == 1 ? 4096 : 256 }
    var blocks: Int { max(1, (rows + rowsPerBlock - 1) / rowsPerBlock) }
    var resultCount: Int { outer * blocks * columns }
  }

  private let steps: [Step]
  private let count: Int

  /// A reduction of the axes of `shape` for which `isReduced` holds.
  init(_ shape: Shape, isReduced: (Int) -> Bool) {
    count = shape.count
    var groups: [(size: Int, isReduced: Bool)] = []
    for (axis, size) in shape.dimensions.enumerated() where size != 1 {
      if let last = groups.last, last.isReduced == isReduced(axis) {
        groups[groups.count - 1].size *= size
      } else {
        groups.append((size, isReduced(axis)))
      }
    }
    var steps: [Step] = []
    while let last = groups.lastIndex(where: \.isReduced) {
      var rows = groups[last].size
      let outer = groups[..<last].reduce(1) { $0 * $1.size }
      let columns = groups[(last + 1)...].reduce(1) { $0 * $1.size }
      repeat {
        steps.append(Step(outer: outer, rows: rows, columns: columns))
        rows = steps[steps.count - 1].blocks
      } while rows > 1
      groups.remove(at: last)
    }
    self.steps = steps
  }

  /// Floats of temporary memory that ``run(_:from:to:scratch:workers:)`` needs.
  var scratchCount: Int { intermediateCount(0) + intermediateCount(1) }

  /// Intermediate results alternate between two areas, that of the even steps first.
  private func intermediateCount(_ parity: Int) -> Int {
    steps.indices.dropLast().filter { $0 % 2 == parity }.map { steps[$0].resultCount }.max() ?? 0
  }

  /// Writes the sums or maxima (for a mean, the sums) to `target`.
  func run(
    _ function: ReductionFunction, from source: UnsafePointer<Float>,
    to target: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    workers: WorkerPool
  ) {
    if steps.isEmpty { return target.update(from: source, count: count) }
    let areas = [scratch, scratch + intermediateCount(0)]
    var source = source
    for (index, step) in steps.enumerated() {
      let result = index == steps.count - 1 ? target : areas[index % 2]
      if step.columns == 1 {
        Self.reduceRows(step, function, source, result, workers)
      } else {
        Self.reduceColumns(step, function, source, result, workers)
      }
      source = UnsafePointer(result)
    }
  }

  private static let elementsPerChunk = 1 << 15

  /// Contiguous runs of one block each.
  private static func reduceRows(
    _ step: Step, _ function: ReductionFunction, _ source: UnsafePointer<Float>,
    _ target: UnsafeMutablePointer<Float>, _ workers: WorkerPool
  ) {
    let reduce: (UnsafeMutablePointer<Float>, UnsafePointer<Float>, Int, Int) -> Void =
      switch function {
      case .sum, .mean: { k_row_sum($0, $1, false, $2, $3) }
      case .max: { k_row_max($0, $1, $2, $3) }
      }
    let (rows, blocks, perBlock) = (step.rows, step.blocks, step.rowsPerBlock)
    if blocks == 1 {
      workers.run(count: step.outer, grain: elementsPerChunk / max(1, rows)) { outer in
        reduce(target + outer.lowerBound, source + outer.lowerBound * rows, outer.count, rows)
      }
    } else {
      workers.run(count: step.outer * blocks, grain: elementsPerChunk / perBlock) { units in
        for unit in units {
          let first = unit % blocks * perBlock
          let from = source + unit / blocks * rows + first
          reduce(target + unit, from, 1, min(perBlock, rows - first))
        }
      }
    }
  }

  /// Rows of at least two columns, in stripes of columns.
  private static func reduceColumns(
    _ step: Step, _ function: ReductionFunction, _ source: UnsafePointer<Float>,
    _ target: UnsafeMutablePointer<Float>, _ workers: WorkerPool
  ) {
    let (rows, columns, blocks) = (step.rows, step.columns, step.blocks)
    let width = max(1, min(columns, 512))
    let stripes = (columns + width - 1) / width
    let grain = elementsPerChunk / max(1, min(rows, step.rowsPerBlock) * width)
    workers.run(count: step.outer * blocks * stripes, grain: grain) { units in
      for unit in units {
        let firstColumn = unit % stripes * width
        let group = unit / stripes
        let firstRow = group % blocks * step.rowsPerBlock
        let from = source + (group / blocks * rows + firstRow) * columns + firstColumn
        let to = target + group * columns + firstColumn
        let rowCount = min(step.rowsPerBlock, rows - firstRow)
        let columnCount = min(width, columns - firstColumn)
        switch function {
        case .sum, .mean: k_column_sum(to, from, columns, false, rowCount, columnCount)
        case .max: k_column_max(to, from, columns, false, rowCount, columnCount)
        }
      }
    }
  }
}
