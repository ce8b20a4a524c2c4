import Foundation
import Imaging
import Testing

@Suite("Gzip streams")
struct GzipTests {
  /// A member with every optional part of the frame.
  private func decorated(_ bytes: [UInt8]) -> [UInt8] {
    let plain = gzip(bytes)
    let extra: [UInt8] = [5, 0, 1, 2, 3, 4, 5]
    let head: [UInt8] = [0x1f, 0x8b, 8, 0x1f, 1, 2, 3, 4, 0, 3]
    return head + extra + Array("name.nii\0a comment\0".utf8) + [0xaa, 0xbb] + plain[10...]
  }

  private func voxels(_ bytes: [UInt8]) throws -> (voxels: [Float], warnings: [NIfTIWarning]) {
    try withTemporaryFolder { folder in
      let image = try NIfTI.read(write(bytes, to: folder, as: "a.nii.gz"))
      return (image.volume.voxels, image.warnings)
    }
  }

  private let expected = (0..<60).map { Float($0) }

  @Test("Names, comments, extra fields and header checksums are passed over")
  func optionalParts() throws {
    let bytes = decorated(NIfTITestFile().bytes)
    let found = try voxels(bytes)
    #expect(found.voxels == expected)
    #expect(found.warnings.isEmpty)
    // Cut inside those parts, nothing of the header is there.
    for count in [2, 5, 11, 14, 20, 30, 37] {
      let error = #expect(throws: ImagingError.self) { try voxels(Array(bytes[..<count])) }
      #expect(error?.what == "header is truncated")
    }
  }

  @Test("Several members are one stream", arguments: [1, 4, 348, 352, 400, 471])
  func members(split: Int) throws {
    let bytes = NIfTITestFile().bytes
    let parts = gzip(Array(bytes[..<split])) + gzip([]) + decorated(Array(bytes[split...]))
    let found = try voxels(parts)
    #expect(found.voxels == expected)
    #expect(found.warnings.isEmpty)
  }

  @Test("The checksum of every member counts")
  func checksumOfFirst() throws {
    let bytes = NIfTITestFile().bytes
    var first = gzip(Array(bytes[..<400]))
    first[first.count - 6] ^= 1
    let error = #expect(throws: ImagingError.self) {
      try voxels(first + gzip(Array(bytes[400...])))
    }
    #expect(error?.what == "checksum mismatch")
  }

  @Test("Stored, fixed and dynamic blocks all decompress", arguments: [0, 1, 9] as [Int32])
  func levels(level: Int32) throws {
    var file = NIfTITestFile()
    file.dim = [3, 100, 100, 30, 1, 1, 1, 1]
    let count = 300_000
    // Not periodic within deflate's window, and longer than all buffers.
    let stored: [Int] = (0..<count).map { ($0 &* 2_654_435_761) >> 7 & 0x7fff }
    file.voxels = stored.flatMap { file.integer($0, 2) }
    let found = try voxels(gzip(file.bytes, level: level))
    #expect(found.voxels == stored.map { Float($0) })
  }

  @Test("A flipped bit anywhere is noticed or harmless")
  func flippedBits() throws {
    let bytes = gzip(NIfTITestFile().bytes)
    let whats: Set = [
      "not gzip data", "not a NIfTI file", "damaged gzip data", "checksum mismatch",
      "image data ends early", "header is truncated", "invalid dimensions",
      "unsupported data type", "invalid data offset", "invalid voxel size",
    ]
    for index in bytes.indices {
      for bit in 0..<8 {
        var damaged = bytes
        damaged[index] ^= 1 << bit
        do {
          // Some bits mean nothing, and a match may be found at two distances.
          let found = try voxels(damaged)
          #expect(found.voxels == expected)
        } catch let error as ImagingError {
          #expect(whats.contains(error.what), "byte \(index) bit \(bit): \(error)")
        }
      }
    }
  }

  @Test("Written files decompress with zlib at every level", arguments: 1...9)
  func writing(level: Int) throws {
    try withTemporaryFolder { folder in
      let size = GridSize(x: 64, y: 64, z: 40)
      let volume = Volume(
        voxels: (0..<size.count).map { Float($0 % 1001) }, geometry: Geometry(size: size))
      let plain = folder.appending(path: "a.nii")
      let packed = folder.appending(path: "a.nii.gz")
      try NIfTI.write(volume, to: plain.path)
      try NIfTI.write(
        volume, to: packed.path, options: NIfTIWriteOptions(compressionLevel: level))
      let bytes = try [UInt8](Data(contentsOf: plain))
      #expect(try gunzip([UInt8](Data(contentsOf: packed)), capacity: bytes.count + 1) == bytes)
      #expect(try NIfTI.read(packed.path).volume == volume)
    }
  }
}
