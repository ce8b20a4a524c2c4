import Foundation
import Imaging
import Testing

@Suite("NIfTI: writing")
struct NIfTIWriterTests {
  /// Reads a test file, replaces its voxels, writes it and gives back what then is in the file.
  private func rewrite(
    _ file: NIfTITestFile, _ voxels: [Float]? = nil, _ options: NIfTIWriteOptions = .init(),
    in folder: URL
  ) throws -> (image: NIfTIImage, source: NIfTISource, raw: [UInt8], warnings: [NIfTIWarning]) {
    let source = try NIfTI.read(write(file.bytes, to: folder, as: "in.nii"))
    var volume = source.volume
    if let voxels { volume.voxels = voxels }
    let path = folder.appending(path: "out.nii").path
    var options = options
    options.overwrite = true
    let warnings = try NIfTI.write(volume, to: path, like: source.source, options: options)
    let image = try NIfTI.read(path)
    let bytes = try Data(contentsOf: URL(filePath: path))
    return (
      image, source.source, [UInt8](bytes.dropFirst(Int(image.source.header.number(.voxelOffset)))),
      warnings
    )
  }

  private func file(_ type: NIfTIDataType, count: Int = 60) -> NIfTITestFile {
    var file = NIfTITestFile()
    file.datatype = type.rawValue
    file.bitpix = type.size * 8
    file.dim = [3, count, 1, 1, 1, 1, 1, 1]
    file.voxels = [UInt8](repeating: 1, count: count * type.size)
    return file
  }

  @Test("Whole numbers are rounded half to even", arguments: NIfTIDataType.allCases)
  func rounding(type: NIfTIDataType) throws {
    guard type.isInteger else { return }
    try withTemporaryFolder { folder in
      let values: [Float] = [0.5, 1.5, 2.5, 3.49999, 100.5, 101.5, 0.49999997]
      let out = try rewrite(file(type, count: values.count), values, in: folder)
      #expect(out.image.volume.voxels == [0, 2, 2, 3, 100, 102, 0])
      #expect(out.warnings.isEmpty)
    }
  }

  @Test("Negative halves too")
  func negativeRounding() throws {
    try withTemporaryFolder { folder in
      let out = try rewrite(file(.int16, count: 4), [-0.5, -1.5, -2.5, -2.51], in: folder)
      #expect(out.image.volume.voxels == [0, -2, -2, -3])
    }
  }

  @Test("A few values beyond the range saturate and never wrap", arguments: NIfTIDataType.allCases)
  func fewBeyond(type: NIfTIDataType) throws {
    guard type.isInteger else { return }
    try withTemporaryFolder { folder in
      var voxels = [Float](repeating: 1, count: 4000)
      voxels[0] = 1e30
      voxels[1] = -1e30
      voxels[2] = .infinity
      voxels[3] = -.infinity
      let out = try rewrite(file(type, count: 4000), voxels, in: folder)
      let bits = type.size * 8
      let isUnsigned = [.uint8, .uint16, .uint32, .uint64].contains(type)
      let high = isUnsigned ? UInt64.max >> (64 - bits) : UInt64.max >> (65 - bits)
      let low = isUnsigned ? 0 : (UInt64(1) << (bits - 1))
      let format = file(type)
      let expected = [high, low, high, low, 1].flatMap {
        format.integer(Int(bitPattern: UInt($0)), type.size)
      }
      #expect(Array(out.raw[..<(5 * type.size)]) == expected)
      #expect(out.warnings.isEmpty)
      #expect(changedFields(out.source.header, out.image.source.header).isEmpty)
    }
  }

