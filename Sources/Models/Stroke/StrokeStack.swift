public import TensorCore

/// The slices of one volume in one plane, to be normalised in any way when they are asked for.
public struct StrokeStack: Sendable {
  /// The plane of the slices.
  public let plane: StrokePlane
  /// The slices before normalisation, `[L, a, b, 2]`.
  private let slices: Tensor
  private let statistics: SliceStatistics

  /// Slices a volume.
  ///
  /// - Parameters:
  ///   - volume: `[D0, D1, D2, C]`; one channel is enough for `mirror`.
  ///   - plane: The plane of the slices.
  ///   - second: What stands beside the first channel.
  public init(of volume: Tensor, in plane: StrokePlane, second: StrokeSecondChannel) {
    self.plane = plane
    slices = StrokePath.slices(of: volume, in: plane, second: second)
    statistics = SliceStatistics(of: slices)
  }

  /// The number of slices.
  public var count: Int { slices.shape[0] }
  /// Rows of a slice.
  public var height: Int { slices.shape[1] }
  /// Columns of a slice.
  public var width: Int { slices.shape[2] }

  /// Normalised slices, or the same part of each.
  ///
  /// - Parameters:
  ///   - indices: Which slices.
  ///   - rows: Rows of the part; nil for all.
  ///   - columns: Columns of the part; nil for all.
  ///   - normalization: How they are normalised: always by the statistics of whole slices.
  /// - Returns: `[indices, rows, columns, 2]`.
  public func normalized(
    _ indices: some Collection<Int>, rows: Range<Int>? = nil, columns: Range<Int>? = nil,
    by normalization: StrokeNormalization
  ) -> Tensor {
    let rows = rows ?? 0..<height
    let columns = columns ?? 0..<width
    return Tensor([indices.count, rows.count, columns.count, 2]) { target in
      slices.withValues { values in
        guard let values = values.baseAddress, var target = target.baseAddress else { return }
        for slice in indices {
          for row in rows {
            statistics.normalize(
              SliceStatistics.PixelRun(
                count: columns.count, slice: slice, pixel: row * width + columns.lowerBound),
              of: values, into: target, step: 2, by: normalization)
            target += 2 * columns.count
          }
        }
      }
    }
  }

  /// Whole normalised slices, by all threads; to be called on the engine thread.
  ///
  /// - Returns: `[indices, a, b, 2]`.
  func batch(_ indices: Range<Int>, by normalization: StrokeNormalization) -> Tensor {
    Tensor([indices.count, height, width, 2]) { target in
      slices.withValues { values in
        guard let values = values.baseAddress, let target = target.baseAddress else { return }
        Engine.shared.workers.run(count: indices.count * height, grain: 32) { rows in
          for row in rows {
            statistics.normalize(
              SliceStatistics.PixelRun(
                count: width, slice: indices.lowerBound + row / height, pixel: row % height * width),
              of: values, into: target + row * width * 2, step: 2, by: normalization)
          }
        }
      }
    }
  }

  /// The place of a voxel of the volume among the slices.
  ///
  /// - Returns: Slice and pixel.
  public func place(_ d0: Int, _ d1: Int, _ d2: Int) -> (slice: Int, pixel: Int) {
    switch plane {
    case .xy: (d0, d1 * width + d2)
    case .zy: (d1, d0 * width + d2)
    case .zx: (d2, d0 * width + d1)
    }
  }

  /// The order of the volume, brought to that of the slices.
  ///
  /// - Parameter values: One for each voxel, `[D0, D1, D2]`.
  /// - Returns: `[L, a, b]`.
  public func slices<Value>(of values: [Value]) -> [Value] {
    precondition(values.count == count * height * width, "stroke stack: \(values.count) values")
    let size = volumeSize
    return [Value](unsafeUninitializedCapacity: values.count) { target, filled in
      var at = 0
      for d0 in 0..<size[0] {
        for d1 in 0..<size[1] {
          for d2 in 0..<size[2] {
            let (slice, pixel) = place(d0, d1, d2)
            target.initializeElement(at: slice * height * width + pixel, to: values[at])
            at += 1
          }
        }
      }
      filled = at
    }
  }

  /// The order of slices, brought to that of the volume.
  ///
  /// - Parameter values: One for each pixel of each slice, `[L, a, b]`.
  /// - Returns: `[D0, D1, D2]`.
  public func volume<Value>(of values: [Value]) -> [Value] {
    precondition(values.count == count * height * width, "stroke stack: \(values.count) values")
    let size = volumeSize
    return [Value](unsafeUninitializedCapacity: values.count) { target, filled in
      var at = 0
      for d0 in 0..<size[0] {
        for d1 in 0..<size[1] {
          for d2 in 0..<size[2] {
            let (slice, pixel) = place(d0, d1, d2)
            target.initializeElement(at: at, to: values[slice * height * width + pixel])
            at += 1
          }
        }
      }
      filled = at
    }
  }

  /// Whether the columns of a slice run from one side of the body to the other.
  public var showsBothSides: Bool { plane != .zx }

  /// D0, D1, D2 of the volume.
  public var volumeSize: [Int] {
    switch plane {
    case .xy: [count, height, width]
    case .zy: [height, count, width]
    case .zx: [height, width, count]
    }
  }

  /// Writes what the path hands to the second stage of one row of the volume: mask and both normalised
  /// channels beside each other.
  ///
  /// - Parameters:
  ///   - d0: The row's plane.
  ///   - d1: The row.
  ///   - normalization: That of the path.
  ///   - mask: 0 or 1, `[L, a, b]`.
  ///   - target: `[D2, channels]`, from the first of the three channels of this path.
  ///   - channels: Channels of all paths.
  func fillRow(
    _ d0: Int, _ d1: Int, by normalization: StrokeNormalization, mask: [UInt8],
    into target: UnsafeMutablePointer<Float>, channels: Int
  ) {
    let (pixels, length) = (height * width, volumeSize[2])
    let (slice, pixel) = place(d0, d1, 0)
    let run = SliceStatistics.PixelRun(
      count: length, slice: slice, pixel: pixel, sliceStep: plane == .zx ? 1 : 0,
      pixelStep: plane == .zx ? 0 : 1)
    let first = slice * pixels + pixel
    let step = plane == .zx ? pixels : 1
    mask.withUnsafeBufferPointer { mask in
      for d2 in 0..<length { target[d2 * channels] = Float(mask[first + d2 * step]) }
    }
    slices.withValues { values in
      guard let values = values.baseAddress else { return }
      statistics.normalize(run, of: values, into: target + 1, step: channels, by: normalization)
    }
  }
}
