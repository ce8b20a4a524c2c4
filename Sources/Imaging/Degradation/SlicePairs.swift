/// Works through a volume slice by slice where a slice gives two images.
enum SlicePairs {
  /// Calls `body` for each slice of the acquisition plane and puts what it returns in place.
  ///
  /// - Parameters:
  ///   - volume: The clean images.
  ///   - threads: Threads that share the slices.
  ///   - body: Gets a slice and its number, counted through all volumes; returns two images of its
  ///     size. Must depend on these alone.
  /// - Returns: The two volumes.
  /// - Throws: The first slice's error.
  static func make<Failure: Error>(
    of volume: Volume, threads: Int,
    _ body: (ImageSlice, UInt64) throws(Failure) -> ([Float], [Float])
  ) throws(Failure) -> (degraded: Volume, reference: Volume) {
    let plane = volume.geometry.acquisitionPlane
    let count = volume.slices(in: plane).count
    var results = [Result<([Float], [Float]), Failure>?](
      repeating: nil, count: count * volume.volumeCount)
    results.withUnsafeMutableBufferPointer { results in
      // Each call writes its own element.
      nonisolated(unsafe) let results = results
      Parallel.run(results.count, threads: threads) { index in
        let slice = volume.slices(in: plane, ofVolume: index / count)[index % count]
        do throws(Failure) {
          results[index] = .success(try body(slice, UInt64(index)))
        } catch { results[index] = .failure(error) }
      }
    }
    var (degraded, reference) = (volume, volume)
    for (index, result) in results.enumerated() {
      guard let pair = try result?.get() else { continue }
      var slice = volume.slices(in: plane, ofVolume: index / count)[index % count]
      slice.pixels = pair.0
      degraded.replaceSlice(at: index % count, in: plane, ofVolume: index / count, with: slice)
      slice.pixels = pair.1
      reference.replaceSlice(at: index % count, in: plane, ofVolume: index / count, with: slice)
    }
    return (degraded, reference)
  }
}

extension ImageSlice {
  /// Whether rows are as far apart as columns, within 1 %.
  fileprivate var hasSquarePixels: Bool {
    abs(rowSpacing - columnSpacing) <= 0.01 * max(rowSpacing, columnSpacing)
  }

  /// The side of the pixels in mm.
  ///
  /// - Returns: The mean of row and column spacing.
  /// - Throws: ``ImagingError/invalidParameter(name:value:reason:)`` if they differ by more than
  ///   1 %.
  func squarePixel() throws(ImagingError) -> Double {
    guard hasSquarePixels else {
      throw .invalidParameter(
        name: "pixel size", value: "\(rowSpacing) x \(columnSpacing) mm",
        reason: "projections need slices with square pixels")
    }
    return (rowSpacing + columnSpacing) / 2
  }
}

extension Volume {
  /// Sums along rays, over views and over iterations stay below the largest Float32.
  private static let largestProjected: Float = 1e25

  /// Checks that slices of the acquisition plane can be projected: that their pixels are square, within 1 %, and
  /// sums of their intensities finite.
  ///
  /// - Parameter file: The name of this volume in the error.
  /// - Throws: ``ImagingError/pixelsNotSquare(file:row:column:)`` or
  ///   ``ImagingError/intensityTooLarge(file:value:)``.
  public func requireProjectable(file: String) throws(ImagingError) {
    if let value = voxels.first(where: { $0.magnitude > Self.largestProjected }) {
      throw .intensityTooLarge(file: file, value: value)
    }
    guard let slice = slices(in: geometry.acquisitionPlane).first, !slice.hasSquarePixels else {
      return
    }
    throw .pixelsNotSquare(file: file, row: slice.rowSpacing, column: slice.columnSpacing)
  }
}
