import Imaging

/// A clip of one view as it was segmented.
struct EchoView {
  let input: String
  let output: String
  let scan: ScanFile
  /// Brings intensities to 0 … 1.
  let map: IntensityMap
  /// One map per frame, row by row.
  let labels: [[UInt8]]

  /// Whether the file tells the size of a pixel.
  var isSpacingKnown: Bool {
    if case .nifti = scan.source { return true }
    return false
  }

  /// The masks of a structure, frame by frame.
  ///
  /// - Parameter structure: Its place among the structures, from 0; nil for empty masks.
  /// - Returns: One mask per frame.
  func masks(of structure: Int?) -> [ChamberMask] {
    let (size, spacing) = (scan.volume.size, scan.volume.spacing)
    return labels.map { map in
      ChamberMask(
        map.map { label in structure.map { Int(label) == $0 + 1 } ?? false }, height: size.y,
        width: size.x, spacing: (spacing.y, spacing.x))
    }
  }

  /// Up to eight frames side by side with the structures' outlines.
  func strip() -> PNGImage {
    let (width, height) = (scan.volume.size.x, scan.volume.size.y)
    let shown = min(8, labels.count)
    let pictures = (0..<shown).map { place -> PNGImage in
      let index = shown == 1 ? 0 : place * (labels.count - 1) / (shown - 1)
      let pixels = index * width * height..<(index + 1) * width * height
      let greys = map.normalized(Array(scan.volume.voxels[pixels])).map { 255 * $0 }
      var overlay = LabelOverlay(greys, height: height, width: width)
      overlay.outline(labels[index].map(Int32.init))
      return overlay.image
    }
    let samples = (0..<height).flatMap { row in
      pictures.flatMap { $0.samples[row * 3 * width..<(row + 1) * 3 * width] }
    }
    return PNGImage(
      samples: samples, height: height, width: shown * width, colour: .rgb, bitDepth: 8)
  }
}
