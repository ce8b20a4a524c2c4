import Foundation
import Imaging
import Testing

/// A number in `expected.json`, where NaN is a text.
private struct Number: Decodable {
  let value: Double
  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    value = try (try? container.decode(Double.self)) ?? (Double(container.decode(String.self)) ?? 0)
  }
}

/// The index and value of a voxel, `[[i, j, k, t], value]`.
private struct Sample: Decodable {
  let index: [Int]
  let value: Double
  init(from decoder: any Decoder) throws {
    var container = try decoder.unkeyedContainer()
    index = try container.decode([Int].self)
    value = try container.decode(Double.self)
  }
}

private struct Expected: Decodable {
  let what: String
  let shape: [Int]
  let byteOrder: String
  let zooms: [Double]
  let affine: [[Double]]
  let qformCode: Int?
  let sformCode: Int?
  let min: Double?
  let max: Double?
  let mean: Double?
  let nonFinite: Int?
  let samples: [Sample]?
  let rawVoxOffset: Double
  let rawSlopeInter: [Number]
  let datatypeCode: Int
  let verdict: String
}

private struct ExpectedBad: Decodable {
  let why: String
  let verdict: String
}

@Suite("NIfTI: sample files")
struct NIfTIFixtureTests {
  private static func path(_ name: String) throws -> String { try PNGFixture.url(name).path }

  private static func isClose(_ a: Double, _ b: Double, _ tolerance: Double) -> Bool {
    (a - b).magnitude <= tolerance * Swift.max(1, b.magnitude)
  }

  @Test("Each valid file reads as nibabel reads it")
  func validFiles() throws {
    let table: [String: Expected] = try PNGFixture.expectations("nifti")
    #expect(table.count == 33)
    for (name, expected) in table {
      try check(name, expected)
    }
  }

