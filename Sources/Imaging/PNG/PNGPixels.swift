/// The intensities or colours of a PNG image as float32, ready to work on.
public struct PNGPixels: Sendable, Equatable {
  /// The number of rows.
  public let height: Int
  /// The number of columns.
  public let width: Int
  /// The number of channels: 1 for grey, 3 for red, green, blue.
  public let channels: Int
  /// The values, shape `[height, width, channels]`, in `0 ... 2^bitDepth - 1`.
  public let values: [Float]
  /// The bit depth that ``values`` have the range of; 8 for an expanded palette.
  public let bitDepth: Int
  /// The opacities, shape `[height, width]`, in `0 ... 2^bitDepth - 1`; nil if all are opaque.
  public let alpha: [Float]?
  /// What was expanded or set aside, after the warnings of the reader.
  public let warnings: [PNGWarning]
}

extension PNGImage {
  /// The intensities or colours of the image.
  ///
  /// A palette is replaced by its colours. Opacities, given as a channel, per palette entry or as one
  /// transparent colour, are set apart: colours are those stored, not blended with a background. Both
  /// leave a warning.
  ///
  /// - Returns: Values of one or three channels.
  public func pixels() -> PNGPixels {
    var warnings = warnings
    let values: [Float]
    var alpha: [Float]?
    var depth = bitDepth
    switch colour {
    case .grey, .rgb:
      values = samples.map(Float.init)
      alpha = transparentColour.map { opacities(transparent: $0) }
    case .greyAlpha, .rgbAlpha:
      let channels = colour.channels
      values = samples.indices.lazy.filter { $0 % channels != channels - 1 }.map {
        Float(samples[$0])
      }
      alpha = stride(from: channels - 1, to: samples.count, by: channels).map { Float(samples[$0]) }
    case .palette:
      values = colours(of: palette)
      depth = 8
      warnings.append(.paletteExpanded)
      if palette.contains(where: { $0.alpha != 255 }) {
        alpha = samples.map { Float(palette[Int($0)].alpha) }
      }
    }
    let opaque = Float((1 << depth) - 1)
    if let opacities = alpha {
      let translucent = opacities.count { $0 < opaque }
      warnings.append(.alphaSetAside(translucentPixels: translucent))
      if translucent == 0 { alpha = nil }
    }
    return PNGPixels(
      height: height, width: width, channels: values.count / (height * width), values: values,
      bitDepth: depth, alpha: alpha, warnings: warnings)
  }

  /// The colours that the samples of a palette image point to, shape `[height, width, 3]`.
  private func colours(of palette: [PaletteEntry]) -> [Float] {
    var values: [Float] = []
    values.reserveCapacity(samples.count * 3)
    for sample in samples {
      let entry = palette[Int(sample)]
      values.append(Float(entry.red))
      values.append(Float(entry.green))
      values.append(Float(entry.blue))
    }
    return values
  }

  /// The opacity of each pixel if one colour means transparent.
  private func opacities(transparent: [UInt16]) -> [Float] {
    let channels = colour.channels
    let opaque = Float((1 << bitDepth) - 1)
    return stride(from: 0, to: samples.count, by: channels).map { pixel in
      samples[pixel..<pixel + channels].elementsEqual(transparent) ? 0 : opaque
    }
  }
}
