import CZlib
import Foundation
import Imaging
import Randomness
import Testing

@Suite("NIfTI: hostile files")
struct NIfTIRobustnessTests {
  private static func attempt(_ path: String, _ options: NIfTIReadOptions = .init())
    -> ImagingError?
  {
    do {
      _ = try NIfTI.read(path, options: options)
      return nil
    } catch { return error }
  }

  @Test("A file cut anywhere gives the message of the part that is cut", arguments: [1, 2])
  func cutAnywhere(version: Int) throws {
    try withTemporaryFolder { folder in
      var file = NIfTITestFile()
      file.version = version
      let bytes = file.bytes
      for count in 0..<bytes.count {
        let plain = try write(Array(bytes[..<count]), to: folder, as: "a.nii")
        let expected =
          switch count {
          case 0: "not a NIfTI file"
          case ..<file.headerSize: "header is truncated"
          case ..<(file.headerSize + 4): "invalid data offset"
          default: "image data ends early"
          }
        #expect(Self.attempt(plain)?.what == expected, "\(count) bytes")
        let packed = try write(gzip(Array(bytes[..<count]), level: 1), to: folder, as: "a.nii.gz")
        #expect(Self.attempt(packed)?.what == expected, "\(count) bytes, compressed")
      }
    }
  }

