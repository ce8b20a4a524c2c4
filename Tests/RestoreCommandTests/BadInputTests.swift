import Foundation
import Imaging
import Inference
import Testing

@Suite("Refused inputs")
struct BadInputTests {
  @Test(
    "are refused with the documented words and code, and leave no file",
    arguments: BadInput.finding + BadInput.headers + BadInput.voxels + BadInput.pictures)
  func refused(_ input: BadInput) throws {
    let space = try Workspace()
    try input.prepare(space)
    let output = input.file.hasSuffix(".png") ? "out.png" : "out.nii"
    let outcome = try space.start(
      ["run", "-i", input.file, "-o", output, "-m", "./tiny"] + input.options
    ).finish()
    #expect(outcome.status == input.code)
    #expect(outcome.headline?.hasPrefix(input.message) == true, "\(outcome.errors)")
    #expect(outcome.errors.contains("\n  cause: ") && outcome.errors.contains("\n  try: "))
    #expect(outcome.output.isEmpty)
    #expect(!space.exists(output) && !space.exists("out.json"))
    #expect(space.temporaries.isEmpty)
  }

  @Test("with --json the refusal is one document on standard output")
  func document() throws {
    let space = try Workspace()
    let outcome = try space.restore(
      "run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny", "--json")
    #expect(outcome.status == 66)
    let document = try outcome.json()
    #expect(document["ok"] as? Bool == false)
    let error = try #require(document["error"] as? [String: Any])
    #expect(error["code"] as? Int == 66)
    #expect(error["kind"] as? String == "missing")
    #expect(error["file"] as? String == "in.nii")
    #expect((error["message"] as? String)?.hasPrefix("no such file") == true)
    #expect((error["hint"] as? String)?.isEmpty == false)
  }

  @Test(
    "with --json the refusal names the file, whichever part of the program refuses it",
    arguments: [
      (["run", "-i", "in.nii", "-o", "out.nii", "-m", "./absent"], "model-not-found", "./absent"),
      (["run", "-i", "in.nii", "-o", "out.nii", "-m", "absent"], "model-not-found", nil),
      (["run", "-i", "in.nii", "-o", "out.nii", "-m", "./broken"], "bundle-invalid", "./broken"),
      (["convert", "m.pth", "b", "--arch", "restore-rwkv"], "unsupported", "m.pth"),
      (["convert", "absent.pth", "b", "--arch", "restore-rwkv"], "missing", "absent.pth"),
      (["train", "-c", "wrong.yaml", "-o", "r"], "unreadable-configuration", "wrong.yaml"),
    ] as [([String], String, String?)])
  func file(arguments: [String], kind: String, file: String?) throws {
    let space = try Workspace()
    try space.image("in.nii")
    try FileManager.default.createDirectory(
      atPath: space.path("broken"), withIntermediateDirectories: true)
    try space.write("{}", to: "broken/model.json")
    try space.write("not a checkpoint", to: "m.pth")
    try space.write("train: [", to: "wrong.yaml")
    let outcome = try space.start(arguments + ["--json"]).finish()
    let error = try #require(try outcome.json()["error"] as? [String: Any], "\(outcome.errors)")
    #expect(error["kind"] as? String == kind)
    #expect(error["file"] as? String == file)
  }

  // MARK: - Accepted with a warning

  @Test("plain NIfTI under a .gz name is read with a warning")
  func misnamed() throws {
    let space = try Workspace()
    try space.write(space.patched(), to: "in.nii.gz")
    let outcome = try space.restore("run", "-i", "in.nii.gz", "-o", "out.nii", "-m", "./tiny")
    #expect(outcome.status == 0)
    #expect(outcome.errors.contains("warning: plain NIfTI data"))
  }

  @Test("bytes after the voxels or the gzip member are a warning")
  func trailing() throws {
    let space = try Workspace()
    let file = try space.patched()
    try space.write(gzip(file) + Data("rubbish".utf8), to: "garbage.nii.gz")
    // Far more data than the header asks for, as in a decompression bomb.
    try space.write(gzip(file + Data(count: 4 << 20)), to: "more.nii.gz")
    for name in ["garbage", "more"] {
      let outcome = try space.restore(
        "run", "-i", "\(name).nii.gz", "-o", "\(name)-out.nii", "-m", "./tiny")
      #expect(outcome.status == 0)
      #expect(outcome.errors.contains("warning: trailing data"), "\(outcome.errors)")
      #expect(space.exists("\(name)-out.nii"))
    }
  }