  @Test("Many values beyond the range get a new scaling, which is told")
  func rescaling() throws {
    try withTemporaryFolder { folder in
      var file = file(.uint8)
      file.slope = 2
      let voxels = (0..<60).map { Float($0) * 100 }
      let out = try rewrite(file, voxels, in: folder)
      let slope = out.image.source.header.number(.slope)
      #expect(out.warnings == [.rescaled(slope: slope, intercept: 0)])
      #expect(out.image.volume.voxels[0] == 0)
      for (a, b) in zip(out.image.volume.voxels, voxels) {
        #expect(Double((a - b).magnitude) <= slope * 0.5001)
      }
      #expect(changedFields(out.source.header, out.image.source.header) == [.slope])
    }
  }

  @Test("Unsigned types take an intercept for negative values")
  func negativeInUnsigned() throws {
    try withTemporaryFolder { folder in
      let voxels = (0..<60).map { Float($0) * 10 - 300 }
      let out = try rewrite(file(.uint16), voxels, in: folder)
      let header = out.image.source.header
      #expect(header.number(.intercept) == -300)
      #expect(
        out.warnings == [.rescaled(slope: header.number(.slope), intercept: -300)])
      for (a, b) in zip(out.image.volume.voxels, voxels) { #expect((a - b).magnitude < 0.01) }
    }
  }

  @Test("With the scaling kept, saturation is told from 0.1 % on")
  func keptScaling() throws {
    try withTemporaryFolder { folder in
      var voxels = [Float](repeating: 5, count: 4000)
      for index in 0..<5 { voxels[index] = 300 }
      let options = NIfTIWriteOptions(keepsScaling: true)
      let out = try rewrite(file(.uint8, count: 4000), voxels, options, in: folder)
      #expect(out.warnings == [.saturated(count: 5, total: 4000)])
      #expect(Array(out.raw[..<6]) == [255, 255, 255, 255, 255, 5])
      voxels[4] = 5
      let fewer = try rewrite(file(.uint8, count: 4000), voxels, options, in: folder)
      #expect(fewer.warnings.isEmpty)
    }
  }

