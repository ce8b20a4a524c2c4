import Imaging
import Randomness
import Testing

@Suite("Geometry")
struct GeometryTests {
  /// All 48 ways to store the three anatomical axes, as letters of i, j, k.
  static let orientations: [String] = {
    let pairs: [[Character]] = [["R", "L"], ["A", "P"], ["S", "I"]]
    var names: [String] = []
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
      for flips in 0..<8 {
        names.append(String(order.enumerated().map { pairs[$1][flips >> $0 & 1] }))
      }
    }
    return names
  }()

  /// The unit vector of a direction in RAS+ world axes.
  static func vector(_ letter: Character) -> SIMD3<Double> {
    switch letter {
    case "R": SIMD3(1, 0, 0)
    case "L": SIMD3(-1, 0, 0)
    case "A": SIMD3(0, 1, 0)
    case "P": SIMD3(0, -1, 0)
    case "S": SIMD3(0, 0, 1)
    default: SIMD3(0, 0, -1)
    }
  }

  static func affine(_ letters: String, spacing: SIMD3<Double> = SIMD3(1, 1, 1)) -> Affine {
    let axes = letters.map { vector($0) }
    return Affine(
      i: axes[0] * spacing.x, j: axes[1] * spacing.y, k: axes[2] * spacing.z,
      origin: SIMD3(-3, 5, 11))
  }

  @Test("Letters tell where each index grows", arguments: orientations)
  func orientation(letters: String) {
    let exact = Self.affine(letters, spacing: SIMD3(0.5, 2, 7))
    #expect(Orientation(exact).description == letters)
    // A tilt of less than 35 degrees about any axis does not change the nearest directions.
    for axis in [SIMD3<Double>(1, 0.2, 0.1), SIMD3(0.1, 1, -0.3), SIMD3(0, 0.3, 1)] {
      let tilted = Affine(
        i: rotated(exact.i, axis, 0.5), j: rotated(exact.j, axis, 0.5),
        k: rotated(exact.k, axis, 0.5))
      #expect(Orientation(tilted).description == letters)
    }
  }

  /// Rodrigues' rotation.
  private func rotated(
    _ v: SIMD3<Double>, _ axis: SIMD3<Double>, _ angle: Double
  ) -> SIMD3<Double> {
    let u = axis / (axis * axis).sum().squareRoot()
    let (c, s) = (0.8775825618903728, 0.479425538604203)
    precondition(angle == 0.5)
    let cross = SIMD3(
      u.y * v.z - u.z * v.y, u.z * v.x - u.x * v.z, u.x * v.y - u.y * v.x)
    return v * c + cross * s + u * ((u * v).sum() * (1 - c))
  }

  @Test("World and index positions are inverse to each other")
  func inverse() {
    let affine = Affine(
      i: SIMD3(0.8, 0.3, 0), j: SIMD3(-0.4, 0.9, 0.4), k: SIMD3(0.4, -0.9, 2.3),
      origin: SIMD3(-12, 33, 7))
    for index in [SIMD3<Double>(0, 0, 0), SIMD3(3, -2, 5), SIMD3(0.5, 100, -7.25)] {
      let back = affine.index(affine.world(index))
      #expect(((back - index) * (back - index)).sum() < 1e-20)
    }
    #expect(affine.rows[1] == [0.3, 0.9, -0.9, 33])
    #expect(affine.rows[3] == [0, 0, 0, 1])
  }

  @Test("Quaternion forms give the rotation matrix of the standard")
  func quaternion() {
    var generator = SeededGenerator(seed: 3)
    for round in 0..<50 {
      let raw = SIMD4<Double>(
        (0..<4).map { _ in Double.random(in: -1...1, using: &generator) })
      let q = raw / (raw * raw).sum().squareRoot() * (raw[0] < 0 ? -1 : 1)
      let (a, b, c, d) = (q[0], q[1], q[2], q[3])
      let qfac = round % 2 == 0 ? 1.0 : -1
      let spacing = SIMD3(0.5, 1.5, 3)
      let form = QuaternionForm(
        vector: SIMD3(b, c, d), offset: SIMD3(1, 2, 3), spacing: spacing, qfac: qfac)
      let expected = Affine(
        i: SIMD3(a * a + b * b - c * c - d * d, 2 * (b * c + a * d), 2 * (b * d - a * c))
          * spacing.x,
        j: SIMD3(2 * (b * c - a * d), a * a + c * c - b * b - d * d, 2 * (c * d + a * b))
          * spacing.y,
        k: SIMD3(2 * (b * d + a * c), 2 * (c * d - a * b), a * a + d * d - b * b - c * c)
          * (qfac * spacing.z),
        origin: SIMD3(1, 2, 3))
      for (x, y) in zip(form.affine.rows.joined(), expected.rows.joined()) {
        #expect((x - y).magnitude < 1e-12)
      }
      let back = QuaternionForm(closestTo: form.affine)
      #expect(back.qfac == qfac)
      for (x, y) in zip(back.affine.rows.joined(), expected.rows.joined()) {
        #expect((x - y).magnitude < 1e-9)
      }
    }
  }

  @Test("Affines without an inverse, or with NaN, are not usable")
  func usable() {
    let sound = Affine(spacing: SIMD3(1e-4, 1, 1e4))
    #expect(sound.isUsable)
    var affine = sound
    affine.k = affine.j * 2
    #expect(!affine.isUsable)
    affine.k = .zero
    #expect(!affine.isUsable)
    for value in [Double.nan, .infinity] {
      affine = sound
      affine.origin.y = value
      #expect(!affine.isUsable)
    }
    #expect(!Affine(spacing: SIMD3(1e200, 1e200, 1)).isUsable)
  }

  @Test("A resized grid keeps the faces of the field of view")
  func resized() {
    let size = GridSize(x: 10, y: 7, z: 4)
    let geometry = Geometry(size: size, affine: Self.affine("PSL", spacing: SIMD3(1, 2, 3)))
    let fine = geometry.resized(to: GridSize(x: 20, y: 7, z: 16))
    #expect(fine.spacing == SIMD3(0.5, 2, 0.75))
    #expect(
      fine.affine.world(SIMD3(-0.5, -0.5, -0.5)) == geometry.affine.world(SIMD3(-0.5, -0.5, -0.5)))
    #expect(
      fine.affine.world(SIMD3(19.5, 6.5, 15.5)) == geometry.affine.world(SIMD3(9.5, 6.5, 3.5)))
    #expect(fine.resized(to: size) == geometry)
  }

  @Test(
    "The through-plane axis has one voxel, or the odd spacing out, or the largest, or is the last",
    arguments: [
      ([10, 10, 10], SIMD3(1, 1, 1), 2), ([10, 10, 10], SIMD3(1, 3, 1), 1),
      ([10, 1, 10], SIMD3(1, 1, 5), 1), ([10, 10, 10], SIMD3(5, 1, 4.96), 1),
      ([10, 10, 10], SIMD3(5, 1, 4.9), 0), ([10, 10, 10], SIMD3(4.07, 4.07, 3), 2),
      ([10, 10, 10], SIMD3(0.98, 0.98, 0.625), 2), ([10, 10, 10], SIMD3(0.625, 0.98, 0.98), 0),
      ([10, 10, 10], SIMD3(3, 1, 2), 0), ([10, 10, 10], SIMD3(1, 1.004, 0.996), 2),
      ([1, 10, 10], SIMD3(4, 4, 3), 0),
      // Neighbours agree, the ends do not: no pair stands out.
      ([10, 10, 10], SIMD3(1, 1.008, 1.016), 2), ([10, 10, 10], SIMD3(1.016, 1.008, 1), 1),
    ] as [([Int], SIMD3<Double>, Int)])
  func throughPlane(sizes: [Int], spacing: SIMD3<Double>, axis: Int) {
    let size = GridSize(x: sizes[0], y: sizes[1], z: sizes[2])
    let geometry = Geometry(size: size, affine: Self.affine("PIR", spacing: spacing))
    #expect(geometry.throughPlaneAxis == axis)
    #expect(geometry.acquisitionPlane == [.coronal, .axial, .sagittal][axis])
  }

  @Test("Grids match if all corners agree")
  func matching() {
    let size = GridSize(x: 11, y: 11, z: 11)
    let geometry = Geometry(size: size, affine: Self.affine("RAS"))
    var affine = geometry.affine
    affine.i.x += 0.00009
    #expect(geometry.matches(Geometry(size: size, affine: affine)))
    affine.i.x += 0.00002
    let moved = Geometry(size: size, affine: affine)
    #expect(!geometry.matches(moved))
    #expect((geometry.largestCornerOffset(from: moved) - 0.0011).magnitude < 1e-9)

    let a = Volume(voxels: [Float](repeating: 0, count: size.count), geometry: geometry)
    let b = Volume(voxels: a.voxels, geometry: moved)
    let error = #expect(throws: ImagingError.self) {
      try a.requireGrid(of: b, file: "a.nii", referenceFile: "b.nii")
    }
    #expect(
      error?.description
        == "geometry differs (a.nii): shape [1, 11, 11, 11], that of b.nii is [1, 11, 11, 11]; "
        + "largest corner offset 0.001 mm")
    #expect(error?.code == 65)
    #expect(throws: Never.self) { try a.requireGrid(of: a, file: "a", referenceFile: "a") }
  }
}
