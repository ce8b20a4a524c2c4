import Foundation
import Imaging
import Testing

/// A damaged file and what reading it says.
private struct Row: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let what: String
  let code: Int32
  var name = "image.nii"
  let bytes: @Sendable () -> [UInt8]

  init(
    _ description: String, _ what: String, _ code: Int32 = 65, name: String = "image.nii",
    _ bytes: @escaping @Sendable () -> [UInt8]
  ) {
    testDescription = description
    self.what = what
    self.code = code
    self.name = name
    self.bytes = bytes
  }

  /// A row whose header differs from a sound one in the given way.
  static func header(
    _ description: String, _ what: String, _ code: Int32 = 65, name: String = "image.nii",
    _ change: @escaping @Sendable (inout NIfTITestFile) -> Void
  ) -> Row {
    Row(description, what, code, name: name) {
      var file = NIfTITestFile()
      file.voxels = [UInt8](repeating: 1, count: 120)
      change(&file)
      return name.hasSuffix(".gz") ? gzip(file.bytes) : file.bytes
    }
  }
}

@Suite("NIfTI: errors")
struct NIfTIErrorTests {
  private static let rows: [Row] = [
    Row("an empty file", "not a NIfTI file") { [] },
    Row("an empty .nii.gz", "not a NIfTI file", name: "image.nii.gz") { [] },
    Row("text named .nii", "not a NIfTI file") { Array("some words, not an image\n".utf8) },
    Row("text named .nii.gz", "not gzip data", name: "image.nii.gz") { Array("words\n".utf8) },
    Row("gzip data named .nii", "not a NIfTI file") { gzip(NIfTITestFile().bytes) },
    Row("gzip of nothing", "not a NIfTI file", name: "image.nii.gz") { gzip([]) },
    Row("a DICOM file", "not a NIfTI file") { [UInt8](repeating: 0, count: 128) + "DICM".utf8 },
    Row("two bytes", "header is truncated") { [0x5c, 0x01] },
    Row("a cut NIfTI-2 header", "header is truncated") {
      var file = NIfTITestFile()
      file.version = 2
      return Array(file.bytes[..<400])
    },
    Row("a wrong magic", "not a NIfTI file") {
      var bytes = NIfTITestFile().bytes
      bytes[344] = 0x78
      return bytes
    },
    Row("a NIfTI-2 magic hurt by a text-mode transfer", "not a NIfTI file") {
      var file = NIfTITestFile()
      file.version = 2
      var bytes = file.bytes
      bytes[8] = 10
      return bytes
    },
    Row("the magic of a pair in a .nii", "not a NIfTI file") {
      var bytes = NIfTITestFile().bytes
      bytes[345] = 0x69
      return bytes
    },
    .header("no dimensions", "invalid dimensions") { $0.dim[0] = 0 },
    .header("eight dimensions", "invalid dimensions") { $0.dim[0] = 8 },
    .header("-5 dimensions in NIfTI-2", "invalid dimensions") {
      $0.version = 2
      $0.dim[0] = -5
    },
    .header("200 dimensions in NIfTI-2", "invalid dimensions") {
      $0.version = 2
      $0.dim[0] = 200
    },
    .header("a size of 0", "invalid dimensions") { $0.dim[2] = 0 },
    .header("a negative size", "invalid dimensions") { $0.dim[3] = -5 },
    .header("five true dimensions", "invalid dimensions") { $0.dim = [5, 3, 4, 5, 1, 2, 1, 1] },
    .header("more voxels than bytes", "image data ends early") { $0.dim[3] = 6 },
    .header("a product beyond 64 bits", "image data ends early") {
      $0.version = 2
      $0.dim = [4, 1 << 40, 1 << 40, 1 << 40, 1, 1, 1, 1]
    },
    .header("the same compressed", "needs 17179869184.0 GiB", 71, name: "image.nii.gz") {
      $0.version = 2
      $0.dim = [4, 1 << 40, 1 << 40, 1 << 40, 1, 1, 1, 1]
    },
    .header("more voxels than gzip can hold", "image data ends early", name: "image.nii.gz") {
      $0.dim = [3, 400, 400, 5, 1, 1, 1, 1]
    },
    .header("an offset that is NaN", "invalid data offset") { $0.voxelOffset = .nan },
    .header("a negative offset", "invalid data offset") { $0.voxelOffset = -352 },
    .header("an offset inside the header", "invalid data offset") { $0.voxelOffset = 348 },
    .header("an offset of 0 in a single file", "invalid data offset") { $0.voxelOffset = 0 },
    .header("an offset with a fraction", "invalid data offset") { $0.voxelOffset = 352.5 },
    .header("an infinite offset", "invalid data offset") { $0.voxelOffset = .infinity },
    .header("an offset past the end", "invalid data offset") { $0.voxelOffset = 4000 },
    .header("the same compressed", "invalid data offset", name: "image.nii.gz") {
      $0.voxelOffset = 4000
    },
    .header("an offset of 352 in NIfTI-2", "invalid data offset") {
      $0.version = 2
      $0.voxelOffset = 352
    },
    .header("datatype 999", "unsupported data type") { $0.datatype = 999 },
    .header("a bitpix that disagrees", "unsupported data type") { $0.bitpix = 8 },
    .header("1-bit voxels", "unsupported data type") { $0.datatype = 1 },
    .header("RGB", "unsupported data type") { $0.datatype = 128 },
    .header("RGBA", "unsupported data type") { $0.datatype = 2304 },
    .header("complex64", "unsupported data type") { $0.datatype = 32 },
    .header("float128", "unsupported data type") { $0.datatype = 1536 },
    .header("a voxel size of 0", "invalid voxel size") { $0.pixdim[2] = 0 },
    .header("a negative voxel size", "invalid voxel size") { $0.pixdim[1] = -1 },
    .header("a voxel size that is NaN", "invalid voxel size") { $0.pixdim[3] = .nan },
    .header("a singular sform", "invalid voxel size") { $0.srow[1] = [4, 0, 0, 0] },
    .header("an infinite sform", "invalid voxel size") { $0.srow[0][3] = .infinity },
    .header("a qform that is NaN", "invalid voxel size") {
      $0.sformCode = 0
      $0.qformCode = 1
      $0.quaternion[1] = .nan
    },
    .header("no finite voxel", "no finite voxel") {
      $0.datatype = 16
      $0.bitpix = 32
      $0.voxels = (0..<60).flatMap { _ in [0, 0, 0xc0, 0x7f] as [UInt8] }
    },
    Row("a gzip file without its last byte", "image data ends early", name: "image.nii.gz") {
      gzip(NIfTITestFile().bytes).dropLast()
    },
    Row("a wrong CRC", "checksum mismatch", name: "image.nii.gz") {
      var bytes = gzip(NIfTITestFile().bytes)
      bytes[bytes.count - 8] ^= 1
      return bytes
    },
    Row("a wrong length", "checksum mismatch", name: "image.nii.gz") {
      var bytes = gzip(NIfTITestFile().bytes)
      bytes[bytes.count - 4] ^= 1
      return bytes
    },
    Row("an unknown compression method", "damaged gzip data", name: "image.nii.gz") {
      var bytes = gzip(NIfTITestFile().bytes)
      bytes[2] = 9
      return bytes
    },
    Row("an impossible deflate block", "damaged gzip data", name: "image.nii.gz") {
      [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x07, 0, 0, 0]
    },
  ]

