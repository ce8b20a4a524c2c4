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

  /// Up to eight frames side by side with the structures' outlines: red, green, blue for labels 1, 2, 3.
  func strip() -> PNGImage {
    let (width, height) = (scan.volume.size.x, scan.volume.size.y)
    let shown = min(8, labels.count)
    let indices = (0..<shown).map { shown == 1 ? 0 : $0 * (labels.count - 1) / (shown - 1) }
    var samples = [UInt16](repeating: 0, count: shown * width * height * 3)
    let colours: [[UInt16]] = [[], [255, 64, 64], [64, 220, 64], [96, 128, 255]]
    for (position, index) in indices.enumerated() {
      let frame = labels[index]
      let first = index * width * height
      let greys = map.normalized(Array(scan.volume.voxels[first..<first + width * height]))
      for row in 0..<height {
        for column in 0..<width {
          let pixel = row * width + column
          let label = frame[pixel]
          let isBorder =
            (column + 1 < width && frame[pixel + 1] != label)
            || (row + 1 < height && frame[pixel + width] != label)
          let below = row + 1 < height ? frame[pixel + width] : 0
          let beside = column + 1 < width ? frame[pixel + 1] : 0
          let shownLabel = Int(max(label, max(below, beside)))
          let grey = UInt16((min(max(greys[pixel], 0), 1) * 255).rounded())
          let colour =
            isBorder && shownLabel < colours.count ? colours[shownLabel] : [grey, grey, grey]
          let at = (row * shown * width + position * width + column) * 3
          for channel in 0..<3 { samples[at + channel] = colour[channel] }
        }
      }
    }
    return PNGImage(
      samples: samples, height: height, width: shown * width, colour: .rgb, bitDepth: 8)
  }
}
