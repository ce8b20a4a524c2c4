import Foundation
import Imaging
import Testing

@Suite("NIfTI: changed grids")
struct NIfTIGridTests {
  private static let gridFields: Set<NIfTIField> = [
    .dim, .pixdim, .quaternB, .quaternC, .quaternD, .qoffsetX, .qoffsetY, .qoffsetZ, .srowX,
    .srowY, .srowZ, .qformCode, .sformCode, .sliceStart, .sliceEnd, .sliceCode, .sliceDuration,
  ]

  private func resized(
    _ image: NIfTIImage, to size: GridSize, in folder: URL, overwrite: Bool = false
  ) throws -> (image: NIfTIImage, path: String, warnings: [NIfTIWarning]) {
    let count = size.count * image.volume.volumeCount
    let volume = Volume(
      voxels: (0..<count).map { Float($0 % 7) },
      geometry: image.volume.geometry.resized(to: size), volumeCount: image.volume.volumeCount)
    let path = folder.appending(path: "out-\(UUID().uuidString).nii").path
    let warnings = try NIfTI.write(volume, to: path, like: image.source)
    let back = try NIfTI.read(path)
    #expect(back.volume.voxels == volume.voxels)
    return (back, path, warnings)
  }

  /// The outer corners of the outermost voxels.
  private func outerCorners(_ geometry: Geometry) -> [SIMD3<Double>] {
    (0..<8).map { corner in
      geometry.affine.world(
        SIMD3(
          corner & 1 == 0 ? -0.5 : Double(geometry.size.x) - 0.5,
          corner & 2 == 0 ? -0.5 : Double(geometry.size.y) - 0.5,
          corner & 4 == 0 ? -0.5 : Double(geometry.size.z) - 0.5))
    }
  }

  @Test(
    "Both forms of a new grid keep the corners of the field of view",
    arguments: [
      "oblique_both.nii.gz", "oblique_qform_only.nii.gz", "oblique_sform_only.nii.gz",
      "qfac_minus1.nii.gz", "nibabel_example4d.nii.gz", "nifti2_int16.nii", "be_int16.nii.gz",
    ])
  func corners(name: String) throws {
    try withTemporaryFolder { folder in
      let image = try NIfTI.read(PNGFixture.url("nifti/\(name)").path)
      let old = image.volume.geometry
      let size = GridSize(x: 2 * old.size.x, y: 17, z: old.size.z)
      let out = try resized(image, to: size, in: folder)
      for source in [AffineSource.sform, .qform] {
        let back = try NIfTI.read(out.path, options: NIfTIReadOptions(affineSource: source))
        #expect(!back.warnings.contains { if case .formUnavailable = $0 { true } else { false } })
        for (a, b) in zip(outerCorners(back.volume.geometry), outerCorners(old)) {
          #expect(((a - b) * (a - b)).sum() < 1e-6)
        }
        #expect(back.volume.shape[1...] == [old.size.z, 17, 2 * old.size.x])
      }
      let changed = changedFields(image.source.header, out.image.source.header)
      #expect(changed.isSubset(of: Self.gridFields))
      #expect(changed.isSuperset(of: [.dim, .pixdim]))
    }
  }

  @Test("An unknown orientation is not made up")
  func unknownOrientation() throws {
    try withTemporaryFolder { folder in
      let image = try NIfTI.read(PNGFixture.url("nifti/no_orientation.nii.gz").path)
      let out = try resized(image, to: GridSize(x: 64, y: 28, z: 20), in: folder)
      #expect(out.image.warnings == [.orientationUnknown])
      #expect(out.image.volume.spacing == SIMD3(0.75, 2, 3))
    }
  }

  @Test("A sheared affine leaves the quaternion form out, with a warning")
  func shear() throws {
    try withTemporaryFolder { folder in
      var file = NIfTITestFile()
      file.srow[0][1] = 1
      file.qformCode = 1
      let image = try NIfTI.read(write(file.bytes, to: folder, as: "a.nii"))
      let out = try resized(image, to: GridSize(x: 6, y: 4, z: 5), in: folder)
      #expect(out.warnings == [.quaternionFormOmitted])
      #expect(out.image.source.header.integer(.qformCode) == 0)
      #expect(out.image.volume.geometry.affine.rows[0][1] == 1)
    }
  }

  @Test("A two-dimensional image that gains slices becomes three-dimensional")
  func rank() throws {
    try withTemporaryFolder { folder in
      let image = try NIfTI.read(PNGFixture.url("nifti/dim2d.nii").path)
      let same = folder.appending(path: "same.nii").path
      try NIfTI.write(image.volume, to: same, like: image.source)
      #expect(try NIfTI.readHeader(same) == image.source.header)
      let out = try resized(image, to: GridSize(x: 32, y: 28, z: 3), in: folder)
      #expect(out.image.source.header.integer(.dim) == 3)
      #expect(out.image.volume.shape == [1, 3, 28, 32])
    }
  }

  @Test("An assumed voxel size is written, so that the result is sound")
  func assumedSpacing() throws {
    try withTemporaryFolder { folder in
      let path = try PNGFixture.url("nifti_bad/pixdim_nan.nii").path
      let image = try NIfTI.read(
        path, options: NIfTIReadOptions(assumedSpacing: SIMD3(1, 1, 2)))
      let out = folder.appending(path: "out.nii").path
      try NIfTI.write(image.volume, to: out, like: image.source)
      let back = try NIfTI.read(out)
      #expect(back.warnings.isEmpty)
      #expect(back.volume.geometry.matches(image.volume.geometry, tolerance: 1e-4))
    }
  }

  @Test("One volume of a series is written as a 3D image, and several as 4D")
  func volumes() throws {
    try withTemporaryFolder { folder in
      let path = try PNGFixture.url("nifti/vol4d.nii.gz").path
      let one = try NIfTI.read(path, options: NIfTIReadOptions(volume: 2))
      let out = folder.appending(path: "out.nii").path
      try NIfTI.write(one.volume, to: out, like: one.source)
      let back = try NIfTI.read(out)
      #expect(back.volume == one.volume)
      #expect(back.source.header.integer(.dim) == 3)
      #expect(changedFields(one.source.header, back.source.header) == [.dim])

      let three = Volume(
        voxels: one.volume.voxels + one.volume.voxels + one.volume.voxels,
        geometry: one.volume.geometry, volumeCount: 3)
      let series = folder.appending(path: "series.nii").path
      try NIfTI.write(three, to: series, like: back.source)
      #expect(try NIfTI.read(series).volume == three)
      #expect(try NIfTI.readHeader(series).integer(.dim) == 4)
    }
  }
}