  @Test("--assume-spacing takes the place of an unusable voxel size")
  func spacing() throws {
    let space = try Workspace()
    try space.write(space.patched((80, bytes(Float(0).bitPattern))), to: "in.nii")
    let outcome = try space.restore(
      "run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny", "--assume-spacing", "1,1,2")
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.errors.contains("voxel size assumed"))
    #expect(try NIfTI.read(space.path("out.nii")).volume.spacing == SIMD3(1, 1, 2))
  }

  // MARK: - Outputs

  @Test("an output that is the input, exists, or cannot be made is refused at once")
  func outputs() throws {
    let space = try Workspace()
    try space.image("in.nii")
    try space.image("there.nii")
    let before = try space.data("in.nii")
    for (output, options, message) in [
      ("in.nii", ["--overwrite"], "refusing to overwrite input"),
      ("there.nii", [], "output exists"),
      ("missing/out.nii", [], "cannot create"),
      ("/proc/out.nii", [], "cannot create"),
    ] {
      let outcome = try space.start(
        ["run", "-i", "in.nii", "-o", output, "-m", "./tiny"] + options
      ).finish()
      #expect(outcome.status == 73, "\(output)")
      #expect(outcome.headline?.hasPrefix(message) == true, "\(outcome.errors)")
    }
    #expect(try space.data("in.nii") == before)
  }

  @Test("a write that fails leaves nothing")
  func fullDisk() throws {
    let space = try Workspace()
    try space.image("in.nii", space.volume(x: 40, y: 40, z: 4))
    // A limit on file sizes stands for a full disk.
    let outcome = try space.restore(
      "run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny",
      through: "trap '' XFSZ; ulimit -f 8")
    #expect(outcome.status == 74)
    #expect(outcome.headline?.hasPrefix("write failed") == true, "\(outcome.errors)")
    #expect(!space.exists("out.nii") && space.temporaries.isEmpty)
  }

  // MARK: - Models

  @Test(
    "a damaged bundle is refused",
    arguments: ["card", "padding", "multiple", "checksum", "tensors", "weights"])
  func bundle(_ damage: String) throws {
    let space = try Workspace()
    try space.image("in.nii")
    var card = try space.json("tiny/model.json")
    switch damage {
    case "card": card["normalization"] = nil
    case "padding": card["padding_below"] = 1e300
    case "multiple": card["size_multiple"] = 16
    case "checksum": card["weights_sha256"] = String(repeating: "0", count: 64)
    case "tensors":
      var parameters = try #require(card["hyperparameters"] as? [String: Any])
      parameters["dim"] = 6
      card["hyperparameters"] = parameters
    default:
      let weights = Data("a file that is not in the format of weights".utf8)
      try space.write(weights, to: "tiny/weights.safetensors")
      card["weights_sha256"] = try #require(
        try? SHA256.hexadecimal(ofFile: space.path("tiny/weights.safetensors")))
    }
    try space.write(JSONSerialization.data(withJSONObject: card), to: "tiny/model.json")
    for arguments in [
      ["run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny"], ["models", "verify", "./tiny"],
    ] {
      let outcome = try space.start(arguments).finish()
      #expect(outcome.status == 78)
      #expect(outcome.headline?.hasPrefix("model bundle invalid") == true, "\(outcome.errors)")
      if damage == "weights" { #expect(outcome.errors.contains("weights file invalid: ")) }
    }
    #expect(!space.exists("out.nii"))
  }

  @Test("a model that is nowhere is not found")
  func missingModel() throws {
    let space = try Workspace()
    try space.image("in.nii")
    let outcome = try space.restore("run", "-i", "in.nii", "-o", "out.nii", "-m", "nobody")
    #expect(outcome.status == 66)
    #expect(outcome.headline == "no such model (nobody)")
  }

  // MARK: - The call

  @Test("a wrong call is a usage error that names the way out")
  func usage() throws {
    let space = try Workspace()
    let files = ["run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny"]
    for (arguments, message) in [
      (files + ["--overwrit"], "unknown option (--overwrit)"),
      (files + ["--part-id", "2", "--num-parts", "2"], "part-id must be 0..N-1"),
      (files + ["--num-parts", "2"], "--part-id and --num-parts belong together"),
      (files + ["--part-id", "0"], "--part-id and --num-parts belong together"),
      (["run", "-i", "in.nii"], "Missing expected argument"),
      (files + ["--tile", "3"], "--tile 3"),
    ] {
      let outcome = try space.start(arguments).finish()
      #expect(outcome.status == 64)
      #expect(outcome.headline?.hasPrefix(message) == true, "\(outcome.errors)")
    }
    let misspelt = try space.start(files + ["--overwrit"]).finish()
    #expect(misspelt.errors.contains("try: did you mean '--overwrite'"), "\(misspelt.errors)")
  }
}
