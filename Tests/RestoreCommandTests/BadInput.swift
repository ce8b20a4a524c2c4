import Foundation
import Imaging
import Testing

/// An input that `restore run` refuses, and the words with which it does.
struct BadInput: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let message: String
  let code: Int32
  var file = "in.nii"
  var options: [String] = []
  let prepare: @Sendable (Workspace) throws -> Void

  /// A NIfTI-1 file with some bytes replaced.
  static func patched(
    _ name: String, _ message: String, code: Int32 = 65, options: [String] = [],
    at offset: Int, _ bytes: [UInt8]
  ) -> BadInput {
    BadInput(testDescription: name, message: message, code: code, options: options) { space in
      try space.write(space.patched((offset, bytes)), to: "in.nii")
    }
  }

  /// A file with other contents.
  static func contents(
    _ name: String, _ message: String, file: String = "in.nii", code: Int32 = 65,
    options: [String] = [], _ contents: @escaping @Sendable (Workspace) throws -> Data
  ) -> BadInput {
    BadInput(testDescription: name, message: message, code: code, file: file, options: options) {
      try $0.write(contents($0), to: file)
    }
  }

  static let finding: [BadInput] = [
    BadInput(testDescription: "missing file", message: "no such file", code: 66) { _ in },
    BadInput(
      testDescription: "folder without images", message: "no images found in", code: 66,
      file: "empty"
    ) { space in
      try FileManager.default.createDirectory(
        atPath: space.path("empty"), withIntermediateDirectories: true)
      try space.write("text", to: "empty/notes.md")
    },
    contents("list without paths", "no such file", file: "list.txt", code: 66) { _ in
      Data("\n\n".utf8)
    },
    contents("unknown ending", "unsupported file format", file: "scan.mgz") { try $0.patched() },
    contents("empty file", "not a NIfTI file") { _ in Data() },
    contents("text as .nii.gz", "not gzip data", file: "in.nii.gz") { _ in
      Data(String(repeating: "text ", count: 100).utf8)
    },
    contents("header cut", "header is truncated") { try $0.patched().prefix(200) },
    patched("wrong magic", "not a NIfTI file", at: 344, [0x78, 0x78]),
    patched("wrong header size", "not a NIfTI file", at: 0, [1, 2, 3, 4]),
  ]

  static let headers: [BadInput] = [
    patched("nine dimensions", "invalid dimensions", at: 40, bytes(Int16(9))),
    patched("no dimensions", "invalid dimensions", at: 40, bytes(Int16(0))),
    patched("an axis of size 0", "invalid dimensions", at: 42, bytes(Int16(0))),
    patched("an axis of size -3", "invalid dimensions", at: 44, bytes(Int16(-3))),
    patched("more voxels than bytes", "image data ends early", at: 42, bytes(Int16(13))),
    patched("a terabyte of voxels", "image data ends early", at: 42, bytes([32767, 32767, 999])),
    patched(
      "offset NaN", "invalid data offset", at: 108, bytes(Float.nan.bitPattern)),
    patched(
      "negative offset", "invalid data offset", at: 108, bytes(Float(-352).bitPattern)),
    patched(
      "offset in the header", "invalid data offset", at: 108, bytes(Float(100).bitPattern)),
    patched(
      "offset past the end", "invalid data offset", at: 108, bytes(Float(1e6).bitPattern)),
    patched("datatype 999", "unsupported data type", at: 70, bytes(Int16(999))),
    patched("RGB", "unsupported data type", at: 70, bytes([128, 24])),
    patched("complex", "unsupported data type", at: 70, bytes([32, 64])),
    patched("bitpix disagrees", "unsupported data type", at: 72, bytes(Int16(16))),
    patched("voxel size 0", "invalid voxel size", at: 80, bytes(Float(0).bitPattern)),
    patched("voxel size -1", "invalid voxel size", at: 84, bytes(Float(-1).bitPattern)),
    patched("voxel size NaN", "invalid voxel size", at: 88, bytes(Float.nan.bitPattern)),
    patched(
      "singular affine", "invalid voxel size", at: 280, [UInt8](repeating: 0, count: 16)),
  ]

  static let voxels: [BadInput] = [
    contents("voxels cut", "image data ends early") { try $0.patched().dropLast(100) },
    contents("gzip stream cut", "image data ends early", file: "in.nii.gz") {
      try gzip($0.patched()).dropLast(100)
    },
    contents("gzip checksum wrong", "checksum mismatch", file: "in.nii.gz") {
      var data = try gzip($0.patched())
      data[data.count - 8] ^= 1
      return data
    },
    contents("gzip length wrong", "checksum mismatch", file: "in.nii.gz") {
      var data = try gzip($0.patched())
      data[data.count - 1] ^= 1
      return data
    },
    contents(
      "more than --max-memory", "needs 1440 bytes", code: 71, options: ["--max-memory", "1K"]
    ) { try $0.patched() },
    contents(
      "gzip with more than --max-memory", "needs", file: "in.nii.gz", code: 71,
      options: ["--max-memory", "1K"]
    ) { try gzip($0.patched()) },
    contents(
      "a network that needs more than --max-memory", "needs", code: 71,
      options: ["--max-memory", "5K"]
    ) { try $0.patched() },
    contents("only NaN", "no finite voxel") {
      let nan = (0..<360).flatMap { _ in bytes(Float.nan.bitPattern) }
      return try $0.patched((352, nan))
    },
    contents("NaN with --strict", "non-finite voxels", options: ["--strict"]) {
      try $0.patched((352, bytes(Float.nan.bitPattern)))
    },
    BadInput(
      testDescription: "mask on another grid", message: "geometry differs", code: 65,
      options: ["--mask", "mask.nii"]
    ) { space in
      try space.image("in.nii")
      try space.image("mask.nii", space.volume(z: 4))
    },
  ]

  private static let signature: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]

  private static func header(_ width: UInt32, _ height: UInt32, _ depth: UInt8) -> [UInt8] {
    signature
      + pngChunk(
        "IHDR", bytes(width.byteSwapped) + bytes(height.byteSwapped) + [depth, 0, 0, 0, 0])
  }

  static let pictures: [BadInput] = [
    contents("PNG signature wrong", "damaged PNG", file: "in.png") { _ in
      Data([0x88] + header(8, 8, 8).dropFirst())
    },
    contents("PNG checksum wrong", "damaged PNG", file: "in.png") { _ in
      var data = Data(header(8, 8, 8))
      data[data.count - 1] ^= 1
      return data
    },
    contents("PNG without IDAT", "damaged PNG", file: "in.png") { _ in
      Data(header(8, 8, 8) + pngChunk("IEND", []))
    },
    contents("PNG of bit depth 99", "damaged PNG", file: "in.png") { _ in
      Data(header(8, 8, 99) + pngChunk("IEND", []))
    },
    contents("PNG of width 0", "damaged PNG", file: "in.png") { _ in
      Data(header(0, 8, 8) + pngChunk("IEND", []))
    },
    contents("PNG of 100000 x 100000", "PNG too large", file: "in.png", code: 71) { _ in
      Data(header(100_000, 100_000, 8) + pngChunk("IDAT", []) + pngChunk("IEND", []))
    },
  ]
}

/// Little-endian 16-bit numbers.
func bytes(_ values: [Int16]) -> [UInt8] { values.flatMap { bytes($0) } }
