import Foundation
import Imaging
import Testing

/// A way to store an image.
private struct Form: Sendable, CustomTestStringConvertible {
  let version: Int
  let isBig: Bool
  let name: String

  var testDescription: String { "NIfTI-\(version) \(isBig ? "big" : "little") \(name)" }

  static let all = [1, 2].flatMap { version in
    [false, true].flatMap { isBig in
      ["a.nii", "a.nii.gz", "a.hdr", "a.hdr.gz"].map {
        Form(version: version, isBig: isBig, name: $0)
      }
    }
  }

  func file(_ type: NIfTIDataType) -> NIfTITestFile {
    var file = NIfTITestFile()
    file.version = version
    file.isBig = isBig
    file.isPair = name.contains(".hdr")
    file.datatype = type.rawValue
    file.bitpix = type.size * 8
    return file
  }
}

@Suite("NIfTI: round trips")
struct NIfTIRoundTripTests {
  private static func contents(_ path: String) throws -> [UInt8] {
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
    return path.hasSuffix(".gz") ? gunzip(bytes, capacity: 1 << 16) : bytes
  }

  /// Reads, checks, writes with the same type, and expects the same bytes.
  private func check(
    _ file: NIfTITestFile, name: String, values: (Int) -> Float, in folder: URL
  ) throws {
    let path = try file.write(to: folder, as: name)
    let image = try NIfTI.read(path)
    #expect(image.volume.voxels == (0..<file.count).map(values))
    #expect(image.source.header.version.rawValue == file.version)
    #expect(image.source.header.byteOrder == (file.isBig ? .big : .little))

    let out = folder.appending(path: "out-\(name)").path
    #expect(try NIfTI.write(image.volume, to: out, like: image.source).isEmpty)
    #expect(try Self.contents(out) == Self.contents(path))
    if file.isPair {
      let image = (
        path: path.replacing(".hdr", with: ".img"), out: out.replacing(".hdr", with: ".img")
      )
      #expect(try Self.contents(image.out) == Self.contents(image.path))
    }
    let again = try NIfTI.read(out)
    #expect(again.volume == image.volume)
    #expect(again.source.header == image.source.header)
    #expect(again.source.extensionBytes == image.source.extensionBytes)
  }

  @Test(
    "Every type, version, byte order and container comes back byte for byte", arguments: Form.all)
  fileprivate func types(form: Form) throws {
    try withTemporaryFolder { folder in
      for type in NIfTIDataType.allCases {
        let folder = folder.appending(path: "\(type)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try check(form.file(type), name: form.name, values: { Float($0) }, in: folder)
      }
    }
  }

  @Test("Scaled values of every type come back byte for byte", arguments: Form.all)
  fileprivate func scaling(form: Form) throws {
    try withTemporaryFolder { folder in
      for type in NIfTIDataType.allCases {
        let folder = folder.appending(path: "\(type)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        var file = form.file(type)
        file.slope = 0.5
        file.intercept = -3
        try check(file, name: form.name, values: { Float($0) * 0.5 - 3 }, in: folder)
      }
    }
  }

  @Test("Extensions and padding come back byte for byte", arguments: Form.all)
  fileprivate func extensions(form: Form) throws {
    try withTemporaryFolder { folder in
      var file = form.file(.int16)
      let comment = Array("twenty-four bytes, more or less ".utf8.prefix(24))
      let extensionBytes = [1, 0, 0, 0] + file.integer(32, 4) + file.integer(6, 4) + comment
      file.extensionBytes = extensionBytes + (file.isPair ? [] : [UInt8](repeating: 0, count: 20))
      try check(file, name: form.name, values: { Float($0) }, in: folder)
      let image = try NIfTI.read(folder.appending(path: form.name).path)
      #expect(image.source.extensions.map(\.data) == [comment])
      #expect(image.warnings.isEmpty)
    }
  }

  @Test("The extremes of every integer type are read without wrapping")
  func extremes() throws {
    try withTemporaryFolder { folder in
      for isBig in [false, true] {
        for type in NIfTIDataType.allCases where type.isInteger {
          var file = Form(version: 1, isBig: isBig, name: "a.nii").file(type)
          file.dim = [1, 2, 1, 1, 1, 1, 1, 1]
          let bits = type.size * 8
          let isUnsigned = [.uint8, .uint16, .uint32, .uint64].contains(type)
          let low = isUnsigned ? 0 : Int.min >> (64 - bits)
          let high = isUnsigned ? -1 : ~(Int.min >> (64 - bits))
          file.voxels = file.integer(low, type.size) + file.integer(high, type.size)
          let path = try write(file.bytes, to: folder, as: "a.nii")
          let power = Float(sign: .plus, exponent: isUnsigned ? bits : bits - 1, significand: 1)
          // Beyond 24 bits a Float rounds the largest value up to the power of two.
          let expected = bits > 24 ? power : power - 1
          #expect(
            try NIfTI.read(path).volume.voxels == [isUnsigned ? 0 : -power, expected], "\(type)")
        }
      }
    }
  }

  @Test("One volume of a series is read alone", arguments: ["a.nii", "a.nii.gz", "a.hdr"])
  func series(name: String) throws {
    try withTemporaryFolder { folder in
      var file = NIfTITestFile()
      file.isPair = name == "a.hdr"
      file.dim = [4, 3, 4, 5, 3, 1, 1, 1]
      let path = try file.write(to: folder, as: name)
      let all = try NIfTI.read(path)
      #expect(all.volume.shape == [3, 5, 4, 3])
      for index in 0..<3 {
        let one = try NIfTI.read(path, options: NIfTIReadOptions(volume: index))
        #expect(one.volume == all.volume.volume(at: index))
        #expect(one.warnings.isEmpty)
        #expect(one.source.fileVolumeCount == 3)
      }
      // What follows the wanted volume must still be there.
      let cut = try Data(contentsOf: URL(filePath: path)).dropLast(name == "a.hdr" ? 0 : 20)
      try cut.write(to: URL(filePath: path))
      if name != "a.hdr" {
        let error = #expect(throws: ImagingError.self) {
          try NIfTI.read(path, options: NIfTIReadOptions(volume: 0))
        }
        #expect(error?.what == "image data ends early")
      }
    }
  }

