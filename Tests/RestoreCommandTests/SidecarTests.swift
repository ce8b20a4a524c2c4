import Foundation
import Imaging
import Testing

@Suite("Sidecars of images that no model made")
struct SidecarTests {
  @Test("a simulation tells its source, simulator, seed and warnings, once for each output")
  func simulation() throws {
    let space = try Workspace()
    let size = GridSize(x: 24, y: 24, z: 2)
    try space.image(
      "scores.nii",
      Volume(
        voxels: (0..<size.count).map { sin(Float($0)) },
        geometry: Geometry(size: size, spacing: SIMD3(2, 2, 4))))
    let folder = space.path("").dropLast()
    let outcome = try space.restore(
      "simulate", "mri-sr", "-i", "\(folder)/scores.nii", "-o", "low.nii", "--seed", "7",
      "--reference-output", "clean.nii", "--skull-stripped", "--reproducible")
    #expect(outcome.status == 0, "\(outcome.errors)")
    for name in ["low", "clean"] {
      let sidecar = try space.json("\(name).json")
      #expect(sidecar["Sources"] as? [String] == ["scores.nii"])
      #expect(sidecar["SkullStripped"] as? Bool == true)
      let restore = try #require(sidecar["Restore"] as? [String: Any])
      #expect(restore["simulator"] as? String == "mri-sr" && restore["seed"] as? Int == 7)
      #expect((restore["arguments"] as? [String])?.contains("scores.nii") == true)
      #expect((restore["inputSHA256"] as? String)?.count == 64)
      let warnings = try #require(restore["warnings"] as? [String])
      #expect(warnings.contains { $0.contains("their sign is lost") }, "\(warnings)")
      #expect(restore["model"] == nil && restore["elapsedSeconds"] == nil)
      let text = String(decoding: try space.data("\(name).json"), as: UTF8.self)
      #expect(!text.contains(folder), "no folder is told")
      let voxels = try ScanFile.read(space.path("\(name).nii")).volume.voxels
      let range = try #require(restore["outputRange"] as? [Double])
      #expect(abs(range[0] - Double(voxels.min()!)) < 1e-6 && range[0] < range[1])
    }
  }

  @Test("without one where none is wanted, and never in place of another program's")
  func others() throws {
    let space = try Workspace()
    try space.image("in.nii")
    let none = try space.restore(
      "simulate", "rician", "-i", "in.nii", "-o", "a.nii", "--no-sidecar")
    #expect(none.status == 0 && !space.exists("a.json"))
    let scanner = Data(#"{"EchoTime": 0.003}"#.utf8)
    try space.write(scanner, to: "b.json")
    for arguments in [
      ["simulate", "rician", "-i", "in.nii", "-o", "b.nii"], ["convert", "in.nii", "b.nii"],
      ["simulate", "phantom", "-o", "b.nii"],
    ] {
      let outcome = try space.start(arguments).finish()
      #expect(outcome.status == 73 && outcome.headline == "output exists (b.json)", "\(arguments)")
      #expect(try space.data("b.json") == scanner)
      #expect(!space.exists("b.nii"))
    }
    let clash = try space.restore(
      "simulate", "rician", "-i", "in.nii", "-o", "c.nii", "--reference-output", "c.nii.gz")
    #expect(clash.status == 64 && !space.exists("c.nii"), "both would be described by c.json")
  }

  @Test("conversions, phantoms, lesions and fundus pictures have theirs")
  func kinds() throws {
    let space = try Workspace()
    func described(_ name: String) throws -> [String: Any] {
      let sidecar = try space.json(name)
      #expect(sidecar["Sources"] is [String])
      return try #require(sidecar["Restore"] as? [String: Any])
    }
    #expect(try space.restore("simulate", "phantom", "--subject", "3", "-o", "t1.nii").status == 0)
    let phantom = try described("t1.json")
    #expect(phantom["simulator"] as? String == "phantom" && phantom["seed"] as? Int == 3)
    #expect(phantom["inputSHA256"] == nil && phantom["inputRange"] == nil)

    #expect(try space.restore("convert", "t1.nii", "stack", "--window", "0,50").status == 0)
    let stack = try described("stack.json")
    #expect(stack["simulator"] == nil && stack["seed"] == nil)
    #expect(stack["outputRange"] as? [Int] == [0, 65535])
    #expect((stack["warnings"] as? [String])?.isEmpty == false, "voxels lay beyond the window")
    #expect(try space.restore("convert", "stack", "back.nii").status == 0)
    let sources = try space.json("back.json")["Sources"] as? [String]
    #expect(sources == ["stack"])

    let lesions = try space.restore(
      "simulate", "lesions", "-i", "t1.nii", "-o", "l.nii", "--mask-output", "m.nii")
    #expect(lesions.status == 0, "\(lesions.errors)")
    for name in ["l.json", "m.json"] {
      #expect(try described(name)["simulator"] as? String == "lesions")
    }
    #expect(try described("m.json")["outputRange"] as? [Int] == [0, 1])

    #expect(try space.restore("simulate", "fundus", "-o", "eyes", "--side", "32").status == 0)
    #expect(try described("eyes/fundus-00000.json")["seed"] as? Int == 0)
  }
}
