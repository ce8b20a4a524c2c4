import Foundation
import Imaging
import Testing

@Suite("restore convert")
struct ConvertCommandTests {
  @Test("a volume of whole numbers survives the way to PNG files and back")
  func roundTrip() throws {
    let space = try Workspace()
    let size = GridSize(x: 7, y: 5, z: 12)
    let volume = Volume(
      voxels: (0..<size.count).map { Float($0 * 131 % 60000) }, geometry: Geometry(size: size))
    try space.image("v.nii.gz", volume)
    #expect(try space.restore("convert", "v.nii.gz", "stack").status == 0)
    let names = try FileManager.default.contentsOfDirectory(atPath: space.path("stack")).sorted()
    #expect(names.count == 12 && names.first == "0000.png")
    let back = try space.restore("convert", "stack", "back.nii.gz", "--spacing", "0.5,0.6,3")
    #expect(back.status == 0, "\(back.errors)")
    let read = try ScanFile.read(space.path("back.nii.gz")).volume
    #expect(read.voxels == volume.voxels)
    #expect((read.spacing - SIMD3(0.5, 0.6, 3)).max() < 1e-6)
    #expect(try space.restore("convert", "stack", "back.nii.gz").status == 73)
  }

  @Test("a NIfTI image in another container keeps header, type, and voxels that are no numbers")
  func containers() throws {
    let space = try Workspace()
    var volume = space.volume(times: 2)
    volume.voxels[5] = .nan
    try space.image("in.nii", volume)
    #expect(try space.restore("convert", "in.nii", "out.nii.gz").status == 0)
    #expect(try space.restore("convert", "out.nii.gz", "pair.hdr").status == 0)
    #expect(try space.restore("convert", "pair.img", "back.nii").status == 0)
    #expect(try space.data("back.nii") == space.data("in.nii"))
    let integers = Volume(
      voxels: (0..<360).map { Float($0 * 3 - 500) }, geometry: space.volume().geometry)
    try space.image("int.nii", integers, type: .labels)
    #expect(try space.restore("convert", "int.nii", "int.nii.gz").status == 0)
    let (a, b) = (try NIfTI.read(space.path("int.nii")), try NIfTI.read(space.path("int.nii.gz")))
    #expect(a.source.header == b.source.header && a.volume.voxels == b.volume.voxels)
    #expect(try space.restore("convert", "int.nii", "int.nii", "--overwrite").status == 73)
  }

  @Test("a stack is never written over itself, however its folder is spelt")
  func sameFolder() throws {
    let space = try Workspace()
    let size = GridSize(x: 5, y: 4, z: 3)
    try space.image(
      "v.nii", Volume(voxels: (0..<60).map(Float.init), geometry: Geometry(size: size)))
    #expect(try space.restore("convert", "v.nii", "stack").status == 0)
    let before = try space.data("stack/0001.png")
    for output in ["stack", "./stack/", "\(space.folder)/stack"] {
      let outcome = try space.restore(
        "convert", "stack", output, "--window", "0,10", "--overwrite")
      #expect(outcome.status == 73 && outcome.headline?.hasPrefix("refusing") == true)
    }
    #expect(try space.data("stack/0001.png") == before)
  }

  @Test("numbers that single precision does not hold are told of")
  func rounding() throws {
    let space = try Workspace()
    var volume = space.volume()
    volume.voxels = volume.voxels.indices.map { Float(100_000 + $0) }
    try space.image("small.nii", volume, type: .labels)
    var large = try space.data("small.nii")
    large.replaceSubrange(352..<356, with: bytes(Int32(16_777_217)))
    try space.write(large, to: "large.nii")
    let outcomes = try ["small", "large"].map {
      try space.restore("convert", "\($0).nii", "\($0).nii.gz")
    }
    #expect(outcomes.map(\.status) == [0, 0])
    #expect(outcomes[0].errors.isEmpty && outcomes[1].errors.contains("single precision"))
  }

  @Test("whole numbers are stored as they are", arguments: ["same", "int16"])
  func wholeNumbers(type: String) throws {
    let space = try Workspace()
    let size = GridSize(x: 5, y: 4, z: 3)
    let volume = Volume(
      voxels: (0..<size.count).map { Float(128 + 35 * $0) }, geometry: Geometry(size: size))
    try space.image("v.nii", volume)
    #expect(try space.restore("convert", "v.nii", "stack").status == 0)
    let outcome = try space.restore("convert", "stack", "back.nii", "--dtype", type)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let back = try NIfTI.read(space.path("back.nii"))
    #expect(back.volume.voxels == volume.voxels)
    #expect(back.source.header.integer(.dataType) == 4)
  }