  @Test("A gzip stream cut anywhere says so")
  func cutStream() throws {
    try withTemporaryFolder { folder in
      let bytes = gzip(NIfTITestFile().bytes)
      var seen: [String] = []
      for count in 0..<bytes.count {
        let path = try write(Array(bytes[..<count]), to: folder, as: "a.nii.gz")
        let what = Self.attempt(path)?.what ?? "accepted"
        if seen.last != what { seen.append(what) }
      }
      #expect(
        seen == [
          "not a NIfTI file", "not gzip data", "header is truncated", "image data ends early",
        ])
    }
  }

  // The following run in a process of their own, whose memory is limited to little more than what
  // it has; an allocation on the word of a header would end it.

  @Test("2000 random header mutations neither crash nor claim memory")
  func mutations() async {
    await #expect(processExitsWith: .success) {
      try Self.limitMemory()
      try withTemporaryFolder { folder in try Self.mutate(in: folder) }
    }
  }

  @Test("A gzip bomb is read only as far as the header needs")
  func bomb() async {
    await #expect(processExitsWith: .success) {
      try Self.limitMemory()
      try withTemporaryFolder { folder in
        let path = try write(Self.bomb(NIfTITestFile().header), to: folder, as: "bomb.nii.gz")
        let image = try NIfTI.read(path)
        let warnings: [NIfTIWarning] = [
          .trailingData(bytes: 1 << 16, checksumVerified: false), .constantImage(value: 0),
        ]
        try #require(image.warnings == warnings)
      }
    }
  }

  @Test("A gzip bomb whose header asks for all of it meets the memory limit")
  func bombWithHeader() async {
    await #expect(processExitsWith: .success) {
      try Self.limitMemory()
      try withTemporaryFolder { folder in
        for (type, bits, sizes) in [(2, 8, [2048, 1024, 1024]), (16, 32, [1024, 1024, 512])] {
          var file = NIfTITestFile()
          file.datatype = type
          file.bitpix = bits
          file.dim = [3] + sizes + [1, 1, 1, 1]
          let path = try write(Self.bomb(file.header), to: folder, as: "bomb.nii.gz")
          let error = Self.attempt(path, NIfTIReadOptions(maxMemory: 512 << 20))
          try #require(error?.what == "needs 2.0 GiB")
          try #require(error?.code == 71)
        }
      }
    }
  }

  @Test("The bomb is a sound gzip file of 2 GiB")
  func bombIsSound() {
    let bytes = Self.bomb(NIfTITestFile().header)
    #expect(bytes.count < 2 << 20)
    #expect(gunzip(bytes, capacity: 1 << 20).prefix(348) == NIfTITestFile().header[...])
    let length = bytes.suffix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
    #expect(length == 1 << 31)
  }

  private static let limit: UInt64 = 32 << 20

  /// Leaves this process 256 MiB of address space beyond what it has: room for threads and test
  /// machinery, not for what headers claim.
  private static func limitMemory() throws {
    #if canImport(Glibc)
      let pages = try String(contentsOfFile: "/proc/self/statm", encoding: .ascii)
        .split(separator: " ").first.flatMap { UInt64($0) }
      let bytes = try UInt(#require(pages)) * UInt(sysconf(Int32(_SC_PAGESIZE))) + (256 << 20)
      var bound = rlimit(rlim_cur: bytes, rlim_max: bytes)
      let status = setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &bound)
      try #require(status == 0)
      // The limit must bite, or the tests below prove nothing.
      let claim = mmap(nil, 1 << 29, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      try #require(claim == UnsafeMutableRawPointer(bitPattern: -1))
    #endif
  }

  private static func mutate(in folder: URL) throws {
    var generator = SeededGenerator(seed: 7)
    var accepted = 0
    let options = NIfTIReadOptions(maxMemory: limit)
    for round in 0..<2000 {
      var file = NIfTITestFile()
      file.version = round % 2 + 1
      file.isBig = round % 4 > 1
      file.qformCode = 1
      file.isPair = round % 5 == 0
      let name = (file.isPair ? "a.hdr" : "a.nii") + (round % 3 == 0 ? ".gz" : "")
      var header = file.header
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let at = Int.random(in: 0..<header.count, using: &generator)
        // Single bytes, and runs of bytes that make extreme numbers.
        let run = Int.random(in: 1...8, using: &generator)
        let value =
          [0, 0x7f, 0xff, UInt8.random(in: 0...255, using: &generator)]
          .randomElement(using: &generator) ?? 0
        for index in at..<min(at + run, header.count) { header[index] = value }
      }
      let single = file.isPair ? [] : [0, 0, 0, 0] + file.voxelBytes
      let bytes = header + single
      let path = try write(
        name.hasSuffix(".gz") ? gzip(bytes, level: 1) : bytes, to: folder, as: name)
      if file.isPair {
        let voxels = name.hasSuffix(".gz") ? gzip(file.voxelBytes, level: 1) : file.voxelBytes
        _ = try write(voxels, to: folder, as: name.replacing(".hdr", with: ".img"))
      }
      _ = try? NIfTI.readHeader(path)
      if let image = try? NIfTI.read(path, options: options) {
        accepted += 1
        try #require(image.volume.voxels.count * 4 <= limit)
        let isFinite = image.volume.voxels.allSatisfy(\.isFinite)
        try #require(isFinite)
        try #require(image.volume.geometry.affine.isUsable)
        // What can be read can be written, and read again.
        let out = folder.appending(path: "out.nii").path
        let write = NIfTIWriteOptions(overwrite: true)
        try NIfTI.write(image.volume, to: out, like: image.source, options: write)
        let again = try NIfTI.read(out, options: options)
        try #require(again.volume.shape == image.volume.shape)
      }
    }
    // Both outcomes must occur often, or the mutations test nothing.
    try #require((200...1800).contains(accepted))
  }

  /// A gzip file of 2 GiB: a header and zeros.
  ///
  /// The zeros are compressed once and repeated, which deflate allows at a full flush.
  private static func bomb(_ header: [UInt8]) -> [UInt8] {
    let blockSize = 1 << 24
    let first = header + [UInt8](repeating: 0, count: blockSize - header.count)
    let zeros = [UInt8](repeating: 0, count: blockSize)
    let block = deflated(zeros)
    var bytes: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255] + deflated(first)
    var crc = crc32(0, first, UInt32(blockSize))
    let zeroCRC = crc32(0, zeros, UInt32(blockSize))
    for _ in 1..<128 {
      bytes += block
      crc = crc32_combine(crc, zeroCRC, blockSize)
    }
    // An empty last block, checksum, length.
    let trailer = [UInt32(crc), UInt32(1) << 31]
    return bytes + [3, 0]
      + trailer.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
  }

  /// Bare deflate data that end at a byte and refer to nothing before them.
  private static func deflated(_ bytes: [UInt8]) -> [UInt8] {
    var stream = z_stream()
    deflateInit2_(
      &stream, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
      Int32(MemoryLayout<z_stream>.size))
    var input = bytes
    var output = [UInt8](repeating: 0, count: 1 << 18)
    let size = input.withUnsafeMutableBufferPointer { input in
      output.withUnsafeMutableBufferPointer { output in
        stream.next_in = input.baseAddress
        stream.avail_in = UInt32(input.count)
        stream.next_out = output.baseAddress
        stream.avail_out = UInt32(output.count)
        deflate(&stream, Z_FULL_FLUSH)
        return output.count - Int(stream.avail_out)
      }
    }
    deflateEnd(&stream)
    return Array(output[..<size])
  }
}
