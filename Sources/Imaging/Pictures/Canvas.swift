/// A colour of a picture, 8 bits per component.
package struct PictureColour: Equatable {
  package var red: UInt8
  package var green: UInt8
  package var blue: UInt8

  package init(_ red: UInt8, _ green: UInt8, _ blue: UInt8) {
    self.red = red
    self.green = green
    self.blue = blue
  }

  /// A grey of a brightness in `[0, 1]`; NaN is black.
  init(brightness: Double) {
    let level = brightness.isNaN ? 0 : UInt8((min(max(brightness, 0), 1) * 255).rounded())
    self.init(level, level, level)
  }

  package static let white = PictureColour(255, 255, 255)
  static let black = PictureColour(0, 0, 0)
}

/// A rectangle of pixels; x runs to the right, y down.
struct PictureRect: Equatable {
  var x: Int
  var y: Int
  var width: Int
  var height: Int
}

/// An RGB picture that is drawn on; what lies outside of it is left out.
struct Canvas {
  let width: Int
  let height: Int
  private(set) var samples: [UInt16]

  init(width: Int, height: Int, background: PictureColour) {
    self.width = width
    self.height = height
    samples = [UInt16](repeating: 0, count: width * height * 3)
    fill(PictureRect(x: 0, y: 0, width: width, height: height), background)
  }

  /// The picture as an image to be written.
  var image: PNGImage {
    PNGImage(samples: samples, height: height, width: width, colour: .rgb, bitDepth: 8)
  }

  subscript(x: Int, y: Int) -> PictureColour {
    get {
      let at = (y * width + x) * 3
      return PictureColour(UInt8(samples[at]), UInt8(samples[at + 1]), UInt8(samples[at + 2]))
    }
    set {
      guard (0..<width).contains(x), (0..<height).contains(y) else { return }
      let at = (y * width + x) * 3
      samples[at] = UInt16(newValue.red)
      samples[at + 1] = UInt16(newValue.green)
      samples[at + 2] = UInt16(newValue.blue)
    }
  }

  mutating func fill(_ rect: PictureRect, _ colour: PictureColour) {
    for y in rect.y..<rect.y + rect.height {
      for x in rect.x..<rect.x + rect.width { self[x, y] = colour }
    }
  }

  /// Draws a line one pixel wide around a rectangle, outside of it.
  mutating func frame(_ rect: PictureRect, _ colour: PictureColour) {
    let (right, bottom) = (rect.x + rect.width, rect.y + rect.height)
    for x in rect.x - 1...right {
      self[x, rect.y - 1] = colour
      self[x, bottom] = colour
    }
    for y in rect.y - 1...bottom {
      self[rect.x - 1, y] = colour
      self[right, y] = colour
    }
  }

  /// Draws pixels, shape `[height, width]`, coloured by a closure.
  mutating func draw(
    _ pixels: [Double], in rect: PictureRect, _ colour: (Double) -> PictureColour
  ) {
    precondition(
      pixels.count == rect.width * rect.height,
      "Canvas: \(pixels.count) pixels for \([rect.height, rect.width])")
    for y in 0..<rect.height {
      for x in 0..<rect.width {
        self[rect.x + x, rect.y + y] = colour(pixels[y * rect.width + x])
      }
    }
  }

  /// Draws a line of text.
  ///
  /// - Parameters:
  ///   - text: The text; characters other than printable ASCII show as question marks.
  ///   - x: The left end.
  ///   - y: The top of the capitals.
  ///   - scale: Pixels per pixel of the typeface.
  ///   - colour: The colour of the text.
  ///   - outline: A second colour around the text, to be seen on any background.
  mutating func draw(
    _ text: String, x: Int, y: Int, scale: Int, colour: PictureColour,
    outline: PictureColour? = nil
  ) {
    let passes = outline.map { [($0, 1), (colour, 0)] } ?? [(colour, 0)]
    for (passColour, border) in passes {
      var left = x
      for character in text {
        drawGlyph(character, x: left, y: y, scale: scale, border: border, passColour)
        left += BitmapFont.advance * scale
      }
    }
  }

  private mutating func drawGlyph(
    _ character: Character, x: Int, y: Int, scale: Int, border: Int, _ colour: PictureColour
  ) {
    for row in 0..<BitmapFont.glyphHeight {
      for column in 0..<BitmapFont.glyphWidth
      where BitmapFont.isSet(character, column: column, row: row) {
        fill(
          PictureRect(
            x: x + column * scale - border, y: y + row * scale - border,
            width: scale + 2 * border, height: scale + 2 * border), colour)
      }
    }
  }
}
