import Imaging

/// How many voxels an axis has after resampling.
enum ResampledSize {
  /// The most voxels that an image may have afterwards: more than any scan has, and still addressable.
  private static let limit = 1 << 30

  /// Checks what voxel sizes of a header would make of an image before memory is taken for it.
  ///
  /// - Parameters:
  ///   - sizes: Voxels along each axis.
  ///   - ratios: By how much each axis grows.
  ///   - file: The name in errors.
  /// - Returns: The voxels afterwards, at least one along each axis.
  /// - Throws: ``ImagingError/invalidDimensions(file:dimensions:reason:)``.
  static func sizes(
    _ sizes: [Int], ratios: [Double], file: String
  ) throws(ImagingError) -> [Int] {
    var (result, product) = ([Int](), 1.0)
    for (size, ratio) in zip(sizes, ratios) {
      let wanted = max(1, (Double(size) * ratio).rounded())
      product *= wanted
      guard product.isFinite, product <= Double(limit) else {
        throw .invalidDimensions(
          file: file, dimensions: sizes,
          reason: "with these voxel sizes it would have too many voxels after resampling")
      }
      result.append(Int(wanted))
    }
    return result
  }
}
