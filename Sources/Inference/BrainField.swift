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
  /// - Throws: `ImagingError.noForeground(file:)` if there is no brain to cut to.
  public init(
    of volume: Volume, spacing: Double, cropsToBrain: Bool, multiple: Int, file: String
  ) throws(ImagingError) {
    let grid = AnatomicalGrid(volume.geometry)
    self.grid = grid
    resampledSize = (0..<3).map { axis in
      let ratio = grid.spacing[axis] / spacing
      if abs(ratio - 1) < Self.tolerance { return grid.size[axis] }
      return max(1, Int((Double(grid.size[axis]) * ratio).rounded()))
    }
    box =
      cropsToBrain
      ? try Self.box(
        of: Self.resampled(volume.voxels, grid, resampledSize), size: resampledSize, file: file)
      : resampledSize.map { 0..<$0 }
    size = box.map { ($0.count + multiple - 1) / multiple * multiple }
    margins = zip(size, box).map { ($0 - $1.count) / 2 }
  }

  private static func resampled(
    _ voxels: [Float], _ grid: AnatomicalGrid, _ size: [Int]
  ) -> [Float] {
    GridResampling.resampled(grid.array(of: voxels), size: grid.size, to: size)
  }

  private static func box(
    of values: [Float], size: [Int], file: String
  ) throws(ImagingError) -> [Range<Int>] {
    var (low, high) = (size, [-1, -1, -1])
    func include(_ axis: Int, _ first: Int, _ last: Int) {
      low[axis] = min(low[axis], first)
      high[axis] = max(high[axis], last)
    }
    for d0 in 0..<size[0] {
      for d1 in 0..<size[1] {
        let row = values[((d0 * size[1] + d1) * size[2])..<((d0 * size[1] + d1 + 1) * size[2])]
        guard let first = row.firstIndex(where: { $0 > 0 }),
          let last = row.lastIndex(where: { $0 > 0 })
        else { continue }
        include(0, d0, d0)
        include(1, d1, d1)
        include(2, first - row.startIndex, last - row.startIndex)
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
    let resampled = Self.resampled(voxels, grid, resampledSize)
    var result = [Float](repeating: 0, count: count)
    copyRows(of: resampled, into: &result) { ($0.outside, $0.inside) }
    return result
  }

  /// Images as channels, `[D0, D1, D2, C]`.
  ///
  /// - Parameter images: Each one volume on the scan's grid.
  /// - Returns: One channel for each image.
  public func tensor(of images: [Volume]) -> Tensor {
    let channels = images.map { values(of: $0.voxels) }
    let step = channels.count
    return Tensor([size[0], size[1], size[2], step]) { target in
      for (channel, values) in channels.enumerated() {
        values.withUnsafeBufferPointer { values in
          for place in values.indices { target[place * step + channel] = values[place] }
        }
      }
    }
  }

  /// Values of the field on the scan's grid, in storage order; 0 outside the field.
  public func voxels(of values: [Float]) -> [Float] {
    precondition(values.count == count, "BrainField: \(values.count) values for \(size)")
    var whole = [Float](repeating: 0, count: resampledSize.reduce(1, *))
    copyRows(of: values, into: &whole) { ($0.inside, $0.outside) }
    return grid.voxels(
      of: GridResampling.resampled(whole, size: resampledSize, to: grid.size))
  }

  /// Copies the rows of the box.
  ///
  /// - Parameters:
  ///   - source: The field, or the whole at the networks' spacing.
  ///   - target: The other of the two.
  ///   - order: Source and target of the places where a row begins.
  private func copyRows(
    of source: [Float], into target: inout [Float],
    _ order: ((inside: Int, outside: Int)) -> (source: Int, target: Int)
  ) {
    let length = box[2].count
    source.withUnsafeBufferPointer { source in
      target.withUnsafeMutableBufferPointer { target in
        for d0 in 0..<box[0].count {
          for d1 in 0..<box[1].count {
            let inside = ((margins[0] + d0) * size[1] + margins[1] + d1) * size[2] + margins[2]
            let outside =
              ((box[0].lowerBound + d0) * resampledSize[1] + box[1].lowerBound + d1)
              * resampledSize[2] + box[2].lowerBound
            let row = order((inside, outside))
            for column in 0..<length {
              target[row.target + column] = source[row.source + column]
            }
          }
        }
      }
    }
  }
}