  private func check(_ name: String, _ expected: Expected) throws {
    let path = try Self.path("nifti/\(name)")
    let header = try NIfTI.readHeader(path)
    #expect(header.byteOrder.rawValue == expected.byteOrder, "\(name)")
    #expect(header.integer(.dataType) == expected.datatypeCode, "\(name)")
    #expect(header.number(.voxelOffset) == expected.rawVoxOffset, "\(name)")
    for (field, number) in zip([NIfTIField.slope, .intercept], expected.rawSlopeInter) {
      let value = header.number(field)
      #expect(value == number.value || (value.isNaN && number.value.isNaN), "\(name)")
    }
    if header.kind != .analyze {
      #expect(header.integer(.qformCode) == expected.qformCode, "\(name)")
      #expect(header.integer(.sformCode) == expected.sformCode, "\(name)")
    }
    guard expected.verdict == "accept" else {
      let error = #expect(throws: ImagingError.self, "\(name)") { try NIfTI.read(path) }
      #expect(error?.code == 65, "\(name)")
      let what = name.hasPrefix("analyze") ? "not a NIfTI file" : "unsupported data type"
      #expect(error?.what == what, "\(name)")
      return
    }

    let image = try NIfTI.read(path)
    let volume = image.volume
    let shape = expected.shape + [Int](repeating: 1, count: 4 - expected.shape.count)
    #expect(volume.shape == shape.reversed(), "\(name)")
    for (axis, zoom) in expected.zooms.prefix(3).enumerated() {
      #expect(Self.isClose(volume.spacing[axis], zoom, 1e-5), "\(name)")
    }
    for (row, values) in expected.affine.enumerated() {
      for (column, value) in values.enumerated() {
        #expect(
          Self.isClose(volume.geometry.affine.rows[row][column], value, 2e-5),
          "\(name) affine \(row) \(column)")
      }
    }
    #expect((image.nonFinite?.count ?? 0) == expected.nonFinite, "\(name)")
    let bounds = try #require(expected.min.flatMap { low in expected.max.map { (low, $0) } })
    #expect(Self.isClose(Double(image.range.lowerBound), bounds.0, 1e-6), "\(name)")
    #expect(Self.isClose(Double(image.range.upperBound), bounds.1, 1e-6), "\(name)")
    let sum = volume.voxels.reduce(0) { $0 + Double($1) }
    let mean = sum / Double(volume.voxels.count - (image.nonFinite?.count ?? 0))
    #expect(Self.isClose(mean, try #require(expected.mean), 1e-6), "\(name)")
    for sample in expected.samples ?? [] {
      let index = sample.index + [Int](repeating: 0, count: 4 - sample.index.count)
      let value = volume[index[0], index[1], index[2], t: index[3]]
      #expect(Self.isClose(Double(value), sample.value, 1e-6), "\(name) \(sample.index)")
    }
  }

  @Test(
    "Odd but valid files come with these warnings and no others",
    arguments: [
      ("le_int16.nii", []), ("slope_nan.nii", []), ("extensions.nii.gz", []),
      ("offset_416.nii", []), ("pair.hdr", []), ("no_orientation.nii.gz", [.orientationUnknown]),
      ("nonfinite_float32.nii.gz", [.nonFinite(count: 3)]),
      ("constant.nii.gz", [.constantImage(value: 7)]),
      ("allzero.nii.gz", [.constantImage(value: 0)]),
    ] as [(String, [NIfTIWarning])])
  func warnings(name: String, expected: [NIfTIWarning]) throws {
    #expect(try NIfTI.read(Self.path("nifti/\(name)")).warnings == expected)
  }

  @Test("Extensions are split at their stated sizes")
  func extensions() throws {
    let image = try NIfTI.read(Self.path("nifti/extensions.nii.gz"))
    #expect(image.source.extensions.map(\.code) == [6, 4])
    #expect(image.source.extensionBytes.count == 432 - 348)
  }

  @Test("The .img file of a pair stands for the pair")
  func imageOfPair() throws {
    let image = try NIfTI.read(Self.path("nifti/pair.img"))
    #expect(try image.volume == NIfTI.read(Self.path("nifti/pair.hdr")).volume)
    #expect(image.source.files.map { $0.suffix(8) } == ["pair.hdr", "pair.img"])
  }

  /// Message, code and, where reading goes on, the warning for each damaged file.
  private static let damaged: [String: (what: String, code: Int32, warnings: [NIfTIWarning])] = [
    "empty.nii": ("not a NIfTI file", 65, []),
    "header_cut_100.nii": ("header is truncated", 65, []),
    "data_cut.nii": ("image data ends early", 65, []),
    "magic_bad.nii": ("not a NIfTI file", 65, []),
    "sizeof_hdr_0.nii": ("not a NIfTI file", 65, []),
    "dim0_9.nii": ("invalid dimensions", 65, []),
    "dim_neg.nii": ("invalid dimensions", 65, []),
    "dim_big.nii": ("image data ends early", 65, []),
    "datatype_unknown.nii": ("unsupported data type", 65, []),
    "bitpix_mismatch.nii": ("unsupported data type", 65, []),
    "offset_past_end.nii": ("invalid data offset", 65, []),
    "offset_nan.nii": ("invalid data offset", 65, []),
    "pixdim_nan.nii": ("invalid voxel size", 65, []),
    "sform_singular.nii": ("invalid voxel size", 65, []),
    "ext_esize_huge.nii": (
      "", 0, [.damagedExtension, .trailingData(bytes: 8, checksumVerified: true)]
    ),
    "gz_cut.nii.gz": ("image data ends early", 65, []),
    "gz_bad_crc.nii.gz": ("checksum mismatch", 65, []),
    "gz_not_gzip.nii.gz": ("", 0, [.notCompressed]),
    "hdr_without_img.hdr": ("no such file", 66, []),
  ]

  @Test("Each damaged file gives its message and code, or its warning")
  func damagedFiles() throws {
    let table: [String: ExpectedBad] = try PNGFixture.expectations("nifti_bad")
    #expect(Set(table.keys) == Set(Self.damaged.keys))
    for (name, bad) in table {
      let expected = try #require(Self.damaged[name])
      let path = try Self.path("nifti_bad/\(name)")
      if !expected.warnings.isEmpty {
        #expect(bad.verdict != "reject", "\(name)")
        #expect(try NIfTI.read(path).warnings == expected.warnings, "\(name)")
      } else {
        #expect(bad.verdict.contains("reject"), "\(name)")
        let error = #expect(throws: ImagingError.self, "\(name)") { try NIfTI.read(path) }
        #expect(error?.what == expected.what, "\(name): \(bad.why)")
        #expect(error?.code == expected.code, "\(name): \(bad.why)")
      }
    }
  }
}
