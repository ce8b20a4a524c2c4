import Foundation
import Imaging
import Testing

@Suite("PNG reading")
struct PNGReadingTests {
  private struct Expected: Decodable {
    let width: Int
    let height: Int
    let bitdepth: Int
    let colour: String
    let interlaced: Bool
    let transparentColour: Bool
    let sumOfRawSamples: Int
    let firstRowFirstSamples: [UInt16]
    let lastRowLastSamples: [UInt16]
  }

  private struct Verdict: Decodable {
    let why: String
    let verdict: String
  }

  @Test("every valid file gives its size, depth, colour type and raw samples")
  func validFiles() throws {
    let table: [String: Expected] = try PNGFixture.expectations("png")
    #expect(table.count == 78)
    for (name, expected) in table {
      let image = try PNGImage(contentsOf: PNGFixture.url("png/\(name)").path)
      #expect(image.width == expected.width, "\(name)")
      #expect(image.height == expected.height, "\(name)")
      #expect(image.bitDepth == expected.bitdepth, "\(name)")
      #expect(image.colour.rawValue == expected.colour, "\(name)")
      #expect(image.isInterlaced == expected.interlaced, "\(name)")
      let samples = image.samples
      #expect(samples.count == image.width * image.height * image.colour.channels, "\(name)")
      #expect(samples.reduce(0) { $0 + Int($1) } == expected.sumOfRawSamples, "\(name)")
      let first = expected.firstRowFirstSamples
      let last = expected.lastRowLastSamples
      #expect(Array(samples.prefix(first.count)) == first, "\(name)")
      #expect(Array(samples.suffix(last.count)) == last, "\(name)")
      #expect((image.transparentColour != nil) == expected.transparentColour, "\(name)")
      #expect(image.warnings == [], "\(name)")
    }
  }

  @Test("every damaged file is refused or read, as its table says")
  func damagedFiles() throws {
    let table: [String: Verdict] = try PNGFixture.expectations("png_bad")
    #expect(table.count == 24)
    for (name, expected) in table {
      let data = try PNGFixture.data("png_bad/\(name)")
      do throws(ImagingError) {
        _ = try PNGImage(decoding: data, name: name)
        #expect(expected.verdict != "reject", "\(name), \(expected.why), was read")
      } catch {
        #expect(error.code == 65, "\(name): \(error)")
        #expect(error.headline == "damaged PNG (\(name))")
      }
    }
  }

  @Test("a file cut at any byte is refused")
  func everyCut() throws {
    for name in ["basn3p04.png", "basi2c16.png"] {
      let data = try PNGFixture.data("png/\(name)")
      for count in 0..<data.count {
        let error = #expect(throws: ImagingError.self, "\(name) cut to \(count) bytes") {
          try PNGImage(decoding: data.prefix(count), name: name)
        }
        #expect(error?.kind == "damaged-png")
      }
    }
  }

  @Test("a file with any one bit flipped is refused: every chunk's checksum is compared")
  func everyFlippedByte() throws {
    let name = "basn3p02.png"
    let data = try PNGFixture.data("png/\(name)")
    let original = try PNGImage(decoding: data, name: name)
    for position in data.indices {
      var damaged = data
      damaged[position] ^= 0x10
      // A flip in the type of an optional chunk gives another chunk with a wrong checksum.
      let error = #expect(throws: ImagingError.self, "bit flipped in byte \(position)") {
        let image = try PNGImage(decoding: damaged, name: name)
        Issue.record("read as \(image == original ? "the same" : "another") image")
      }
      #expect(error?.code == 65 || error?.code == 71)
    }
  }

  @Test("100 000 x 100 000 pixels are refused before memory is taken")
  func tooLarge() throws {
    let data = makeHeader(width: 100_000, height: 100_000)
    let error = #expect(throws: ImagingError.self) {
      try PNGImage(decoding: data, name: "huge.png")
    }
    #expect(
      error
        == .pngTooLarge(
          file: "huge.png", width: 100_000, height: 100_000, needed: 60_000_000_000,
          limit: 4 << 30))
    #expect(error?.headline == "PNG too large (huge.png)")
    #expect(error?.code == 71)
  }

  @Test("a size whose product overflows is refused")
  func overflowingSize() throws {
    let data = makeHeader(width: 0x7FFF_FFFF, height: 0x7FFF_FFFF, depth: 16, colourType: 6)
    let error = #expect(throws: ImagingError.self) {
      try PNGImage(decoding: data, name: "huge.png", maxMemory: .max)
    }
    #expect(error?.kind == "png-too-large")
  }

  @Test("a size that the bytes present cannot expand to is damage, whatever the memory")
  func implausibleSize() throws {
    let data = makeHeader(width: 20_000, height: 20_000)
    let error = #expect(throws: ImagingError.self) {
      try PNGImage(decoding: data, name: "bomb.png")
    }
    #expect(
      error
        == .damagedPNG(
          file: "bomb.png", reason: "20000 x 20000 pixels cannot come from \(data.count) bytes"))
  }

  @Test("the limit counts samples and their float32 copies")
  func memoryLimit() throws {
    let data = try PNGFixture.data("png/basn2c16.png")
    let needed: UInt64 = 32 * 32 * 3 * 6
    #expect(throws: Never.self) {
      try PNGImage(decoding: data, name: "x", maxMemory: needed)
    }
    #expect(
      throws: ImagingError.pngTooLarge(
        file: "x", width: 32, height: 32, needed: needed, limit: needed - 1)
    ) {
      try PNGImage(decoding: data, name: "x", maxMemory: needed - 1)
    }
  }

  @Test("bytes after the image are reported, not read")
  func trailingData() throws {
    let data = try PNGFixture.data("png/basn0g08.png")
    let image = try PNGImage(decoding: data + Data([1, 2, 3]), name: "x")
    #expect(image.warnings == [.trailingData(bytes: 3)])
    #expect(image.samples == (try PNGImage(decoding: data, name: "x").samples))
  }

  @Test("a missing file, a folder and an empty file are told apart")
  func missing() throws {
    try withTemporaryFolder { folder in
      let path = folder.appending(path: "a.png").path
      #expect(throws: ImagingError.noSuchFile(file: path, reason: nil)) {
        try PNGImage(contentsOf: path)
      }
      #expect(
        throws: ImagingError.unreadable(file: folder.path, reason: "it is a folder")
      ) {
        try PNGImage(contentsOf: folder.path)
      }
      try Data().write(to: URL(fileURLWithPath: path))
      #expect(throws: ImagingError.damagedPNG(file: path, reason: "the file is empty")) {
        try PNGImage(contentsOf: path)
      }
    }
  }

  /// A signature and a header with its right checksum, and the start of pixels that never come.
  private func makeHeader(
    width: UInt32, height: UInt32, depth: UInt8 = 8, colourType: UInt8 = 0
  ) -> Data {
    var header = Array("IHDR".utf8)
    for value in [width, height] { withUnsafeBytes(of: value.bigEndian) { header += $0 } }
    header += [depth, colourType, 0, 0, 0]
    var data = Data([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13])
    data += header
    withUnsafeBytes(of: checksum(header).bigEndian) { data += $0 }
    return data + Data([0, 0, 0, 100]) + Data("IDAT".utf8)
  }

  /// The CRC-32 of the PNG specification, bit by bit.
  private func checksum(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(UInt32.max) { crc, byte in
      (0..<8).reduce(crc ^ UInt32(byte)) { value, _ in
        value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1
      }
    }
  }
}
