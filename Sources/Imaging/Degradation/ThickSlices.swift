/// Slices of several times their thickness, interpolated back to the original ones.
///
/// Each thick slice is the mean of consecutive thin ones (a box profile); the volume on the original
/// grid is linear between their centres and constant beyond the outer ones.
public struct ThickSlices: Sendable, Equatable {
  /// Thin slices to a thick one.
  public let count: Int

  /// Thick slices of some thin ones.
  ///
  /// - Parameter count: Thin slices to a thick one, ≥ 1.
  public init(count: Int) {
    precondition(count >= 1, "ThickSlices: \(count) slices")
    self.count = count
  }

  /// Averages and interpolates along the slices of the acquisition plane.
  ///
  /// - Parameter volume: The clean images.
  /// - Returns: The result on the same grid.
  public func applied(to volume: Volume) -> Volume {
    let plane = volume.geometry.acquisitionPlane
    var result = volume
    for time in 0..<volume.volumeCount {
      let slices = volume.slices(in: plane, ofVolume: time)
      let starts = Array(stride(from: 0, to: slices.count, by: count))
      let thick = starts.map { start -> (centre: Double, pixels: [Float]) in
        let range = start..<min(start + count, slices.count)
        var sum = [Float](repeating: 0, count: slices.layout.height * slices.layout.width)
        for index in range {
          let pixels = slices[index].pixels
          for pixel in sum.indices { sum[pixel] += pixels[pixel] / Float(range.count) }
        }
        return (Double(range.lowerBound + range.upperBound - 1) / 2, sum)
      }
      for index in 0..<slices.count {
        var slice = slices[index]
        let after = thick.firstIndex { $0.centre >= Double(index) } ?? thick.count - 1
        let before = thick[after].centre > Double(index) ? max(0, after - 1) : after
        let gap = thick[after].centre - thick[before].centre
        let t = gap > 0 ? Float((Double(index) - thick[before].centre) / gap) : 0
        for pixel in slice.pixels.indices {
          let (a, b) = (thick[before].pixels[pixel], thick[after].pixels[pixel])
          slice.pixels[pixel] = a + t * (b - a)
        }
        result.replaceSlice(at: index, in: plane, ofVolume: time, with: slice)
      }
    }
    return result
  }
}
