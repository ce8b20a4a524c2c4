import Foundation
import Imaging
import Testing

@Suite("restore simulate, all kinds")
struct SimulationTests {
  @Test(
    "each simulation degrades, repeats from its seed and keeps the grid",
    arguments: [
      ["rician", "--percent", "5"], ["mri-sr", "--factor", "2"],
      ["mri-sr", "--factor", "4", "--percent", "2"], ["mri-thick", "--slices", "2"],
      ["bias-field", "--strength", "0.4"], ["mri-7t"], ["mri-7t", "--bias", "0"],
      ["ct-lowdose", "--photons", "1e5"],
      ["ct-lowdose", "--filter", "hann"], ["pet-lowcount", "--counts", "2e4"],
    ])
  func simulations(arguments: [String]) throws {
    let space = try Workspace()
    let size = GridSize(x: 24, y: 24, z: 6)
    let clean = Volume(
      voxels: (0..<size.count).map { (index: Int) -> Float in
        let (row, column) = (Float(index / 24), Float(index % 24))
        return 100 + 80 * sin(column / 3) * cos(row / 5)
      },
      geometry: Geometry(size: size, spacing: SIMD3(2, 2, 4)))
    try space.image("clean.nii", clean)
    func run(_ output: String, _ more: String...) throws -> RestoreProcess.Outcome {
      try space.start(["simulate"] + arguments + ["-i", "clean.nii", "-o", output] + more)
        .finish()
    }
    let first = try run("a.nii", "--reference-output", "r.nii")
    #expect(first.status == 0, "\(first.errors)")
    let again = try run("b.nii", "-t", "1")
    #expect(again.status == 0)
    #expect(try space.data("a.nii") == space.data("b.nii"))
    let degraded = try ScanFile.read(space.path("a.nii")).volume
    let reference = try ScanFile.read(space.path("r.nii")).volume
    #expect(degraded.geometry.size == size && degraded.voxels != reference.voxels)
    #expect(degraded.voxels.allSatisfy { $0.isFinite })
    let random = !["mri-thick"].contains(arguments[0]) && arguments != ["mri-sr", "--factor", "2"]
    let other = try run("c.nii", "--seed", "9")
    #expect(other.status == 0)
    let differs = try space.data("a.nii") != space.data("c.nii")
    #expect(differs == random)
    let existing = try run("a.nii")
    #expect(existing.status == 73)
  }

  @Test("intensities that a simulation does not know are refused or told of, by file")
  func foreignIntensities() throws {
    let space = try Workspace()
    let size = GridSize(x: 24, y: 24, z: 2)
    func write(_ name: String, _ value: (Int) -> Float) throws {
      try space.image(
        name,
        Volume(
          voxels: (0..<size.count).map(value),
          geometry: Geometry(size: size, spacing: SIMD3(2, 2, 4))))
    }
    try write("air.nii") { Float($0 % 50) - 1000 }
    try write("scores.nii") { sin(Float($0)) }
    try write("bone.nii") { Float($0 % 50) * 100 }
    for simulator in ["mri-sr", "mri-7t", "pet-lowcount", "rician"] {
      let outcome = try space.restore("simulate", simulator, "-i", "air.nii", "-o", "x.nii")
      #expect(outcome.status == 65 && outcome.headline == "no foreground (air.nii)", "\(simulator)")
      #expect(!space.exists("x.nii"))
    }
    let scores = try space.restore("simulate", "mri-sr", "-i", "scores.nii", "-o", "s.nii")
    #expect(scores.status == 0 && scores.errors.contains("their sign is lost"))
    let bone = try space.restore("simulate", "ct-lowdose", "-i", "bone.nii", "-o", "b.nii")
    #expect(bone.status == 0 && bone.errors.contains("above 3071 HU"), "\(bone.errors)")
  }

  @Test(
    "a scan whose pixels are not square cannot be projected: its file is named",
    arguments: ["ct-lowdose", "pet-lowcount"])
  func oblongPixels(simulator: String) throws {
    let space = try Workspace()
    let size = GridSize(x: 24, y: 24, z: 2)
    try space.image(
      "oblong.nii",
      Volume(
        voxels: (0..<size.count).map(Float.init),
        geometry: Geometry(size: size, spacing: SIMD3(2, 1.5, 4))))
    let outcome = try space.restore("simulate", simulator, "-i", "oblong.nii", "-o", "out.nii")
    #expect(outcome.status == 65)
    #expect(outcome.errors.contains("pixels are not square (oblong.nii)"), "\(outcome.errors)")
    #expect(outcome.errors.contains("2.0 mm") && outcome.errors.contains("1.5 mm"))
    #expect(!FileManager.default.fileExists(atPath: space.path("out.nii")))
  }

  @Test(
    "intensities whose sums no number holds are refused", arguments: ["ct-lowdose", "pet-lowcount"])
  func largeIntensities(simulator: String) throws {
    let space = try Workspace()
    let size = GridSize(x: 16, y: 16, z: 1)
    try space.image(
      "large.nii",
      Volume(
        voxels: (0..<size.count).map { $0 == 40 ? 3e38 : 1 }, geometry: Geometry(size: size)))
    let outcome = try space.restore("simulate", simulator, "-i", "large.nii", "-o", "out.nii")
    #expect(outcome.status == 65 && outcome.headline == "intensities too large (large.nii)")
  }

