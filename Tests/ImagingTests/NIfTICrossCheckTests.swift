import CNIfTI
import Foundation
import Imaging
import Testing

/// Comparison with libnifti, on sound files only: it trusts headers too much for others.
@Suite("NIfTI: comparison with libnifti")
struct NIfTICrossCheckTests {
  private static let names = [
    "le_int16.nii", "le_int16.nii.gz", "be_int16.nii.gz", "dt_uint8.nii.gz", "dt_uint16.nii.gz",
    "dt_int32.nii.gz", "dt_uint32.nii.gz", "dt_int64.nii.gz", "dt_float32.nii.gz",
    "dt_float64.nii.gz", "scaled_int16.nii.gz", "slope0.nii", "slope_nan.nii", "vol4d.nii.gz",
    "dim2d.nii", "slice_z1.nii.gz", "nifti2_int16.nii", "nifti2_float32.nii.gz", "pair.hdr",
    "oblique_both.nii.gz", "oblique_qform_only.nii.gz", "oblique_sform_only.nii.gz",
    "qfac_minus1.nii.gz", "extensions.nii.gz", "offset_416.nii", "nibabel_example4d.nii.gz",
    "nimh_zstat1_be.nii.gz",
  ]

  @Test("The sample files read as libnifti reads them", arguments: names)
  func samples(name: String) throws {
    let path = try PNGFixture.url("nifti/\(name)").path
    try compare(NIfTI.read(path), path)
  }

  @Test("Written files read as libnifti reads them", arguments: NIfTIDataType.allCases)
  func written(type: NIfTIDataType) throws {
    try withTemporaryFolder { folder in
      for (version, isBig, name) in [
        (1, false, "a.nii.gz"), (1, true, "b.nii"), (2, false, "c.nii"), (2, true, "d.hdr"),
      ] {
        var file = NIfTITestFile()
        file.version = version
        file.isBig = isBig
        file.isPair = name == "d.hdr"
        file.datatype = type.rawValue
        file.bitpix = type.size * 8
        file.slope = 0.25
        let image = try NIfTI.read(file.write(to: folder, as: "in-\(name)"))
        let volume = Volume(
          voxels: image.volume.voxels + image.volume.voxels,
          geometry: image.volume.geometry.resized(to: GridSize(x: 6, y: 4, z: 5)))
        let path = folder.appending(path: name).path
        try NIfTI.write(volume, to: path, like: image.source)
        try compare(NIfTI.read(path), path)
      }
      let own = folder.appending(path: "own.nii.gz").path
      let geometry = Geometry(size: GridSize(x: 3, y: 2, z: 1), spacing: SIMD3(1, 2, 3))
      try NIfTI.write(Volume(voxels: [1, 2, 3, 4, 5, 6], geometry: geometry), to: own)
      try compare(NIfTI.read(own), own)
    }
  }

  private func compare(_ image: NIfTIImage, _ path: String) throws {
    let pointer = try #require(nifti_image_read(path, 1))
    defer { nifti_image_free(pointer) }
    let other = pointer.pointee
    let header = image.source.header
    #expect(
      image.volume.shape
        == [other.nt, other.nz, other.ny, other.nx].map { Int(max($0, 1)) })
    #expect(Int(other.datatype) == header.integer(.dataType))
    #expect(Int(other.sform_code) == header.integer(.sformCode))
    #expect(Int(other.qform_code) == header.integer(.qformCode))
    let matrix = other.sform_code > 0 ? other.sto_xyz : other.qto_xyz
    let (x, y, z, _) = matrix.m
    let rows = [[x.0, x.1, x.2, x.3], [y.0, y.1, y.2, y.3], [z.0, z.1, z.2, z.3]]
    for (a, b) in zip(image.volume.geometry.affine.rows.joined(), rows.joined()) {
      // Without a form libnifti places the first voxel elsewhere; the product's rule is ours.
      if image.source.affineForm != .pixdim { #expect((a - b).magnitude < 1e-5) }
    }
    #expect(Int(other.num_ext) == image.source.extensions.count)
    for index in 0..<Int(other.num_ext) {
      let part = other.ext_list[index]
      #expect(Int(part.ecode) == image.source.extensions[index].code)
      #expect(Int(part.esize) - 8 == image.source.extensions[index].data.count)
    }

    let data = UnsafeRawBufferPointer(
      start: other.data, count: Int(other.nvox) * Int(other.nbyper))
    let type = image.source.dataType
    let slope = other.scl_slope.isFinite && other.scl_slope != 0 ? other.scl_slope : 1
    let intercept = other.scl_slope.isFinite && other.scl_slope != 0 ? other.scl_inter : 0
    var different = 0
    for (index, voxel) in image.volume.voxels.enumerated() {
      let stored = Self.value(data, index, type)
      let value = Float(stored * slope + intercept)
      if voxel != value { different += 1 }
    }
    #expect(different == 0)
  }

  private static func value(
    _ data: UnsafeRawBufferPointer, _ index: Int, _ type: NIfTIDataType
  ) -> Double {
    let at = index * type.size
    switch type {
    case .uint8: return Double(data[at])
    case .int8: return Double(Int8(bitPattern: data[at]))
    case .int16: return Double(data.loadUnaligned(fromByteOffset: at, as: Int16.self))
    case .uint16: return Double(data.loadUnaligned(fromByteOffset: at, as: UInt16.self))
    case .int32: return Double(data.loadUnaligned(fromByteOffset: at, as: Int32.self))
    case .uint32: return Double(data.loadUnaligned(fromByteOffset: at, as: UInt32.self))
    case .int64: return Double(data.loadUnaligned(fromByteOffset: at, as: Int64.self))
    case .uint64: return Double(data.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    case .float32: return Double(data.loadUnaligned(fromByteOffset: at, as: Float.self))
    case .float64: return data.loadUnaligned(fromByteOffset: at, as: Double.self)
    }
  }
}
