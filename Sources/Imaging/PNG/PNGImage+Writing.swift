public import Foundation
import PNGBridge

extension PNGImage {
  /// Makes an image to be written from float32 values, rounded half to even and saturated.
  ///
  /// - Parameters:
  ///   - values: Values, shape `[height, width, channels]`; NaN becomes 0.
  ///   - height: The number of rows, at least 1.
  ///   - width: The number of columns, at least 1.
  ///   - colour: ``Colour/grey`` or ``Colour/rgb``.
  ///   - bitDepth: 8 or 16.
  /// - Returns: The image, and how many values were set to the nearest end from more than a hundredth of the
  ///   range beyond it; a network's background lies a little below 0, which nobody misses.
  public static func rounding(
    _ values: [Float], height: Int, width: Int, colour: Colour, bitDepth: Int
  ) -> (image: PNGImage, saturatedCount: Int) {
    precondition(bitDepth == 8 || bitDepth == 16, "PNGImage: bit depth \(bitDepth), 8 or 16 can be")
    let highest = Float((1 << bitDepth) - 1)
    let margin = highest / 100
    var saturatedCount = 0
    let samples = values.map { value -> UInt16 in
      let rounded = value.isNaN ? 0 : value.rounded(.toNearestOrEven)
      if rounded < -margin || rounded > highest + margin { saturatedCount += 1 }
      return UInt16(min(max(rounded, 0), highest))
    }
    let image = PNGImage(
      samples: samples, height: height, width: width, colour: colour, bitDepth: bitDepth)
    return (image, saturatedCount)
  }

  /// The bytes of a PNG file of this image.
  ///
  /// The same samples always give the same bytes: no time, no text, fixed compression. Only images
  /// of 8 or 16-bit grey or RGB and opaque palette images of 8 bits are written; others are a
  /// programmer's error.
  ///
  /// - Parameter name: What errors call the file.
  /// - Returns: The file.
  /// - Throws: ``ImagingError/writeFailed(file:reason:)`` if memory is short.
  public func encoded(name: String = "PNG image") throws(ImagingError) -> Data {
    precondition(
      ((colour == .grey || colour == .rgb) && (bitDepth == 8 || bitDepth == 16))
        || (colour == .palette && bitDepth == 8 && palette.allSatisfy { $0.alpha == 255 }),
      "PNGImage: \(bitDepth)-bit \(colour.rawValue) images are not written")
    let colours = palette.flatMap { [$0.red, $0.green, $0.blue] }
    var message = [CChar](repeating: 0, count: Int(PNG_BRIDGE_MESSAGE_SIZE))
    var bytes: UnsafeMutablePointer<UInt8>?
    var count = 0
    let isComplete = samples.withUnsafeBufferPointer { samples in
      png_bridge_encode(
        samples.baseAddress, UInt32(width), UInt32(height), UInt8(colour.channels),
        UInt8(bitDepth), colours, palette.count, &bytes, &count, &message) == 1
    }
    guard isComplete, let bytes else {
      throw .writeFailed(file: name, reason: Self.text(message))
    }
    return Data(
      bytesNoCopy: bytes, count: count,
      deallocator: .custom { pointer, _ in
        png_bridge_free(pointer.assumingMemoryBound(to: UInt8.self))
      })
  }

  /// Writes a PNG file, which appears under its name only when it is complete.
  ///
  /// - Parameters:
  ///   - path: The path; its folder must exist.
  ///   - overwrite: Whether an existing file is replaced.
  ///   - inputs: Paths of files that must survive, whatever `overwrite` says.
  /// - Throws: What ``encoded(name:)`` and ``AtomicFile`` throw.
  public func write(
    to path: String, overwrite: Bool = false, inputs: [String] = []
  ) throws(ImagingError) {
    let file = try AtomicFile(path: path, overwrite: overwrite, inputs: inputs)
    let data = try encoded(name: path)
    let result = data.withUnsafeBytes { buffer in
      Result { () throws(ImagingError) in try file.write(buffer) }
    }
    try result.get()
    try file.commit()
  }
}