  @Test("float32 output of a scaled image holds the true values")
  func float32Output() throws {
    try withTemporaryFolder { folder in
      var file = NIfTITestFile()
      file.slope = 0.1
      file.intercept = 7
      let options = NIfTIWriteOptions(dataType: .float32)
      let out = try rewrite(file, nil, options, in: folder)
      let fields = changedFields(out.source.header, out.image.source.header)
      #expect(fields == [.dataType, .bitsPerVoxel, .slope, .intercept])
      #expect(
        out.image.volume.voxels == (0..<60).map { Float(Double($0) * Double(Float(0.1)) + 7) })
      #expect(out.image.source.dataType == .float32)

      // A slope of 0 means no scaling already, so its bytes stay.
      file.slope = 0
      let plain = try rewrite(file, nil, options, in: folder)
      #expect(
        changedFields(plain.source.header, plain.image.source.header)
          == [.dataType, .bitsPerVoxel])
    }
  }

  @Test("int16 output of a float image uses the range, and keeps 0")
  func int16Output() throws {
    try withTemporaryFolder { folder in
      let voxels = (0..<60).map { Float($0) * 0.013 - 0.26 }
      let options = NIfTIWriteOptions(dataType: .int16)
      let out = try rewrite(file(.float32), voxels, options, in: folder)
      let slope = out.image.source.header.number(.slope)
      #expect(out.warnings == [.rescaled(slope: slope, intercept: 0)])
      #expect(slope > 0 && slope < 0.6 / 32767)
      #expect(out.image.source.dataType == .int16)
      for (a, b) in zip(out.image.volume.voxels, voxels) {
        #expect(Double((a - b).magnitude) <= slope * 0.51)
      }
      // Of an integer image, the scaling is reused.
      let bytes = try rewrite(file(.uint8), (0..<60).map { Float($0) }, options, in: folder)
      #expect(bytes.warnings.isEmpty)
      #expect(bytes.image.volume.voxels == (0..<60).map { Float($0) })
      #expect(
        changedFields(bytes.source.header, bytes.image.source.header)
          == [.dataType, .bitsPerVoxel])
    }
  }

  @Test(
    "Label maps take the smallest type that holds them",
    arguments: [
      ([0, 255], .uint8), ([0, 256], .int16), ([-1, 4], .int16), ([0, 32768], .int32),
      ([-40000, 2], .int32),
    ] as [([Float], NIfTIDataType)])
  func labels(values: [Float], type: NIfTIDataType) throws {
    try withTemporaryFolder { folder in
      var file = file(.float32, count: 2)
      file.slope = 3
      file.intercept = 1
      let out = try rewrite(file, values, NIfTIWriteOptions(dataType: .labels), in: folder)
      let header = out.image.source.header
      #expect(out.image.source.dataType == type)
      #expect(out.image.volume.voxels == values)
      #expect(header.number(.slope) == 1 && header.number(.intercept) == 0)
    }
  }

  @Test("What is no label is refused", arguments: [0.5, .nan, .infinity, 3e9] as [Float])
  func notLabels(value: Float) throws {
    try withTemporaryFolder { folder in
      let error = #expect(throws: ImagingError.self) {
        try rewrite(
          file(.float32, count: 2), [0, value], NIfTIWriteOptions(dataType: .labels), in: folder)
      }
      #expect(error?.what == "label map is not integer")
      #expect(error?.code == 65)
      // The failed attempt leaves neither the file nor its temporary.
      let left = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      #expect(left == ["in.nii"])
    }
  }

  @Test("Labels are listed in ascending order")
  func labelLists() throws {
    let geometry = Geometry(size: GridSize(x: 5, y: 1, z: 1))
    let volume = Volume(voxels: [0, 3, 3, -1, 0], geometry: geometry)
    #expect(try volume.labels(file: "a") == [-1, 0, 3])
  }

  @Test("NaN comes back in float output and becomes 0 in whole numbers")
  func nonFinite() throws {
    try withTemporaryFolder { folder in
      let image = try NIfTI.read(PNGFixture.url("nifti/nonfinite_float32.nii.gz").path)
      let mask = try #require(image.nonFinite)
      let where_ = image.volume.voxels.indices.filter { mask[$0] }
      #expect(where_.count == 3 && where_.allSatisfy { image.volume.voxels[$0] == 0 })

      let float = folder.appending(path: "float.nii").path
      let options = NIfTIWriteOptions(nonFinite: mask)
      #expect(
        try NIfTI.write(image.volume, to: float, like: image.source, options: options).isEmpty)
      let back = try NIfTI.read(float)
      #expect(back.nonFinite == mask)
      #expect(back.volume == image.volume)

      let short = folder.appending(path: "short.nii").path
      let integer = NIfTIWriteOptions(dataType: .int16, nonFinite: mask)
      let warnings = try NIfTI.write(image.volume, to: short, like: image.source, options: integer)
      #expect(warnings.contains(.nonFiniteAsZero(count: 3)))
      let whole = try NIfTI.read(short)
      #expect(whole.nonFinite == nil)
      #expect(where_.allSatisfy { whole.volume.voxels[$0] == 0 })
    }
  }

  @Test("A compressed file depends on nothing but its contents")
  func deterministic() throws {
    try withTemporaryFolder { folder in
      let image = try NIfTI.read(PNGFixture.url("nifti/le_int16.nii").path)
      let files = try ["a.nii.gz", "bb.nii.gz"].map { name in
        let path = folder.appending(path: name)
        try NIfTI.write(image.volume, to: path.path, like: image.source)
        return try Data(contentsOf: path)
      }
      #expect(files[0] == files[1])
      #expect(Array(files[0].prefix(10)) == [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])
      let original = try Data(contentsOf: PNGFixture.url("nifti/le_int16.nii"))
      #expect(gunzip([UInt8](files[0]), capacity: 40000) == [UInt8](original))
    }
  }

  @Test("A volume of our own gets a header of our own")
  func newHeader() throws {
    try withTemporaryFolder { folder in
      let affine = Affine(
        i: SIMD3(0, -2, 0), j: SIMD3(0, 0, 3), k: SIMD3(-4, 0, 0), origin: SIMD3(5, 6, 7))
      let size = GridSize(x: 3, y: 4, z: 5)
      let volume = Volume(
        voxels: (0..<120).map { Float($0) }, geometry: Geometry(size: size, affine: affine),
        volumeCount: 2)
      for name in ["a.nii", "a.nii.gz", "a.hdr"] {
        let path = folder.appending(path: name).path
        #expect(try NIfTI.write(volume, to: path).isEmpty)
        let image = try NIfTI.read(path)
        #expect(image.volume == volume)
        #expect(image.warnings.isEmpty)
        let qform = try NIfTI.read(path, options: NIfTIReadOptions(affineSource: .qform))
        #expect(qform.volume.geometry.matches(volume.geometry, tolerance: 1e-5))
      }
      let unknown = Volume(
        voxels: [1, 2],
        geometry: Geometry(size: GridSize(x: 2, y: 1, z: 1), spacing: SIMD3(2, 3, 4)))
      let path = folder.appending(path: "unknown.nii").path
      try NIfTI.write(unknown, to: path)
      let image = try NIfTI.read(path)
      #expect(image.volume == unknown)
      #expect(image.warnings == [.orientationUnknown])
    }
  }

  @Test("Sizes beyond 32767 need NIfTI-2")
  func largeSizes() throws {
    try withTemporaryFolder { folder in
      let size = GridSize(x: 40000, y: 1, z: 1)
      let volume = Volume(
        voxels: [Float](repeating: 1, count: 40000), geometry: Geometry(size: size))
      let path = folder.appending(path: "large.nii").path
      try NIfTI.write(volume, to: path)
      #expect(try NIfTI.read(path).volume == volume)
      #expect(try NIfTI.readHeader(path).version == .two)
      let source = try NIfTI.read(NIfTITestFile().write(to: folder, as: "small.nii")).source
      let error = #expect(throws: ImagingError.self) {
        try NIfTI.write(volume, to: folder.appending(path: "no.nii").path, like: source)
      }
      #expect(error?.what == "invalid dimensions")
    }
  }

  @Test("Outputs that must not be written are refused")
  func refused() throws {
    try withTemporaryFolder { folder in
      let path = try NIfTITestFile().write(to: folder, as: "in.nii")
      let image = try NIfTI.read(path)
      func error(_ name: String, overwrite: Bool) -> ImagingError? {
        do {
          try NIfTI.write(
            image.volume, to: folder.appending(path: name).path, like: image.source,
            options: NIfTIWriteOptions(overwrite: overwrite))
        } catch { return error }
        return nil
      }
      #expect(error("in.nii", overwrite: true)?.what == "refusing to overwrite input")
      try FileManager.default.linkItem(
        atPath: path, toPath: folder.appending(path: "hard.nii").path)
      #expect(error("hard.nii", overwrite: true)?.what == "refusing to overwrite input")
      try FileManager.default.createSymbolicLink(
        atPath: folder.appending(path: "soft.nii").path, withDestinationPath: "in.nii")
      #expect(error("soft.nii", overwrite: true)?.code == 73)
      #expect(error("out.png", overwrite: false)?.what == "unsupported file format")
      #expect(error("absent/out.nii", overwrite: false)?.what == "cannot create")
      #expect(error("out.nii", overwrite: false) == nil)
      #expect(error("out.nii", overwrite: false)?.what == "output exists")
      #expect(error("out.nii", overwrite: true) == nil)
      // One half of a pair that exists stops both.
      _ = try write([1], to: folder, as: "half.img")
      #expect(error("half.hdr", overwrite: false)?.what == "output exists")
      #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "half.hdr").path))
    }
  }
}
