extension PNGVolume {
  /// Writes a volume as a folder of PNG slices.
  ///
  /// - Parameters:
  ///   - volume: One volume with as many slices as the output has names; rounded and saturated.
  ///   - bitDepth: Less than 8 becomes 8.
  ///   - output: Where to.
  ///   - overwrite: Whether files of these names are replaced.
  /// - Returns: How many values lay beyond the range and were set to its end.
  /// - Throws: As ``PNGStackOutput/write(overwrite:_:)``, or
  ///   ``ImagingError/unsupportedFormat(file:reason:)`` for another number of slices.
  public static func writeStack(
    _ volume: Volume, bitDepth: Int, to output: PNGStackOutput, overwrite: Bool
  ) throws(ImagingError) -> Int {
    let size = volume.size
    guard volume.volumeCount == 1, size.z == output.names.count else {
      throw .unsupportedFormat(
        file: output.folder,
        reason: "\(output.names.count) slices were read, \(size) are to be written")
    }
    var saturatedCount = 0
    let pixels = size.x * size.y
    try output.write(overwrite: overwrite) { index in
      let (image, saturated) = PNGImage.rounding(
        Array(volume.voxels[index * pixels..<(index + 1) * pixels]), height: size.y, width: size.x,
        colour: .grey, bitDepth: max(8, bitDepth))
      saturatedCount += saturated
      return image
    }
    return saturatedCount
  }
}
