public import TensorCore

/// How the stroke system normalises slices, by the authors' names.
public enum StrokeNormalization: String, Sendable, CaseIterable, Codable {
  /// Each slice by its own mean and deviation.
  case inPlane = "12"
  /// Each pixel position by mean and deviation over the slices of the volume.
  case throughPlane = "3"
  /// Through the plane, then in it.
  case both = "123"

  /// Normalises all slices of one volume.
  ///
  /// `(x − µ)/σ` with the population deviation, channel by channel; 0 where σ is 0.
  ///
  /// - Parameter slices: `[L, a, b, C]`, every slice of one volume.
  /// - Returns: The same shape.
  public func normalized(_ slices: Tensor) -> Tensor {
    precondition(slices.shape.rank == 4, "stroke normalisation: \(slices.shape), not [L, a, b, C]")
    let statistics = SliceStatistics(of: slices)
    return Tensor(slices.shape) { target in
      slices.withValues { values in
        for slice in 0..<slices.shape[0] {
          let first = slice * statistics.sliceCount
          for place in 0..<statistics.sliceCount {
            target[first + place] = statistics.normalized(
              values[first + place], slice: slice, place: place,
              channel: place % statistics.channels, by: self)
          }
        }
      }
    }
  }
}

/// What normalises the slices of one volume in every way: means and inverse deviations, in tables that
/// are small beside the volume, so that no normalised volume need be kept.
struct SliceStatistics: Sendable {
  /// Mean and inverse population deviation of groups of values; the latter is 0 where all are equal.
  struct Table: Sendable {
    fileprivate(set) var means: [Double]
    fileprivate(set) var scales: [Double]

    fileprivate init(count: Int) {
      means = [Double](repeating: 0, count: count)
      scales = means
    }

    @inline(__always)
    func normalized(_ x: Float, _ group: Int) -> Float {
      Float((Double(x) - means[group]) * scales[group])
    }
  }

  /// Channels of a slice.
  let channels: Int
  /// Values of a slice, all channels.
  let sliceCount: Int
  /// One group for each slice and channel.
  let inPlane: Table
  /// One group for each pixel and channel.
  let throughPlane: Table
  /// One group for each slice and channel, of the values that are normalised through the plane.
  let both: Table

  /// The statistics of slices `[L, a, b, C]`.
  init(of slices: Tensor) {
    let (count, channels) = (slices.shape[0], slices.shape[3])
    let sliceCount = slices.shape[1] * slices.shape[2] * channels
    self.channels = channels
    self.sliceCount = sliceCount
    (inPlane, throughPlane, both) = slices.withValues { values in
      let through = Self.throughPlane(values, count: count, sliceCount: sliceCount)
      func perSlice(_ first: Table?) -> Table {
        Self.perSlice(
          values, count: count, sliceCount: sliceCount, channels: channels, after: first)
      }
      return (perSlice(nil), through, perSlice(through))
    }
  }

  /// One normalised value.
  ///
  /// - Parameters:
  ///   - x: The value.
  ///   - slice: Its slice.
  ///   - place: Its pixel and channel, `pixel · C + channel`.
  ///   - channel: The channel.
  ///   - normalization: How it is normalised.
  /// - Returns: Its distance from the mean in deviations.
  @inline(__always)
  func normalized(
    _ x: Float, slice: Int, place: Int, channel: Int, by normalization: StrokeNormalization
  ) -> Float {
    let group = slice * channels + channel
    return switch normalization {
    case .inPlane: inPlane.normalized(x, group)
    case .throughPlane: throughPlane.normalized(x, place)
    case .both: both.normalized(throughPlane.normalized(x, place), group)
    }
  }

  private static func throughPlane(
    _ values: UnsafeBufferPointer<Float>, count: Int, sliceCount: Int
  ) -> Table {
    var table = Table(count: sliceCount)
    var squares = [Double](repeating: 0, count: sliceCount)
    var isConstant = [Bool](repeating: true, count: sliceCount)
    for slice in 0..<count {
      let first = slice * sliceCount
      for place in 0..<sliceCount {
        table.means[place] += Double(values[first + place])
        if values[first + place] != values[place] { isConstant[place] = false }
      }
    }
    for place in 0..<sliceCount { table.means[place] /= Double(count) }
    for slice in 0..<count {
      let first = slice * sliceCount
      for place in 0..<sliceCount {
        let difference = Double(values[first + place]) - table.means[place]
        squares[place] += difference * difference
      }
    }
    for place in 0..<sliceCount where !isConstant[place] {
      table.scales[place] = 1 / (squares[place] / Double(count)).squareRoot()
    }
    return table
  }

  private static func perSlice(
    _ values: UnsafeBufferPointer<Float>, count: Int, sliceCount: Int, channels: Int,
    after first: Table?
  ) -> Table {
    var table = Table(count: count * channels)
    let pixels = sliceCount / channels
    var slice = [Float](repeating: 0, count: sliceCount)
    for index in 0..<count {
      for place in 0..<sliceCount {
        let x = values[index * sliceCount + place]
        slice[place] = first?.normalized(x, place) ?? x
      }
      for channel in 0..<channels {
        var (sum, squares, isConstant) = (0.0, 0.0, true)
        for place in stride(from: channel, to: sliceCount, by: channels) {
          sum += Double(slice[place])
          if slice[place] != slice[channel] { isConstant = false }
        }
        let mean = sum / Double(pixels)
        table.means[index * channels + channel] = mean
        guard !isConstant else { continue }
        for place in stride(from: channel, to: sliceCount, by: channels) {
          let difference = Double(slice[place]) - mean
          squares += difference * difference
        }
        table.scales[index * channels + channel] =
          1 / (squares / Double(pixels)).squareRoot()
      }
    }
    return table
  }
}