  @Test("other intensities are spread over 16 bits, or a window is")
  func window() throws {
    let space = try Workspace()
    let size = GridSize(x: 4, y: 1, z: 1)
    let volume = Volume(voxels: [-1000, 0, 1000, 4000], geometry: Geometry(size: size))
    try space.image("v.nii", volume)
    #expect(
      try space.restore("convert", "v.nii", "w", "--window=-1000,1000").status == 0)
    #expect(
      try ScanFile.read(space.path("w/0000.png")).volume.voxels == [0, 32768, 65535, 65535])
    let bad = try space.restore("convert", "v.nii", "x", "--window", "5,1")
    #expect(bad.status == 64)
  }

  @Test("options for another conversion and folders named like files are refused")
  func misplaced() throws {
    let space = try Workspace()
    try space.image("v.nii", space.volume())
    for arguments in [
      ["convert", "v.nii", "s", "--arch", "restore-rwkv"],
      ["convert", "v.nii", "s", "--spacing", "3"],
      ["convert", "v.nii", "v.nii.gz", "--window", "0,1"],
      ["convert", "v.nii", "s", "--dtype", "int16"],
    ] {
      let outcome = try space.start(arguments).finish()
      #expect(
        outcome.status == 64 && outcome.errors.contains("does not go with"), "\(outcome.errors)")
    }
    let text = try space.restore("convert", "v.nii", "slices.txt")
    #expect(text.status == 65 && !space.exists("slices.txt"), "\(text.errors)")
  }

  @Test("a checkpoint that is none, or without an architecture, is refused")
  func refusals() throws {
    let space = try Workspace()
    try space.write("not a checkpoint", to: "m.pth")
    let none = try space.restore("convert", "m.pth", "b")
    #expect(none.status == 64 && none.errors.contains("no architecture"))
    let text = try space.restore("convert", "m.pth", "b", "--arch", "restore-rwkv")
    #expect(text.status == 65 && text.errors.contains("not a PyTorch checkpoint (m.pth)"))
    let missing = try space.restore("convert", "absent.pth", "b", "--arch", "restore-rwkv")
    #expect(missing.status == 66)
    #expect(!space.exists("b/model.json"))
  }

  /// The folder of the checkpoint that PyTorch wrote.
  private var fixtures: String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Fixtures"
  }

  private static let tiny = """
    {"dim": 4, "num_blocks": [1, 1, 1, 1], "num_refinement_blocks": 1}
    """

  @Test("a checkpoint that PyTorch wrote becomes a bundle that computes what PyTorch computed")
  func checkpoint() throws {
    let space = try Workspace()
    try space.write(Self.tiny, to: "tiny.json")
    let outcome = try space.restore(
      "convert", fixtures + "/tiny_restore_rwkv.pth", "bundle", "--arch", "restore-rwkv",
      "--hyperparameters", "tiny.json")
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.output.contains("0 missing, 0 unexpected, 0 of another shape"))
    let card = try space.json("bundle/model.json")
    #expect(card["converted_from"] as? String == "tiny_restore_rwkv.pth")
    let verified = try space.restore("models", "verify", "./bundle")
    #expect(verified.status == 0, "\(verified.errors)")
    // The ramp of the script, in the range of the card's window 0 … 4095.
    let ramp = (0..<16 * 24).map { Float($0 % 37) / 37 * 4095 }
    let size = GridSize(x: 24, y: 16, z: 1)
    let affine = Affine(i: SIMD3(-1, 0, 0), j: SIMD3(0, -1, 0), k: SIMD3(0, 0, 1))
    try space.image(
      "ramp.nii", Volume(voxels: ramp, geometry: Geometry(size: size, affine: affine)))
    let run = try space.restore(
      "run", "-i", "ramp.nii", "-o", "out.nii", "-m", "./bundle", "--dtype", "float32")
    #expect(run.status == 0, "\(run.errors)")
    let expected = try JSONDecoder().decode(
      [Float].self,
      from: Data(contentsOf: URL(fileURLWithPath: fixtures + "/tiny_restore_rwkv.json")))
    let found = try ScanFile.read(space.path("out.nii")).volume.voxels
    let worst = zip(found, expected).reduce(Float(0)) { worst, pair in
      // The card's window clips what leaves it.
      max(worst, abs(pair.0 / 4095 - min(max(pair.1, 0), 1)))
    }
    #expect(worst < 1e-4)
    let again = try space.restore(
      "convert", fixtures + "/tiny_restore_rwkv.pth", "bundle", "--arch", "restore-rwkv",
      "--hyperparameters", "tiny.json")
    #expect(again.status == 73)
  }

  @Test(
    "cards of segmenting networks say what they take and give",
    arguments: [
      (
        "gdkvm", "US", [1, 4], ["256", "256"],
        """
        {"image_encoder": "resnet18", "image_encoder_width": 8, "mask_encoder_width": 8, "key_dim": 8,
         "value_dim": 16, "pixel_dim": 16, "sensory_dim": 8, "embed_dim": 16, "heads": 2,
         "num_queries": 4, "num_blocks": 1, "ff_dim": 16, "decoder_dims": [16, 16, 16], "objects": 3}
        """
      ),
      (
        "stroke-2.5d", "MR", [2, 2], ["*", "*", "*"], "{\"path\": {\"channels\": 4}}"
      ),
      ("tvconv-net", "OP", [3, 2], ["64", "64"], "{\"image_size\": 64}"),
    ])
  func segmenting(
    arch: String, modality: String, channels: [Int], shape: [String], hyperparameters: String
  ) throws {
    let space = try Workspace()
    try space.write(hyperparameters, to: "h.json")
    let outcome = try space.restore(
      "convert", fixtures + "/one_tensor_\(arch).pth", "bundle", "--arch", arch,
      "--hyperparameters", "h.json", "--allow-missing")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let card = try space.json("bundle/model.json")
    #expect(card["task"] as? String == "segment")
    let input = try #require((card["inputs"] as? [String: [String: Any]])?["image"])
    let output = try #require((card["outputs"] as? [String: [String: Any]])?["pred"])
    #expect(input["modality"] as? String == modality)
    #expect(input["num_channels"] as? Int == channels[0])
    #expect(input["spatial_shape"] as? [String] == shape)
    #expect(output["num_channels"] as? Int == channels[1])
    #expect(output["format"] as? String == "segmentation")
    let verified = try space.restore("models", "verify", "./bundle")
    #expect(verified.status == 0, "\(verified.errors)")
    var wrong = card
    var inputs = try #require(card["inputs"] as? [String: [String: Any]])
    inputs["image"]?["num_channels"] = channels[0] + 1
    wrong["inputs"] = inputs
    try JSONSerialization.data(withJSONObject: wrong).write(
      to: URL(fileURLWithPath: space.path("bundle/model.json")))
    let refused = try space.restore("models", "verify", "./bundle")
    #expect(refused.status == 78 && refused.errors.contains("channels"), "\(refused.errors)")
  }

  @Test("hyperparameters of the wrong type are refused by their key")
  func hyperparameters() throws {
    let space = try Workspace()
    try space.write(Self.tiny.replacingOccurrences(of: "4", with: "\"four\""), to: "wrong.json")
    let outcome = try space.restore(
      "convert", fixtures + "/tiny_restore_rwkv.pth", "b", "--arch", "restore-rwkv",
      "--hyperparameters", "wrong.json")
    #expect(outcome.status == 78 && outcome.errors.contains("dim"), "\(outcome.errors)")
    #expect(outcome.headline == "invalid hyperparameters (wrong.json)")
  }

  @Test("a checkpoint of another network is refused with counts and names")
  func mismatch() throws {
    let space = try Workspace()
    try space.write(
      Self.tiny.replacingOccurrences(
        of: "\"num_refinement_blocks\": 1", with: "\"num_refinement_blocks\": 2"),
      to: "larger.json")
    let arguments = [
      "convert", fixtures + "/tiny_restore_rwkv.pth", "b", "--arch", "restore-rwkv",
      "--hyperparameters", "larger.json",
    ]
    let strict = try space.start(arguments).finish()
    #expect(strict.status == 65 && strict.errors.contains("missing: refinement.1."))
    #expect(!space.exists("b/model.json"))
    let lenient = try space.start(arguments + ["--allow-missing"]).finish()
    #expect(lenient.status == 0 && lenient.errors.contains("keeps its initial value"))
    let converted = try space.start(
      arguments + ["--allow-missing", "--overwrite", "--json"]
    ).finish().json()
    let refused = try space.start(arguments + ["--overwrite", "--json"]).finish().json()
    #expect(refused["error"] is [String: Any] && converted["error"] == nil)
    for document in [converted, refused] {
      let matched = try #require(document["matched"] as? [String])
      let missing = try #require(document["missing"] as? [String])
      #expect(!matched.isEmpty && matched == matched.sorted())
      #expect(!missing.isEmpty && missing.allSatisfy { $0.hasPrefix("refinement.1.") })
      #expect(document["unexpected"] as? [String] == [])
      #expect(document["mismatched"] as? [String] == [])
    }
    let page = String(decoding: try space.data("b/README.md"), as: UTF8.self)
    #expect(page.hasPrefix("# b 1.0.0\n") && page.contains("research use only"))
    let other = try space.restore(
      "convert", fixtures + "/tiny_restore_rwkv.pth", "c", "--arch", "restore-rwkv", "--preset",
      "light")
    #expect(other.status == 65 && other.errors.contains("of another shape"))
    let shapes = try space.restore(
      "convert", fixtures + "/tiny_restore_rwkv.pth", "c", "--arch", "restore-rwkv", "--preset",
      "light", "--json"
    ).json()
    #expect((shapes["mismatched"] as? [String])?.isEmpty == false)
  }
}
