extension PNGImage {
  /// The picture at half its size: each pixel the mean of four, an odd last row or column left out.
  ///
  /// - Returns: A picture of the same kind; the picture itself if it has one row or column.
  public func halved() -> PNGImage {
    guard height > 1, width > 1, palette.isEmpty else { return self }
    let (rows, columns, channels) = (height / 2, width / 2, colour.channels)
    var result = [UInt16](repeating: 0, count: rows * columns * channels)
    for y in 0..<rows {
      for x in 0..<columns {
        for channel in 0..<channels {
          let first = (2 * y * width + 2 * x) * channels + channel
          let below = first + width * channels
          let top = Int(samples[first]) + Int(samples[first + channels])
          let bottom = Int(samples[below]) + Int(samples[below + channels])
          result[(y * columns + x) * channels + channel] = UInt16((top + bottom + 2) / 4)
        }
      }
    }
    return PNGImage(
      samples: result, height: rows, width: columns, colour: colour, bitDepth: bitDepth)
  }
}
