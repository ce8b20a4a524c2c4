/// A PNG image with its samples as they are stored.
///
/// Samples are neither scaled nor gamma corrected, and the samples of a palette image are indices;
/// ``pixels()`` gives intensities or colours. 1, 2, 4, 8 and 16 bits are kept apart by ``bitDepth``.
public struct PNGImage: Sendable, Equatable {
  /// What the samples of a pixel mean.
  public enum Colour: String, Sendable, CaseIterable {
    /// One intensity.
    case grey
    /// An intensity and its opacity.
    case greyAlpha = "grey+alpha"
    /// Red, green and blue.
    case rgb
    /// Red, green, blue and their opacity.
    case rgbAlpha = "rgb+alpha"
    /// An index into ``PNGImage/palette``.
    case palette

    /// The number of stored samples of one pixel.
    public var channels: Int {
      switch self {
      case .grey, .palette: 1
      case .greyAlpha: 2
      case .rgb: 3
      case .rgbAlpha: 4
      }
    }
  }

  /// A colour of a palette, 8 bits per component.
  public struct PaletteEntry: Sendable, Equatable {
    /// The red component.
    public var red: UInt8
    /// The green component.
    public var green: UInt8
    /// The blue component.
    public var blue: UInt8
    /// The opacity, 255 for opaque.
    public var alpha: UInt8

    /// Creates a colour from its components.
    public init(red: UInt8, green: UInt8, blue: UInt8, alpha: UInt8 = 255) {
      self.red = red
      self.green = green
      self.blue = blue
      self.alpha = alpha
    }
  }

  /// The number of rows.
  public let height: Int
  /// The number of columns.
  public let width: Int
  /// What the samples of a pixel mean.
  public let colour: Colour
  /// The number of bits of a sample: 1, 2, 4, 8 or 16.
  public let bitDepth: Int
  /// The stored samples, shape `[height, width, colour.channels]`.
  public let samples: [UInt16]
  /// The colours that the samples of a palette image point to; empty for other images.
  public let palette: [PaletteEntry]
  /// The one colour that stands for "transparent", as samples of a grey or RGB image.
  public let transparentColour: [UInt16]?
  /// Whether the file was interlaced.
  public let isInterlaced: Bool
  /// What the reader accepted but the user may want to know.
  public let warnings: [PNGWarning]

  init(
    height: Int, width: Int, colour: Colour, bitDepth: Int, samples: [UInt16],
    palette: [PaletteEntry], transparentColour: [UInt16]?, isInterlaced: Bool,
    warnings: [PNGWarning]
  ) {
    self.height = height
    self.width = width
    self.colour = colour
    self.bitDepth = bitDepth
    self.samples = samples
    self.palette = palette
    self.transparentColour = transparentColour
    self.isInterlaced = isInterlaced
    self.warnings = warnings
  }

  /// Creates an image to be written.
  ///
  /// - Parameters:
  ///   - samples: Samples below `2^bitDepth`, shape `[height, width, channels]`, one channel for
  ///     grey and three for RGB.
  ///   - height: The number of rows, at least 1.
  ///   - width: The number of columns, at least 1.
  ///   - colour: ``Colour/grey`` or ``Colour/rgb``.
  ///   - bitDepth: 8 or 16.
  public init(samples: [UInt16], height: Int, width: Int, colour: Colour, bitDepth: Int) {
    precondition(
      height > 0 && width > 0 && samples.count == height * width * colour.channels,
      "PNGImage: \(samples.count) samples for shape \([height, width, colour.channels])")
    precondition(
      colour == .grey || colour == .rgb, "PNGImage: \(colour.rawValue) images are not written")
    precondition(bitDepth == 8 || bitDepth == 16, "PNGImage: bit depth \(bitDepth), 8 or 16 can be")
    precondition(
      bitDepth == 16 || samples.allSatisfy { $0 < 256 }, "PNGImage: a sample exceeds 8 bits")
    self.init(
      height: height, width: width, colour: colour, bitDepth: bitDepth, samples: samples,
      palette: [], transparentColour: nil, isInterlaced: false, warnings: [])
  }

  /// Creates a palette image of 8 bits to be written.
  ///
  /// - Parameters:
  ///   - indices: Places in the palette, shape `[height, width]`.
  ///   - height: The number of rows, at least 1.
  ///   - width: The number of columns, at least 1.
  ///   - palette: 1 to 256 opaque colours.
  public init(indices: [UInt16], height: Int, width: Int, palette: [PaletteEntry]) {
    precondition(
      height > 0 && width > 0 && indices.count == height * width,
      "PNGImage: \(indices.count) indices for shape \([height, width])")
    precondition(
      (1...256).contains(palette.count) && palette.allSatisfy { $0.alpha == 255 },
      "PNGImage: palettes of 1 to 256 opaque colours are written")
    precondition(
      indices.allSatisfy { Int($0) < palette.count }, "PNGImage: an index exceeds the palette")
    self.init(
      height: height, width: width, colour: .palette, bitDepth: 8, samples: indices,
      palette: palette, transparentColour: nil, isInterlaced: false, warnings: [])
  }
}

/// Something in a PNG file that was accepted, and what became of it.
public enum PNGWarning: Sendable, Equatable, CustomStringConvertible {
  /// The palette was replaced by its colours.
  case paletteExpanded
  /// Opacities were set aside; the count is that of pixels that are not opaque.
  case alphaSetAside(translucentPixels: Int)
  /// Bytes after the end of the image were left unread.
  case trailingData(bytes: Int)
  /// A remark of the decoder.
  case decoder(String)

  /// The warning as a line of text.
  public var description: String {
    switch self {
    case .paletteExpanded: "palette expanded to red, green and blue"
    case .alphaSetAside(let count): "opacity is not used (\(count) pixels are not opaque)"
    case .trailingData(let bytes): "trailing data: \(bytes) bytes after the image are not read"
    case .decoder(let text): "PNG decoder: \(text)"
    }
  }
}