  @Test("The .img file of a pair may begin with other bytes")
  func offsetInPair() throws {
    try withTemporaryFolder { folder in
      var file = NIfTITestFile()
      file.isPair = true
      file.voxelOffset = 100
      let image = try NIfTI.read(file.write(to: folder, as: "a.hdr"))
      #expect(image.volume.voxels == (0..<60).map { Float($0) })
      let out = folder.appending(path: "out.hdr").path
      try NIfTI.write(image.volume, to: out, like: image.source)
      #expect(try NIfTI.read(out).volume == image.volume)
      #expect(try NIfTI.readHeader(out).number(.voxelOffset) == 0)
    }
  }

  @Test("A single file becomes a pair and back without loss of its extensions")
  func containers() throws {
    try withTemporaryFolder { folder in
      let path = try PNGFixture.url("nifti/extensions.nii.gz").path
      let image = try NIfTI.read(path)
      let pair = folder.appending(path: "pair.img.gz").path
      try NIfTI.write(image.volume, to: pair, like: image.source)
      let fromPair = try NIfTI.read(pair)
      #expect(fromPair.source.header.kind == .pair)
      #expect(fromPair.source.extensions == image.source.extensions)
      let single = folder.appending(path: "single.nii").path
      try NIfTI.write(fromPair.volume, to: single, like: fromPair.source)
      let back = try NIfTI.read(single)
      #expect(back.volume == image.volume)
      #expect(back.source.extensions == image.source.extensions)
      #expect(back.source.header.number(.voxelOffset).truncatingRemainder(dividingBy: 16) == 0)
      let same = changedFields(image.source.header, back.source.header)
      #expect(same.subtracting([.voxelOffset]).isEmpty)
    }
  }
}

/// The fields whose bytes differ, and a failure if bytes outside all fields do.
func changedFields(_ a: NIfTIHeader, _ b: NIfTIHeader) -> Set<NIfTIField> {
  let fields = NIfTIField.allCases.filter {
    a.bytes[$0.range(in: a.version)] != b.bytes[$0.range(in: b.version)]
  }
  var patched = a.bytes
  for field in fields {
    let range = field.range(in: a.version)
    patched.replaceSubrange(range, with: b.bytes[range])
  }
  #expect(patched == b.bytes, "bytes outside of fields differ")
  return Set(fields)
}
