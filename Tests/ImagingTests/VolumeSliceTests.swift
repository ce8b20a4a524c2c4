import Foundation
import Imaging
import Testing

@Suite("Volumes and slices")
struct VolumeSliceTests {
  /// A body of 5 x 6 x 7 voxels along R, A, S, whose values tell their position.
  private static func value(_ r: Int, _ a: Int, _ s: Int) -> Float { Float(r + 10 * a + 100 * s) }

  /// The body stored in some orientation.
  private static func body(_ letters: String, volumes: Int = 1) -> Volume {
    let extent = ["R": 5, "L": 5, "A": 6, "P": 6, "S": 7, "I": 7]
    let sizes = letters.map { extent[String($0)] ?? 0 }
    let letters = Array(letters)
    let size = GridSize(x: sizes[0], y: sizes[1], z: sizes[2])
    var voxels: [Float] = []
    for t in 0..<volumes {
      for k in 0..<size.z {
        for j in 0..<size.y {
          for i in 0..<size.x {
            var (r, a, s) = (0, 0, 0)
            for (letter, index) in zip(letters, [i, j, k]) {
              switch letter {
              case "R": r = index
              case "L": r = 4 - index
              case "A": a = index
              case "P": a = 5 - index
              case "S": s = index
              default: s = 6 - index
              }
            }
            voxels.append(value(r, a, s) + 1000 * Float(t))
          }
        }
      }
    }
    let spacing = SIMD3(letters.map { ["R": 2, "L": 2, "A": 3, "P": 3][$0] ?? 4.0 })
    return Volume(
      voxels: voxels,
      geometry: Geometry(
        size: size, affine: GeometryTests.affine(String(letters), spacing: spacing)),
      volumeCount: volumes)
  }

  @Test("A slice does not depend on the storage order", arguments: GeometryTests.orientations)
  func canonical(letters: String) {
    let volume = Self.body(letters, volumes: 2)
    let axial = volume.slices(in: .axial, ofVolume: 1)
    #expect(axial.count == 7)
    for s in 0..<7 {
      // Top row: most anterior; first column: the patient's right.
      let expected = (0..<6).flatMap { row in
        (0..<5).map { Self.value(4 - $0, 5 - row, s) + 1000 }
      }
      #expect(axial[s].pixels == expected)
    }
    let coronal = volume.slices(in: .coronal)
    #expect(coronal.count == 6)
    for p in 0..<6 {
      let expected = (0..<7).flatMap { row in (0..<5).map { Self.value(4 - $0, 5 - p, 6 - row) } }
      #expect(coronal[p].pixels == expected)
    }
    let sagittal = volume.slices(in: .sagittal)
    #expect(sagittal.count == 5)
    for l in 0..<5 {
      let expected = (0..<7).flatMap { row in (0..<6).map { Self.value(4 - l, 5 - $0, 6 - row) } }
      #expect(sagittal[l].pixels == expected)
    }
    #expect(axial.layout.spacing == (slice: 4, row: 3, column: 2))
    #expect(coronal.layout.spacing == (slice: 3, row: 4, column: 2))
    #expect(sagittal.layout.spacing == (slice: 2, row: 4, column: 3))
    #expect((axial[0].rowSpacing, axial[0].columnSpacing) == (3, 2))
  }

  @Test(
    "Slices that are put back change nothing, in any plane and order",
    arguments: GeometryTests.orientations)
  func putBack(letters: String) {
    let volume = Self.body(letters, volumes: 2)
    for plane in AnatomicalPlane.allCases {
      var other = Volume(
        voxels: [Float](repeating: .nan, count: volume.voxels.count), geometry: volume.geometry,
        volumeCount: 2)
      for t in 0..<2 {
        for (index, slice) in volume.slices(in: plane, ofVolume: t).enumerated() {
          other.replaceSlice(at: index, in: plane, ofVolume: t, with: slice)
        }
      }
      #expect(other == volume)
    }
  }

  @Test("Edges carry the patient's sides, unless the orientation is unknown")
  func edges() {
    let volume = Self.body("LPI")
    let axial = SliceLayout(.axial, of: volume.geometry).edges
    #expect(axial?.left == .right && axial?.right == .left)
    #expect(axial?.top == .anterior && axial?.bottom == .posterior)
    let sagittal = SliceLayout(.sagittal, of: volume.geometry).edges
    #expect(sagittal?.left == .anterior && sagittal?.top == .superior)
    let unknown = Geometry(size: volume.size, spacing: SIMD3(1, 1, 1))
    #expect(SliceLayout(.axial, of: unknown).edges == nil)
    #expect(SliceLayout(.axial, of: unknown).count == 7)
  }

  @Test("An oblique grid is sliced along its nearest axes")
  func oblique() throws {
    let image = try NIfTI.read(PNGFixture.url("nifti/oblique_both.nii.gz").path)
    #expect(image.volume.geometry.orientation.description == "RAS")
    let slices = image.volume.slices(in: .axial)
    #expect(slices.count == 20)
    #expect(slices.layout.height == 28 && slices.layout.width == 32)
    #expect(slices[5].pixels[0] == image.volume[31, 27, 5, t: 0])
    #expect((slices[0].rowSpacing - 1.1).magnitude < 1e-5)
  }

  @Test("Single voxels, volumes and shapes")
  func access() {
    var volume = Self.body("RAS", volumes: 3)
    #expect(volume.shape == [3, 7, 6, 5])
    #expect(volume[4, 5, 6, t: 2] == 2654)
    #expect(volume.volume(at: 1).shape == [1, 7, 6, 5])
    #expect(volume.volume(at: 1)[1, 2, 3, t: 0] == 1321)
    volume[1, 2, 3, t: 1] = -1
    #expect(volume.voxels[volume.range(ofVolume: 1)].firstIndex(of: -1) == 210 + 3 * 30 + 2 * 5 + 1)
  }
}