  @Test("pictures of CT hold HU with an offset")
  func pictures() throws {
    let space = try Workspace()
    let values = (0..<32 * 32).map { index -> Float in
      let (x, y) = (Float(index % 32) - 15.5, Float(index / 32) - 15.5)
      return x * x + y * y < 120 ? 1064 : 24
    }
    let (image, _) = PNGImage.rounding(values, height: 32, width: 32, colour: .grey, bitDepth: 16)
    try image.write(to: space.path("ct.png"))
    let outcome = try space.restore(
      "simulate", "ct-lowdose", "-i", "ct.png", "-o", "low.png", "--reference-output", "ref.png",
      "--picture-offset", "1024", "--picture-spacing", "4")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let reference = try ScanFile.read(space.path("ref.png")).volume
    #expect(abs(reference[16, 16, 0, t: 0] - 1064) < 30)
    #expect(reference[0, 0, 0, t: 0] < 100)
  }

  @Test(
    "a stack of pictures is simulated as each of its slices; its output is not replaced unasked")
  func stack() throws {
    let space = try Workspace()
    try FileManager.default.createDirectory(
      atPath: space.path("stack"), withIntermediateDirectories: true)
    for (slice, value) in [Float(1064), 1104].enumerated() {
      let values = (0..<32 * 32).map { index -> Float in
        let (x, y) = (Float(index % 32) - 15.5, Float(index / 32) - 15.5)
        return x * x + y * y < 120 ? value : 24
      }
      let (image, _) = PNGImage.rounding(
        values, height: 32, width: 32, colour: .grey, bitDepth: 16)
      try image.write(to: space.path("stack/\(slice).png"))
    }
    let options = ["--picture-offset", "1024", "--picture-spacing", "4"]
    func run(_ input: String, _ output: String, _ more: String...) throws -> Int32 {
      try space.start(
        ["simulate", "ct-lowdose", "-i", input, "-o", output] + options + more
      ).finish().status
    }
    #expect(try run("stack", "low") == 0)
    #expect(try run("stack/0.png", "first.png") == 0)
    #expect(try space.data("low/0.png") == space.data("first.png"))
    #expect(try run("stack", "low") == 73)
    #expect(try run("stack", "low", "--overwrite") == 0)
    #expect(try run("stack", "low.png") == 65)
  }

  @Test("images of a folder have noise of their own; the first that of a single image")
  func folder() throws {
    let space = try Workspace()
    try FileManager.default.createDirectory(
      atPath: space.path("in"), withIntermediateDirectories: true)
    for name in ["a", "b"] { try space.image("in/\(name).nii") }
    #expect(try space.restore("simulate", "rician", "-i", "in", "-o", "out").status == 0)
    #expect(try space.restore("simulate", "rician", "-i", "in/b.nii", "-o", "b.nii").status == 0)
    let single = try ScanFile.read(space.path("b.nii")).volume.voxels
    let (a, b) = try (
      ScanFile.read(space.path("out/a.nii")).volume.voxels,
      ScanFile.read(space.path("out/b.nii")).volume.voxels
    )
    #expect(a == single && b != single)
  }

  @Test(
    "values that no simulation can have are refused",
    arguments: [
      ["lesions", "--volumes", "0.3,inf", "--mask-output", "m.nii", "-i", "in.nii", "-o", "o.nii"],
      ["lesions", "--volumes", "3,1", "--mask-output", "m.nii", "-i", "in.nii", "-o", "o.nii"],
      [
        "phantom", "--average", "16", "--grey-matter", "in.nii", "--white-matter", "in.nii", "-o",
        "o.nii",
      ],
    ])
  func impossible(arguments: [String]) throws {
    let space = try Workspace()
    try space.image("in.nii")
    let outcome = try space.start(["simulate"] + arguments).finish()
    #expect([64, 78].contains(outcome.status), "\(outcome.status) \(outcome.errors)")
    #expect(!space.exists("o.nii"))
  }

  @Test("phantoms of all contrasts; contrasts of one subject share the brain")
  func phantoms() throws {
    let space = try Workspace()
    for contrast in ["t1", "t2", "fdg", "ct"] {
      let outcome = try space.restore(
        "simulate", "phantom", "--contrast", contrast, "--subject", "4", "-o", "\(contrast).nii.gz")
      #expect(outcome.status == 0, "\(outcome.errors)")
    }
    let t1 = try ScanFile.read(space.path("t1.nii.gz")).volume
    let t2 = try ScanFile.read(space.path("t2.nii.gz")).volume
    #expect(t1.voxels.map { $0 > 0 } == t2.voxels.map { $0 > 0 } && t1.voxels != t2.voxels)
    let wrong = try space.restore(
      "simulate", "phantom", "--grey-matter", "t1.nii.gz", "-o", "x.nii.gz")
    #expect(wrong.status == 64)
  }
}
