import Imaging

/// Which voxels the figures of an image and its reference are about: those that the reference knows.
///
/// Files give 0 for what is not finite. A reference's own would pass as black, and widen the data range;
/// an image's would pass as a good guess.
struct FigureVoxels {
  /// Whether each voxel counts, in the order of the work array; nil if all do.
  let counted: [Bool]?
  /// What is worth telling, one sentence each.
  let warnings: [String]
  private let broken: NonFiniteMask?

  /// Finds the voxels that count.
  ///
  /// - Parameters:
  ///   - broken: Where the image is not finite; nil if nowhere.
  ///   - reference: Where its reference is not, a mask of as many voxels.
  ///   - name: What warnings call the pair.
  init(broken: NonFiniteMask?, reference: NonFiniteMask?, name: String) {
    counted = reference?.finite
    self.broken = broken
    var warnings: [String] = []
    if let reference {
      warnings.append(
        "\(name): \(reference.count) voxels of the reference are not finite; figures leave them out"
      )
    }
    if let broken {
      let count = (0..<broken.voxelCount).count { broken[$0] && !(reference?[$0] ?? false) }
      if count > 0 {
        warnings.append(
          "\(name): \(count) voxels are not finite where the reference is; figures are NaN")
      }
    }
    self.warnings = warnings
  }

  /// The image, or what was made of it, with NaN where it is not finite.
  func marked(_ image: Volume) -> Volume { broken?.applied(to: image) ?? image }
}
