/// Where a sliding window holds counted voxels alone.
struct CountedWindows {
  /// Whether a window around each voxel reaches one that does not count, `[depth, height, width]`.
  private let reachesOther: [Bool]
  private let height: Int
  private let width: Int
  /// How far from the edge the first window's centre lies along rows and columns, and along depth.
  private let margin: Int
  private let depthMargin: Int

  /// Looks at all windows of an image.
  ///
  /// - Parameters:
  ///   - counted: Whether each voxel counts, shape `shape`.
  ///   - shape: `[height, width]` or `[depth, height, width]`; the window has as many axes.
  ///   - radius: How far the window reaches from its centre along each axis.
  ///   - isInterior: Whether windows lie inside the image, or have their centres on every voxel.
  init(counting counted: [Bool], shape: [Int], radius: Int, isInterior: Bool) {
    precondition(
      counted.count == shape.reduce(1, *), "SSIM: a mask of \(counted.count) for \(shape)")
    var marks = counted.map { !$0 }
    var step = 1
    for count in shape.reversed() {
      marks = Self.widened(marks, count: count, step: step, radius: radius)
      step *= count
    }
    reachesOther = marks
    height = shape[shape.count - 2]
    width = shape[shape.count - 1]
    margin = isInterior ? radius : 0
    depthMargin = shape.count == 3 ? margin : 0
  }

  /// Whether a window counts.
  ///
  /// - Parameters:
  ///   - index: Its place among the windows of a plane, row by row.
  ///   - plane: The plane, in order of depth.
  /// - Returns: Whether it holds counted voxels alone.
  func contains(_ index: Int, ofPlane plane: Int) -> Bool {
    let columns = width - 2 * margin
    let row = (plane + depthMargin) * height + index / columns + margin
    return !reachesOther[row * width + index % columns + margin]
  }

  /// Marks that spread along one axis, whose neighbours lie `step` apart in memory.
  private static func widened(_ marks: [Bool], count: Int, step: Int, radius: Int) -> [Bool] {
    var result = marks
    for block in stride(from: 0, to: marks.count, by: count * step) {
      for first in block..<block + step {
        var (forwards, backwards) = (0, 0)
        for place in 0..<count {
          let (low, high) = (first + place * step, first + (count - 1 - place) * step)
          if marks[low] { forwards = radius + 1 }
          if marks[high] { backwards = radius + 1 }
          if forwards > 0 { result[low] = true }
          if backwards > 0 { result[high] = true }
          (forwards, backwards) = (forwards - 1, backwards - 1)
        }
      }
    }
    return result
  }
}
