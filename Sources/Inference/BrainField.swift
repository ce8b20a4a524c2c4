public import Imaging
public import TensorCore

/// The part of a scan that the stroke system sees, and the way back to the scan's own grid.
///
/// Axes run towards superior, anterior and right; voxels are brought to the networks' size; the field is
/// cut to the brain if wanted, and continued with zeros to multiples of what the networks need.
public struct BrainField: Sendable, Equatable {
  /// D0, D1, D2 of the field.
  public let size: [Int]

  private let grid: AnatomicalGrid
  /// Sizes at the networks' spacing.
  private let resampledSize: [Int]
  private let layout: Layout
  /// What is kept of it.
  private let box: [Range<Int>]
  /// Where the box begins in the field.
  private let margins: [Int]

  /// Voxel sizes that differ by less than this part are left as they are.
  private static let tolerance = 0.02

  /// Finds the field.
  ///
  /// - Parameters:
  ///   - volume: One volume; the brain is what lies above 0.
  ///   - spacing: Side of the voxels that the networks see, mm.
  ///   - cropsToBrain: Whether the field ends where the brain does.
  ///   - multiple: Each size becomes a multiple of this.
  ///   - file: The name in errors.
  /// - Throws: `ImagingError.noForeground(file:)` if there is no brain to cut to,
  ///   `ImagingError.invalidDimensions` if the voxels' sizes cannot be.
  public init(
    of volume: Volume, spacing: Double, cropsToBrain: Bool, multiple: Int, file: String
  ) throws(ImagingError) {
    let grid = AnatomicalGrid(volume.geometry)
    self.grid = grid
    resampledSize = try ResampledSize.sizes(
      grid.size,
      ratios: grid.spacing.map { side in
        let ratio = side / spacing
        return abs(ratio - 1) < Self.tolerance ? 1 : ratio
      }, file: file)
    layout = Layout(grid, resampledSize)
    box =
      cropsToBrain
      ? try Self.box(
        of: Self.resampled(volume.voxels, grid, resampledSize), layout, size: resampledSize,
        file: file)
      : resampledSize.map { 0..<$0 }
    size = box.map { ($0.count + multiple - 1) / multiple * multiple }
    margins = zip(size, box).map { ($0 - $1.count) / 2 }
  }

  /// Where the voxels of a scan at the networks' spacing lie in memory: as they are stored, unless they
  /// are resampled.
  private struct Layout: Equatable {
    var first = 0
    let strides: [Int]

    init(_ grid: AnatomicalGrid, _ size: [Int]) {
      if size == grid.size {
        (first, strides) = (grid.first, grid.strides)
      } else {
        strides = [size[1] * size[2], size[2], 1]
      }
    }

    subscript(_ d0: Int, _ d1: Int, _ d2: Int) -> Int {
      first + d0 * strides[0] + d1 * strides[1] + d2 * strides[2]
    }
  }

  private static func resampled(
    _ voxels: [Float], _ grid: AnatomicalGrid, _ size: [Int]
  ) -> [Float] {
    precondition(voxels.count == grid.count, "BrainField: \(voxels.count) voxels")
    guard size != grid.size else { return voxels }
    return GridResampling.resampled(grid.array(of: voxels), size: grid.size, to: size)
  }

  private static func box(
    of values: [Float], _ layout: Layout, size: [Int], file: String
  ) throws(ImagingError) -> [Range<Int>] {
    var (low, high) = (size, [-1, -1, -1])
    func include(_ axis: Int, _ first: Int, _ last: Int) {
      low[axis] = min(low[axis], first)
      high[axis] = max(high[axis], last)
    }
    let step = layout.strides[2]
    values.withUnsafeBufferPointer { values in
      for d0 in 0..<size[0] {
        for d1 in 0..<size[1] {
          let row = layout[d0, d1, 0]
          guard let first = (0..<size[2]).first(where: { values[row + $0 * step] > 0 }),
            let last = (0..<size[2]).last(where: { values[row + $0 * step] > 0 })
          else { continue }
          include(0, d0, d0)
          include(1, d1, d1)
          include(2, first, last)
        }
      }
    }
    guard high[0] >= 0 else { throw .noForeground(file: file) }
    return zip(low, high).map { $0..<$1 + 1 }
  }

  /// The volume of a voxel of the field, mm³.
  public var voxelVolume: Double {
    (0..<3).reduce(1) {
      $0 * grid.spacing[$1] * Double(grid.size[$1]) / Double(resampledSize[$1])
    }
  }

  /// The number of voxels.
  public var count: Int { size.reduce(1, *) }

  /// What an image shows in the field, `[D0, D1, D2]`.
  ///
  /// - Parameter voxels: One volume on the scan's grid, in storage order.
  /// - Returns: 0 beyond what the scan shows.
  public func values(of voxels: [Float]) -> [Float] {
    var result = [Float](repeating: 0, count: count)
    result.withUnsafeMutableBufferPointer { fill($0, channel: 0, of: 1, with: voxels) }
    return result
  }

  /// Images as channels, `[D0, D1, D2, C]`.
  ///
  /// - Parameter images: Each one volume on the scan's grid.
  /// - Returns: One channel for each image.
  public func tensor(of images: [Volume]) -> Tensor {
    Tensor([size[0], size[1], size[2], images.count]) { target in
      target.update(repeating: 0)
      for (channel, image) in images.enumerated() {
        fill(target, channel: channel, of: images.count, with: image.voxels)
      }
    }
  }

  /// Writes what an image shows in the field to a channel of `[D0, D1, D2, channels]`.
  private func fill(
    _ target: UnsafeMutableBufferPointer<Float>, channel: Int, of channels: Int,
    with voxels: [Float]
  ) {
    let step = layout.strides[2]
    Self.resampled(voxels, grid, resampledSize).withUnsafeBufferPointer { values in
      forEachRow { inside, outside, length in
        var (to, from) = (inside * channels + channel, outside)
        for _ in 0..<length {
          target[to] = values[from]
          to += channels
          from += step
        }
      }
    }
  }

  /// Values of the field on the scan's grid, in storage order; 0 outside the field.
  public func voxels(of values: [Float]) -> [Float] {
    precondition(values.count == count, "BrainField: \(values.count) values for \(size)")
    let step = layout.strides[2]
    var whole = [Float](repeating: 0, count: resampledSize.reduce(1, *))
    whole.withUnsafeMutableBufferPointer { whole in
      values.withUnsafeBufferPointer { values in
        forEachRow { inside, outside, length in
          var to = outside
          for from in inside..<inside + length {
            whole[to] = values[from]
            to += step
          }
        }
      }
    }
    guard resampledSize != grid.size else { return whole }
    return grid.voxels(
      of: GridResampling.resampled(whole, size: resampledSize, to: grid.size))
  }

  /// Goes through the rows of the box.
  ///
  /// - Parameter body: Gets where a row begins in the field, and in the scan at the networks' spacing, and
  ///   its length.
  private func forEachRow(_ body: (_ inside: Int, _ outside: Int, _ length: Int) -> Void) {
    for d0 in 0..<box[0].count {
      for d1 in 0..<box[1].count {
        body(
          ((margins[0] + d0) * size[1] + margins[1] + d1) * size[2] + margins[2],
          layout[box[0].lowerBound + d0, box[1].lowerBound + d1, box[2].lowerBound], box[2].count)
      }
    }
  }
}
