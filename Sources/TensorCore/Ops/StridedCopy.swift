import Kernels

/// A copy between two regularly spaced arrangements of the same elements.
///
/// Axes that advance together in both are merged, so that the innermost loop is as long as it can be,
/// and a run that is contiguous on both sides is one `memcpy`.
struct StridedCopy {
  private struct Axis {
    var size: Int
    var source: Int
    var target: Int

    func resized(to size: Int) -> Axis { Axis(size: size, source: source, target: target) }
  }

  /// Outermost first; at least two, so that the two innermost loops need no case for missing axes.
  private var axes: [Axis] = []

  /// A copy of `sizes` elements, spaced by the given strides (0 repeats a source element).
  ///
  /// Axes are walked in the order given: it should be that of the target.
  init(sizes: [Int], source: [Int], target: [Int]) {
    precondition(sizes.count == source.count && sizes.count == target.count)
    for (size, (source, target)) in zip(sizes, zip(source, target)) where size != 1 {
      if let last = axes.last, last.source == source * size, last.target == target * size {
        axes[axes.count - 1] = Axis(size: last.size * size, source: source, target: target)
      } else {
        axes.append(Axis(size: size, source: source, target: target))
      }
    }
    while axes.count < 2 { axes.insert(Axis(size: 1, source: 0, target: 0), at: 0) }
    moveUnitStrideOfSourceInwards()
  }

  /// Where the innermost axis strides through the source, makes the axis along which the source is
  /// contiguous the second innermost: the two are then copied in square tiles.
  private mutating func moveUnitStrideOfSourceInwards() {
    guard let inner = axes.last, inner.source > 1,
      let unit = axes.firstIndex(where: { $0.source == 1 })
    else { return }
    axes.insert(axes.remove(at: unit), at: axes.count - 1)
  }

  /// Copies; chunks depend on the sizes alone.
  func run(
    from source: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>,
    workers: WorkerPool
  ) {
    let count = axes.reduce(1) { $0 * $1.size }
    guard count > 0 else { return }
    let outer = axes.dropLast(2)
    let rows = axes[axes.count - 2]
    let columns = axes[axes.count - 1]
    // A unit of work is a block of rows and columns below one position of the outer axes.
    let isRuns = columns.target == 1 && columns.source <= 1
    let columnsPerUnit = min(columns.size, isRuns ? Self.elementsPerUnit : 512)
    let rowsPerUnit = max(1, min(rows.size, Self.elementsPerUnit / columnsPerUnit))
    let columnUnits = (columns.size + columnsPerUnit - 1) / columnsPerUnit
    let rowUnits = (rows.size + rowsPerUnit - 1) / rowsPerUnit
    let units = outer.reduce(rowUnits * columnUnits) { $0 * $1.size }
    let unitsPerChunk = max(1, Self.elementsPerUnit / (rowsPerUnit * columnsPerUnit))
    workers.run(count: units, grain: unitsPerChunk) { units in
      for unit in units {
        let firstColumn = unit % columnUnits * columnsPerUnit
        let firstRow = unit / columnUnits % rowUnits * rowsPerUnit
        var position = unit / columnUnits / rowUnits
        var from = source + firstRow * rows.source + firstColumn * columns.source
        var to = target + firstRow * rows.target + firstColumn * columns.target
        for axis in outer.reversed() {
          from += position % axis.size * axis.source
          to += position % axis.size * axis.target
          position /= axis.size
        }
        Self.copy(
          from, to, rows.resized(to: min(rowsPerUnit, rows.size - firstRow)),
          columns.resized(to: min(columnsPerUnit, columns.size - firstColumn)))
      }
    }
  }

  private static let elementsPerUnit = 1 << 15

  private static func copy(
    _ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>,
    _ rows: Axis, _ columns: Axis
  ) {
    switch (columns.source, columns.target) {
    case (1, 1) where columns.size < 1024:
      k_copy_rows(target, rows.target, source, rows.source, false, rows.size, columns.size)
    case (1, 1):
      for row in 0..<rows.size {
        (target + row * rows.target).update(from: source + row * rows.source, count: columns.size)
      }
    case (_, 1) where rows.source == 1:
      k_transpose(target, rows.target, source, columns.source, columns.size, rows.size)
    default:
      for row in 0..<rows.size {
        k_copy_strided(
          target + row * rows.target, columns.target, source + row * rows.source, columns.source,
          false, columns.size)
      }
    }
  }
}
