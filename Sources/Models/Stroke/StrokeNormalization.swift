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
    let pixels = slices.shape[1] * slices.shape[2]
    return Tensor(slices.shape) { target in
      slices.withValues { values in
        guard let values = values.baseAddress, let target = target.baseAddress else { return }
        for slice in 0..<slices.shape[0] {
          statistics.normalize(
            SliceStatistics.PixelRun(count: pixels, slice: slice, pixel: 0), of: values,
            into: target + slice * statistics.sliceCount, step: statistics.channels, by: self)
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

    func normalized(_ x: Float, _ group: Int) -> Float {
      Float((Double(x) - means[group]) * scales[group])
    }

    /// Has the threads fill it, `grain` groups at a time.
    fileprivate mutating func fill(
      grain: Int,
      _ body: (
        _ means: UnsafeMutablePointer<Double>, _ scales: UnsafeMutablePointer<Double>,
        _ groups: Range<Int>
      ) -> Void
    ) {
      let count = means.count
      means.withUnsafeMutableBufferPointer { means in
        scales.withUnsafeMutableBufferPointer { scales in
          guard let means = means.baseAddress, let scales = scales.baseAddress else { return }
          Engine.shared.perform {
            Engine.shared.workers.run(count: count, grain: grain) { body(means, scales, $0) }
          }
        }
      }
    }

    /// The table's memory, for loops.
    @inline(__always)
    fileprivate func withPointers(_ body: (Pointers) -> Void) {
      means.withUnsafeBufferPointer { means in
        scales.withUnsafeBufferPointer { scales in
          guard let means = means.baseAddress, let scales = scales.baseAddress else { return }
          body(Pointers(means: means, scales: scales))
        }
      }
    }

    fileprivate struct Pointers {
      let means: UnsafePointer<Double>
      let scales: UnsafePointer<Double>
    }
  }

  /// Pixels that lie evenly spaced among the slices.
  struct PixelRun {
    let count: Int
    /// Of the first pixel.
    let slice: Int
    let pixel: Int
    var sliceStep = 0
    var pixelStep = 1
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

  /// Normalises values that lie evenly spaced among the slices.
  ///
  /// - Parameters:
  ///   - run: How many, and where they lie.
  ///   - values: `[L, a · b, C]`.
  ///   - target: Gets the values of each pixel, `step` elements after those of the one before.
  ///   - step: At least C.
  ///   - normalization: How they are normalised.
  func normalize(
    _ run: PixelRun, of values: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>,
    step: Int, by normalization: StrokeNormalization
  ) {
    inPlane.withPointers { inPlane in
      throughPlane.withPointers { throughPlane in
        both.withPointers { both in
          switch normalization {
          case .inPlane:
            normalize(run, of: values, into: target, step: step, by: inPlane, through: nil)
          case .throughPlane:
            normalize(run, of: values, into: target, step: step, by: nil, through: throughPlane)
          case .both:
            normalize(run, of: values, into: target, step: step, by: both, through: throughPlane)
          }
        }
      }
    }
  }

  /// Through the plane by one table, then in it by another; either may be left out.
  @inline(__always)
  private func normalize(
    _ run: PixelRun, of values: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>,
    step: Int, by perSlice: Table.Pointers?, through: Table.Pointers?
  ) {
    for channel in 0..<channels {
      var group = run.slice * channels + channel
      var place = run.pixel * channels + channel
      var source = run.slice * sliceCount + place
      var at = channel
      let (groupStep, placeStep) = (run.sliceStep * channels, run.pixelStep * channels)
      let sourceStep = run.sliceStep * sliceCount + placeStep
      for _ in 0..<run.count {
        var x = values[source]
        if let through {
          x = Float((Double(x) - through.means[place]) * through.scales[place])
        }
        if let perSlice {
          x = Float((Double(x) - perSlice.means[group]) * perSlice.scales[group])
        }
        target[at] = x
        group += groupStep
        place += placeStep
        source += sourceStep
        at += step
      }
    }
  }

  private static func throughPlane(
    _ values: UnsafeBufferPointer<Float>, count: Int, sliceCount: Int
  ) -> Table {
    var table = Table(count: sliceCount)
    guard let base = values.baseAddress else { return table }
    table.fill(grain: 1 << 12) { means, scales, places in
      // Slice after slice, as they lie in memory; squares stand where the scales will be.
      var varies = [Bool](repeating: false, count: places.count)
      for slice in 0..<count {
        let slice = base + slice * sliceCount
        for (index, place) in places.enumerated() {
          means[place] += Double(slice[place])
          if slice[place] != base[place] { varies[index] = true }
        }
      }
      for place in places { means[place] /= Double(count) }
      for slice in 0..<count {
        let slice = base + slice * sliceCount
        for place in places {
          let difference = Double(slice[place]) - means[place]
          scales[place] += difference * difference
        }
      }
      for (index, place) in places.enumerated() {
        scales[place] =
          varies[index] ? 1 / (scales[place] / Double(count)).squareRoot() : 0
      }
    }
    return table
  }

  private static func perSlice(
    _ values: UnsafeBufferPointer<Float>, count: Int, sliceCount: Int, channels: Int,
    after first: Table?
  ) -> Table {
    var table = Table(count: count * channels)
    guard let base = values.baseAddress else { return table }
    let pixels = sliceCount / channels
    table.fill(grain: channels) { means, scales, groups in
      let source = base + groups.lowerBound / channels * sliceCount
      let normalized =
        first.map { first in
          (0..<sliceCount).map { first.normalized(source[$0], $0) }
        } ?? Array(UnsafeBufferPointer(start: source, count: sliceCount))
      normalized.withUnsafeBufferPointer { slice in
        for (channel, group) in groups.enumerated() {
          var (sum, squares, isConstant) = (0.0, 0.0, true)
          for place in stride(from: channel, to: sliceCount, by: channels) {
            sum += Double(slice[place])
            if slice[place] != slice[channel] { isConstant = false }
          }
          let mean = sum / Double(pixels)
          means[group] = mean
          guard !isConstant else { continue }
          for place in stride(from: channel, to: sliceCount, by: channels) {
            let difference = Double(slice[place]) - mean
            squares += difference * difference
          }
          scales[group] = 1 / (squares / Double(pixels)).squareRoot()
        }
      }
    }
    return table
  }
}
