import Foundation
import Imaging
import Randomness
import Testing

@Suite("PNG pixels and writing")
struct PNGPixelsTests {
  private func image(_ name: String) throws -> PNGImage {
    try PNGImage(contentsOf: PNGFixture.url("png/\(name).png").path)
  }

  @Test("grey and RGB keep their values at any depth, without a warning")
  func plain() throws {
    for (name, channels, depth) in [
      ("basn0g01", 1, 1), ("basn0g16", 1, 16), ("basi2c08", 3, 8), ("basn2c16", 3, 16),
    ] {
      let image = try image(name)
      let pixels = image.pixels()
      #expect(pixels.channels == channels)
      #expect(pixels.bitDepth == depth)
      #expect(pixels.values == image.samples.map(Float.init))
      #expect(pixels.alpha == nil)
      #expect(pixels.warnings == [])
    }
  }

  @Test("a palette becomes the colours that the same picture has as RGB")
  func palette() throws {
    // The two files show one picture: as palette with, as RGB without indirection.
    let indexed = try image("tp0n3p08").pixels()
    #expect(indexed.channels == 3)
    #expect(indexed.bitDepth == 8)
    #expect(indexed.warnings == [.paletteExpanded])
    let source = try image("tp0n3p08")
    for pixel in 0..<source.samples.count {
      let entry = source.palette[Int(source.samples[pixel])]
      #expect(indexed.values[3 * pixel] == Float(entry.red))
      #expect(indexed.values[3 * pixel + 1] == Float(entry.green))
      #expect(indexed.values[3 * pixel + 2] == Float(entry.blue))
    }
  }

  @Test("an alpha channel is set aside with a warning, colours are not blended")
  func alphaChannel() throws {
    for (name, channels) in [("basn4a16", 1), ("basi6a08", 3)] {
      let image = try image(name)
      let pixels = image.pixels()
      let stored = image.colour.channels
      #expect(pixels.channels == channels)
      for pixel in 0..<32 * 32 {
        for channel in 0..<channels {
          #expect(
            pixels.values[pixel * channels + channel]
              == Float(image.samples[pixel * stored + channel]))
        }
        #expect(pixels.alpha?[pixel] == Float(image.samples[pixel * stored + channels]))
      }
      let opaque = Float((1 << image.bitDepth) - 1)
      let translucent = try #require(pixels.alpha).count { $0 < opaque }
      #expect(pixels.warnings == [.alphaSetAside(translucentPixels: translucent)])
      #expect(translucent > 0)
    }
  }

  @Test("a transparent colour, grey, RGB or in a palette, makes its pixels transparent")
  func transparentColour() throws {
    for name in ["tbbn0g04", "tbbn2c16", "tbbn3p08"] {
      let image = try image(name)
      let pixels = image.pixels()
      let alpha = try #require(pixels.alpha, "\(name)")
      let transparent = alpha.count { $0 == 0 }
      #expect(transparent > 0 && transparent < alpha.count, "\(name)")
      #expect(pixels.warnings.contains(.alphaSetAside(translucentPixels: transparent)), "\(name)")
    }
  }

  @Test(
    "what is written is read back", arguments: [PNGImage.Colour.grey, .rgb], [8, 16])
  func roundTrip(colour: PNGImage.Colour, bitDepth: Int) throws {
    var generator = SeededGenerator(seed: 5)
    for (height, width) in [(1, 1), (3, 7), (40, 33)] {
      let samples = (0..<height * width * colour.channels).map { _ in
        UInt16(generator.nextInt(below: 1 << bitDepth))
      }
      let image = PNGImage(
        samples: samples, height: height, width: width, colour: colour, bitDepth: bitDepth)
      let data = try image.encoded()
      #expect(try PNGImage(decoding: data, name: "x") == image)
      #expect(try image.encoded() == data)
    }
  }

  @Test("a palette image is read back with its colours")
  func paletteRoundTrip() throws {
    for count in [1, 7, 256] {
      let palette = (0..<count).map {
        PNGImage.PaletteEntry(red: UInt8($0), green: UInt8(255 - $0), blue: 9)
      }
      let indices = (0..<12 * 5).map { UInt16($0 * 31 % count) }
      let image = PNGImage(indices: indices, height: 5, width: 12, palette: palette)
      #expect(try PNGImage(decoding: image.encoded(), name: "x") == image)
    }
  }

  @Test("16-bit samples of a real file survive a round trip")
  func realRoundTrip() throws {
    let original = try image("basi2c16")
    let copy = PNGImage(
      samples: original.samples, height: 32, width: 32, colour: .rgb, bitDepth: 16)
    let again = try PNGImage(decoding: copy.encoded(), name: "x")
    #expect(again.samples == original.samples)
    #expect(again.bitDepth == 16)
  }

  @Test("float values are rounded half to even and saturated")
  func rounding() {
    let (image, saturatedCount) = PNGImage.rounding(
      [-3, 0.5, 1.5, -2, 254.6, 300, .nan, .infinity], height: 2, width: 4, colour: .grey,
      bitDepth: 8)
    #expect(image.samples == [0, 0, 2, 0, 255, 255, 0, 255])
    #expect(saturatedCount == 3)
    let deep = PNGImage.rounding(
      [65_534.5, 70_000], height: 1, width: 2, colour: .grey, bitDepth: 16)
    #expect(deep.image.samples == [65_534, 65_535])
    #expect(deep.saturatedCount == 1)
  }

  @Test("a file is written atomically and never replaces without being asked")
  func writing() throws {
    try withTemporaryFolder { folder in
      let path = folder.appending(path: "a.png").path
      let image = PNGImage(samples: [1, 2, 3], height: 1, width: 1, colour: .rgb, bitDepth: 16)
      try image.write(to: path)
      #expect(try PNGImage(contentsOf: path) == image)
      #expect(throws: ImagingError.outputExists(file: path)) { try image.write(to: path) }
      let other = PNGImage(samples: [9], height: 1, width: 1, colour: .grey, bitDepth: 8)
      try other.write(to: path, overwrite: true)
      #expect(try PNGImage(contentsOf: path) == other)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["a.png"])
    }
  }
}
