public import Foundation
import PNGBridge

extension PNGImage {
  /// The most bytes that an image may take if the caller sets no limit, and memory has them.
  static let largestUnlimited: UInt64 = 4 << 30

  /// Reads a PNG file.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - maxMemory: The most bytes that the file, or its samples together with a copy as float32, may
  ///     take; nil stands for 4 GiB or, if that is less, the memory of the machine.
  /// - Throws: ``ImagingError/noSuchFile(file:reason:)``, ``ImagingError/unreadable(file:reason:)``,
  ///   ``ImagingError/needsMemory(file:needed:working:limit:)`` for a file beyond the limit, and what
  ///   ``init(decoding:name:maxMemory:)`` throws.
  public init(contentsOf path: String, maxMemory: UInt64? = nil) throws(ImagingError) {
    let file = try InputFile(path: path)
    let limit = Self.limit(maxMemory)
    guard file.size <= limit else {
      throw .needsMemory(file: path, needed: file.size, working: file.size, limit: limit)
    }
    let bytes = try file.read(Int(file.size))
    try self.init(decoding: Data(bytes), name: path, maxMemory: limit)
  }

  private static func limit(_ maxMemory: UInt64?) -> UInt64 {
    maxMemory ?? min(largestUnlimited, NIfTIReadOptions().memoryLimit)
  }

  /// Decodes the bytes of a PNG file.
  ///
  /// The image's own size is checked before memory is taken for it, against `maxMemory` and
  /// against the most that the bytes present can expand to; no chunk is trusted about its length.
  ///
  /// - Parameters:
  ///   - data: The file.
  ///   - name: What errors call it.
  ///   - maxMemory: The most bytes that the samples together with a copy as float32 may take; nil
  ///     stands for 4 GiB or, if that is less, the memory of the machine.
  /// - Throws: ``ImagingError/damagedPNG(file:reason:)``,
  ///   ``ImagingError/pngTooLarge(file:width:height:needed:limit:)``.
  public init(
    decoding data: Data, name: String, maxMemory: UInt64? = nil
  ) throws(ImagingError) {
    let limit = Self.limit(maxMemory)
    // The closure returns its error as a value because `withUnsafeBytes` rethrows untyped errors.
    let result: Result<PNGImage, ImagingError> = data.withUnsafeBytes { bytes in
      do throws(ImagingError) {
        return .success(
          try Self.decode(bytes.bindMemory(to: UInt8.self), name: name, limit: limit))
      } catch {
        return .failure(error)
      }
    }
    self = try result.get()
  }

  private static func decode(
    _ bytes: UnsafeBufferPointer<UInt8>, name: String, limit: UInt64
  ) throws(ImagingError) -> PNGImage {
    // An empty `Data` has no base address, and libpng copies from it even if nothing is copied.
    guard let base = bytes.baseAddress, !bytes.isEmpty else {
      throw .damagedPNG(file: name, reason: "the file is empty")
    }
    var message = [CChar](repeating: 0, count: Int(PNG_BRIDGE_MESSAGE_SIZE))
    var header = png_bridge_header()
    // No chunk is larger than the file, except compressed texts and profiles, which are skipped.
    guard let reader = png_bridge_open(base, bytes.count, bytes.count, &header, &message) else {
      throw .damagedPNG(file: name, reason: text(message))
    }
    defer { png_bridge_close(reader) }
    guard let colour = Colour(header) else {
      throw .damagedPNG(file: name, reason: "colour type \(header.colour_type) does not exist")
    }
    try checkSize(of: header, fileSize: bytes.count, name: name, limit: limit)

    let count = Int(header.width) * Int(header.height) * colour.channels
    var consumed = 0
    var isComplete = false
    let samples = [UInt16](unsafeUninitializedCapacity: count) { buffer, initializedCount in
      isComplete =
        png_bridge_read(reader, buffer.baseAddress, &consumed, &message) == 1
      initializedCount = isComplete ? count : 0
    }
    guard isComplete else { throw .damagedPNG(file: name, reason: text(message)) }

    let palette = paletteEntries(of: header)
    if colour == .palette, let index = samples.first(where: { Int($0) >= palette.count }) {
      throw .damagedPNG(
        file: name, reason: "a pixel has colour \(index) of a palette with \(palette.count)")
    }
    var warnings = String(cString: png_bridge_warnings(reader))
      .split(separator: "\n").map { PNGWarning.decoder(String($0)) }
    if consumed < bytes.count {
      warnings.append(.trailingData(bytes: bytes.count - consumed))
    }
    return PNGImage(
      height: Int(header.height), width: Int(header.width), colour: colour,
      bitDepth: Int(header.bit_depth), samples: samples, palette: palette,
      transparentColour: transparentColour(of: header, colour),
      isInterlaced: header.is_interlaced != 0, warnings: warnings)
  }

  /// Refuses sizes that memory cannot hold or that the file cannot contain, before allocating.
  private static func checkSize(
    of header: png_bridge_header, fileSize: Int, name: String, limit: UInt64
  ) throws(ImagingError) {
    let pixels = UInt64(header.width) * UInt64(header.height)
    let sampleSize = UInt64(MemoryLayout<UInt16>.size + MemoryLayout<Float>.size)
    let (needed, overflow) = pixels.multipliedReportingOverflow(
      by: UInt64(header.channels) * sampleSize)
    guard !overflow, needed <= limit else {
      throw .pngTooLarge(
        file: name, width: Int(header.width), height: Int(header.height),
        needed: overflow ? .max : needed, limit: limit)
    }
    // Deflate expands at most 1032-fold (258 bytes from 2 bits).
    let storedBytes = pixels * UInt64(header.channels) / 8 * UInt64(header.bit_depth)
    guard storedBytes / 1032 <= UInt64(fileSize) else {
      throw .damagedPNG(
        file: name,
        reason: "\(header.width) x \(header.height) pixels cannot come from \(fileSize) bytes")
    }
  }

  static func text(_ message: [CChar]) -> String {
    String(decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  private static func paletteEntries(of header: png_bridge_header) -> [PaletteEntry] {
    withUnsafeBytes(of: header.palette) { colours in
      withUnsafeBytes(of: header.palette_alpha) { alpha in
        (0..<Int(header.palette_count)).map { entry in
          PaletteEntry(
            red: colours[3 * entry], green: colours[3 * entry + 1], blue: colours[3 * entry + 2],
            alpha: entry < Int(header.palette_alpha_count) ? alpha[entry] : 255)
        }
      }
    }
  }

  private static func transparentColour(
    of header: png_bridge_header, _ colour: Colour
  ) -> [UInt16]? {
    guard header.has_transparent_colour != 0 else { return nil }
    let (red, green, blue) = header.transparent_colour
    return colour == .grey ? [red] : [red, green, blue]
  }
}

extension PNGImage.Colour {
  fileprivate init?(_ header: png_bridge_header) {
    switch Int(header.colour_type) {
    case Int(PNG_BRIDGE_GREY): self = .grey
    case Int(PNG_BRIDGE_RGB): self = .rgb
    case Int(PNG_BRIDGE_PALETTE): self = .palette
    case Int(PNG_BRIDGE_GREY_ALPHA): self = .greyAlpha
    case Int(PNG_BRIDGE_RGB_ALPHA): self = .rgbAlpha
    default: return nil
    }
  }
}
