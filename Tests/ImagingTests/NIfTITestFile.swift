import CZlib
import Foundation
import Imaging

/// A NIfTI file built byte by byte, without any code of the library.
///
/// Values that a test does not set make a sound little image: 3x4x5 int16 voxels of 2x3x4 mm.
struct NIfTITestFile {
  var version = 1
  var isBig = false
  var isPair = false
  var dim = [3, 3, 4, 5, 1, 1, 1, 1]
  var pixdim = [1.0, 2, 3, 4, 1, 1, 1, 1]
  var datatype = 4
  var bitpix = 16
  var voxelOffset: Double?
  var slope = 0.0
  var intercept = 0.0
  var sformCode = 1
  var qformCode = 0
  var srow: [[Double]] = [[2, 0, 0, -10], [0, 3, 0, -20], [0, 0, 4, -30]]
  var quaternion = [0.0, 0, 0]
  var qoffset = [-10.0, -20, -30]
  var units = 10
  var description = "a test"
  /// What lies between header and voxels of a single file, or behind the header of a pair.
  var extensionBytes: [UInt8]?
  /// The stored voxels; without them, they count from 0 in the type of the header.
  var voxels: [UInt8]?

  var headerSize: Int { version == 1 ? 348 : 540 }
  var count: Int { dim[1...max(1, min(dim[0], 7))].reduce(1, *) }

  /// The header alone.
  var header: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: headerSize)
    func put(_ at: Int, _ raw: [UInt8]) { bytes.replaceSubrange(at..<at + raw.count, with: raw) }
    let offset =
      voxelOffset ?? (isPair ? 0 : Double(headerSize + (extensionBytes ?? [0, 0, 0, 0]).count))
    let (minus, plus) = (Array("ni\(version)\0".utf8), Array("n+\(version)\0".utf8))
    put(0, integer(headerSize, 4))
    if version == 1 {
      for (index, value) in dim.enumerated() { put(40 + 2 * index, integer(value, 2)) }
      put(70, integer(datatype, 2))
      put(72, integer(bitpix, 2))
      for (index, value) in pixdim.enumerated() { put(76 + 4 * index, float(value)) }
      put(108, float(offset))
      put(112, float(slope))
      put(116, float(intercept))
      put(123, [UInt8(units)])
      put(148, Array(description.utf8))
      put(252, integer(qformCode, 2))
      put(254, integer(sformCode, 2))
      for index in 0..<3 { put(256 + 4 * index, float(quaternion[index])) }
      for index in 0..<3 { put(268 + 4 * index, float(qoffset[index])) }
      for (index, value) in srow.flatMap({ $0 }).enumerated() {
        put(280 + 4 * index, float(value))
      }
      put(344, isPair ? minus : plus)
    } else {
      put(4, (isPair ? minus : plus) + [13, 10, 26, 10])
      put(12, integer(datatype, 2))
      put(14, integer(bitpix, 2))
      for (index, value) in dim.enumerated() { put(16 + 8 * index, integer(value, 8)) }
      for (index, value) in pixdim.enumerated() { put(104 + 8 * index, double(value)) }
      put(168, integer(Int(offset), 8))
      put(176, double(slope))
      put(184, double(intercept))
      put(240, Array(description.utf8))
      put(344, integer(qformCode, 4))
      put(348, integer(sformCode, 4))
      for index in 0..<3 { put(352 + 8 * index, double(quaternion[index])) }
      for index in 0..<3 { put(376 + 8 * index, double(qoffset[index])) }
      for (index, value) in srow.flatMap({ $0 }).enumerated() {
        put(400 + 8 * index, double(value))
      }
      put(500, integer(units, 4))
    }
    return bytes
  }

  /// The stored voxels.
  var voxelBytes: [UInt8] {
    voxels ?? (0..<count).flatMap { stored(Double($0)) }
  }

  /// The whole single file.
  var bytes: [UInt8] {
    precondition(!isPair)
    return header + (extensionBytes ?? [0, 0, 0, 0]) + voxelBytes
  }

  /// One voxel of the header's type.
  func stored(_ value: Double) -> [UInt8] {
    switch datatype {
    case 16: float(value)
    case 64: double(value)
    case 1280: integer(Int(bitPattern: UInt(value)), 8)
    default: integer(Int(value), bitpix / 8)
    }
  }

  /// The lowest bytes of a number in the byte order of the file.
  func integer(_ value: Int, _ size: Int) -> [UInt8] {
    let little = (0..<size).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    return isBig ? little.reversed() : little
  }

  func float(_ value: Double) -> [UInt8] { integer(Int(Float(value).bitPattern), 4) }

  func double(_ value: Double) -> [UInt8] { integer(Int(bitPattern: UInt(value.bitPattern)), 8) }

  /// Writes the file, or the pair of files, compressed if the name ends in .gz.
  ///
  /// - Returns: The path to give to the reader.
  @discardableResult
  func write(to folder: URL, as name: String) throws -> String {
    let url = folder.appending(path: name)
    func put(_ bytes: [UInt8], _ url: URL) throws {
      try Data(url.pathExtension == "gz" ? gzip(bytes) : bytes).write(to: url)
    }
    guard isPair else {
      try put(bytes, url)
      return url.path
    }
    try put(header + (extensionBytes ?? []), url)
    let image = url.path.replacingOccurrences(of: ".hdr", with: ".img")
    let padding = [UInt8](repeating: 7, count: Int(voxelOffset ?? 0))
    try put(padding + voxelBytes, URL(filePath: image))
    return url.path
  }
}

/// Writes bytes to a file and gives its path.
func write(_ bytes: [UInt8], to folder: URL, as name: String) throws -> String {
  let url = folder.appending(path: name)
  try Data(bytes).write(to: url)
  return url.path
}

/// The gzip form of bytes, by zlib's own framing.
func gzip(_ bytes: [UInt8], level: Int32 = 6) -> [UInt8] {
  var stream = z_stream()
  deflateInit2_(
    &stream, level, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
    Int32(MemoryLayout<z_stream>.size))
  var input = bytes
  var output = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(bytes.count))) + 32)
  let size = input.withUnsafeMutableBufferPointer { input in
    output.withUnsafeMutableBufferPointer { output in
      stream.next_in = input.baseAddress
      stream.avail_in = UInt32(input.count)
      stream.next_out = output.baseAddress
      stream.avail_out = UInt32(output.count)
      deflate(&stream, Z_FINISH)
      return output.count - Int(stream.avail_out)
    }
  }
  deflateEnd(&stream)
  return Array(output[..<size])
}

/// The contents of one gzip member, by zlib's own framing.
func gunzip(_ bytes: [UInt8], capacity: Int) -> [UInt8] {
  var stream = z_stream()
  inflateInit2_(&stream, 31, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
  var input = bytes
  var output = [UInt8](repeating: 0, count: capacity)
  let size = input.withUnsafeMutableBufferPointer { input in
    output.withUnsafeMutableBufferPointer { output in
      stream.next_in = input.baseAddress
      stream.avail_in = UInt32(input.count)
      stream.next_out = output.baseAddress
      stream.avail_out = UInt32(output.count)
      inflate(&stream, Z_FINISH)
      return output.count - Int(stream.avail_out)
    }
  }
  inflateEnd(&stream)
  return Array(output[..<size])
}