  @Test("Each kind of damage gives its message and code", arguments: rows)
  fileprivate func damage(row: Row) throws {
    try withTemporaryFolder { folder in
      let path = try write(row.bytes(), to: folder, as: row.name)
      let error = #expect(throws: ImagingError.self) { try NIfTI.read(path) }
      #expect(error?.what == row.what)
      #expect(error?.code == row.code)
      #expect(error?.description.hasPrefix("\(row.what) (\(path)): ") == true)
    }
  }

  @Test("The facts of a cut file are in its message")
  func facts() throws {
    try withTemporaryFolder { folder in
      let path = try write(NIfTITestFile().bytes.dropLast(20), to: folder, as: "a.nii")
      #expect(throws: ImagingError.imageDataTruncated(file: path, expected: 120, found: 100)) {
        try NIfTI.read(path)
      }
    }
  }

  @Test("Missing files, folders and pipes are told apart")
  func missing() throws {
    try withTemporaryFolder { folder in
      let absent = folder.appending(path: "absent.nii").path
      #expect(throws: ImagingError.noSuchFile(file: absent, reason: nil)) {
        try NIfTI.read(absent)
      }
      let inside = folder.appending(path: "absent/absent.nii").path
      #expect(throws: ImagingError.noSuchFile(file: inside, reason: nil)) {
        try NIfTI.read(inside)
      }
      #expect(throws: ImagingError.unreadable(file: folder.path, reason: "it is a folder")) {
        try NIfTI.read(folder.path)
      }
      let pipe = folder.appending(path: "pipe.nii").path
      mkfifo(pipe, 0o600)
      #expect(throws: ImagingError.unreadable(file: pipe, reason: "it is no regular file")) {
        try NIfTI.read(pipe)
      }
      let image = try write([1], to: folder, as: "half.img")
      let error = #expect(throws: ImagingError.self) { try NIfTI.read(image) }
      #expect(error?.what == "no such file")
      #expect(error?.file?.hasSuffix("half.hdr") == true)
      #expect(error?.code == 66)
    }
  }

  @Test("A volume outside the series is a usage error")
  func volumeIndex() throws {
    try withTemporaryFolder { folder in
      let path = try write(NIfTITestFile().bytes, to: folder, as: "a.nii")
      #expect(throws: ImagingError.noSuchVolume(file: path, index: 1, count: 1)) {
        try NIfTI.read(path, options: NIfTIReadOptions(volume: 1))
      }
    }
  }

  @Test("The memory limit counts the voxels as float32", arguments: ["image.nii", "image.nii.gz"])
  func memoryLimit(name: String) throws {
    try withTemporaryFolder { folder in
      let path = try NIfTITestFile().write(to: folder, as: name)
      let enough = NIfTIReadOptions(maxMemory: 60 * 4 + 352)
      #expect(try NIfTI.read(path, options: enough).volume.voxels.count == 60)
      let error = #expect(throws: ImagingError.self) {
        try NIfTI.read(path, options: NIfTIReadOptions(maxMemory: 60 * 4 + 351))
      }
      #expect(error?.code == 71)
      #expect(error?.what == "needs 592 bytes")
    }
  }

  @Test("Headers of refused files can still be read")
  func headerOnly() throws {
    try withTemporaryFolder { folder in
      var file = NIfTITestFile()
      file.datatype = 128
      file.bitpix = 24
      file.dim[0] = 9
      file.description = "bell \u{7} and \u{1b}[2J"
      let header = try NIfTI.readHeader(write(file.bytes, to: folder, as: "rgb.nii"))
      #expect(header.integer(.dataType) == 128)
      #expect(header.integer(.dim) == 9)
      #expect(header.display(.pixdim) == "1.0 2.0 3.0 4.0 1.0 1.0 1.0 1.0")
      #expect(header.text(.description) == "bell \u{FFFD} and \u{FFFD}[2J")
    }
  }

  @Test("Bytes behind the voxels are a warning")
  func trailing() throws {
    try withTemporaryFolder { folder in
      let bytes = NIfTITestFile().bytes
      let long = gzip(bytes + [UInt8](repeating: 0, count: 1 << 20))
      for (name, bytes, expected) in [
        ("a.nii", bytes + [1, 2, 3], .trailingData(bytes: 3, checksumVerified: true)),
        ("b.nii.gz", gzip(bytes + [1, 2, 3]), .trailingData(bytes: 3, checksumVerified: true)),
        ("c.nii.gz", gzip(bytes) + [1, 2, 3], .trailingGarbage),
        ("d.nii.gz", gzip(bytes) + [0, 0, 0, 0], .trailingGarbage),
        ("e.nii.gz", long, .trailingData(bytes: 1 << 16, checksumVerified: false)),
      ] as [(String, [UInt8], NIfTIWarning)] {
        let path = try write(bytes, to: folder, as: name)
        #expect(try NIfTI.read(path).warnings == [expected])
      }
    }
  }

  @Test("A wrong checksum within reach behind the voxels is found")
  func trailingChecksum() throws {
    try withTemporaryFolder { folder in
      var bytes = gzip(NIfTITestFile().bytes + [1, 2, 3])
      bytes[bytes.count - 5] ^= 0x80
      let path = try write(bytes, to: folder, as: "a.nii.gz")
      let error = #expect(throws: ImagingError.self) { try NIfTI.read(path) }
      #expect(error?.what == "checksum mismatch")
    }
  }

  @Test("Strictness turns NaN into an error")
  func strict() throws {
    let path = try PNGFixture.url("nifti/nonfinite_float32.nii.gz").path
    #expect(throws: ImagingError.nonFiniteVoxels(file: path, count: 3)) {
      try NIfTI.read(path, options: NIfTIReadOptions(isStrict: true))
    }
  }

  @Test("An assumed spacing takes the place of an unusable one, and of no other")
  func assumedSpacing() throws {
    let options = NIfTIReadOptions(assumedSpacing: SIMD3(5, 6, 7))
    try withTemporaryFolder { folder in
      func read(_ change: (inout NIfTITestFile) -> Void) throws -> NIfTIImage {
        var file = NIfTITestFile()
        change(&file)
        return try NIfTI.read(write(file.bytes, to: folder, as: "a.nii"), options: options)
      }
      let sound = try read { _ in }
      #expect(sound.volume.spacing == SIMD3(2, 3, 4))
      #expect(sound.warnings.isEmpty)

      let pixdim = try read { $0.pixdim[2] = 0 }
      #expect(pixdim.volume.spacing == SIMD3(5, 6, 7))
      #expect(pixdim.volume.geometry.isOrientationKnown)
      #expect(pixdim.volume.geometry.affine.origin == SIMD3(-10, -20, -30))
      #expect(pixdim.warnings == [.assumedSpacing(reason: "pixdim[2] is 0.0")])

      // What computes with such sizes overflows.
      for size in [1e-20, 1e30] {
        let impossible = try read { $0.pixdim[2] = size }
        #expect(impossible.volume.spacing == SIMD3(5, 6, 7))
        #expect(throws: ImagingError.self) {
          var file = NIfTITestFile()
          file.pixdim[1] = 0
          return try NIfTI.read(
            write(file.bytes, to: folder, as: "c.nii"),
            options: NIfTIReadOptions(assumedSpacing: SIMD3(1, size, 1)))
        }
      }

      let singular = try read { $0.srow[1] = [0, 0, 0, 0] }
      #expect(
        singular.volume.geometry == Geometry(size: singular.volume.size, spacing: SIMD3(5, 6, 7)))
      #expect(singular.warnings.contains(.orientationUnknown))

      let quaternion = try read {
        $0.sformCode = 0
        $0.qformCode = 1
        $0.pixdim[1] = .nan
        $0.quaternion = [0, 0, 1]
      }
      #expect(quaternion.volume.spacing == SIMD3(5, 6, 7))
      #expect(quaternion.volume.geometry.orientation.description == "LPS")
    }
  }

  @Test("Sform, qform and voxel sizes are chosen by their codes and by request")
  func affineSource() throws {
    try withTemporaryFolder { folder in
      var file = NIfTITestFile()
      file.qformCode = 1
      file.quaternion = [0, 0, 1]
      let both = try write(file.bytes, to: folder, as: "both.nii")
      // The corners differ by twice the extent and offset: (2 * 4, 2 * 9) mm at the far end.
      let offset = (8.0 * 8 + 18 * 18).squareRoot()
      for (source, form, codes) in [
        (AffineSource.auto, AffineForm.sform, "RAS"), (.sform, .sform, "RAS"),
        (.qform, .qform, "LPS"),
      ] {
        let image = try NIfTI.read(both, options: NIfTIReadOptions(affineSource: source))
        #expect(image.source.affineForm == form)
        #expect(image.volume.geometry.orientation.description == codes)
        #expect(image.warnings == [.formsDiffer(offset: offset, used: form)])
      }
      file.sformCode = 0
      let qform = try write(file.bytes, to: folder, as: "qform.nii")
      let image = try NIfTI.read(qform, options: NIfTIReadOptions(affineSource: .sform))
      #expect(image.source.affineForm == .qform)
      #expect(image.warnings == [.formUnavailable(requested: .sform, used: .qform)])
      file.qformCode = 0
      let neither = try NIfTI.read(write(file.bytes, to: folder, as: "neither.nii"))
      #expect(
        neither.volume.geometry == Geometry(size: neither.volume.size, spacing: SIMD3(2, 3, 4)))
      #expect(neither.warnings == [.orientationUnknown])
    }
  }

  @Test("Units other than mm and an unusable intercept are told")
  func oddities() throws {
    try withTemporaryFolder { folder in
      var file = NIfTITestFile()
      file.units = 3
      file.slope = 2
      file.intercept = .nan
      let image = try NIfTI.read(write(file.bytes, to: folder, as: "a.nii"))
      #expect(image.warnings == [.spaceUnit("micrometres"), .interceptIgnored])
      #expect(image.volume[2, 0, 0, t: 0] == 4)
    }
  }

  @Test("Trailing dimensions of size 1 and sizes beyond the rank do no harm")
  func ranks() throws {
    try withTemporaryFolder { folder in
      for (dim, shape) in [
        ([7, 3, 4, 5, 1, 1, 1, 1], [1, 5, 4, 3]), ([5, 3, 2, 5, 2, 1, 0, 0], [2, 5, 2, 3]),
        ([2, 3, 20, -7, 0, 0, 0, 0], [1, 1, 20, 3]), ([1, 60, 0, 0, 0, 0, 0, 0], [1, 1, 1, 60]),
      ] {
        var file = NIfTITestFile()
        file.dim = dim
        let image = try NIfTI.read(write(file.bytes, to: folder, as: "a.nii"))
        #expect(image.volume.shape == shape)
        #expect(image.volume.voxels == (0..<60).map { Float($0) })
      }
    }
  }
}
