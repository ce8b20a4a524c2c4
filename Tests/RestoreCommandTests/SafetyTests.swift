import Foundation
import Imaging
import Testing

@Suite("What a mistyped command must not cost")
struct SafetyTests {
  @Test("a description that the program did not write stays, unless --overwrite")
  func foreignSidecar() throws {
    let space = try Workspace()
    try space.image("in.nii")
    let description = #"{"EchoTime": 0.03}"#
    try space.write(description, to: "out.json")
    let run = ["run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny"]
    let refused = try space.start(run).finish()
    #expect(refused.status == 73)
    #expect(refused.headline == "output exists (out.json)", "\(refused.errors)")
    #expect(try space.data("out.json") == Data(description.utf8) && !space.exists("out.nii"))
    #expect(try space.start(run + ["--no-sidecar"]).finish().status == 0)
    #expect(try space.data("out.json") == Data(description.utf8))
    #expect(try space.start(run + ["--overwrite"]).finish().status == 0)
    #expect(try space.json("out.json")["Restore"] != nil)
    // Its own description of an output that is gone is no obstacle.
    try FileManager.default.removeItem(atPath: space.path("out.nii"))
    #expect(try space.start(run).finish().status == 0)
  }

  @Test(
    "an output that cannot be written is refused before the work",
    arguments: [
      ("out.png", 65, "unsupported file format (out.png)"),
      ("out.nrrd", 65, "unsupported file format (out.nrrd)"),
      ("missing/out.nii", 73, "cannot create (missing/out.nii)"),
    ])
  func outputs(_ output: String, _ code: Int32, _ message: String) throws {
    let space = try Workspace()
    try space.image("in.nii")
    let outcome = try space.restore("run", "-i", "in.nii", "-o", output, "-m", "./tiny")
    #expect(outcome.status == code)
    #expect(outcome.headline == message, "\(outcome.errors)")
    #expect(!outcome.errors.contains("slice ") && !space.exists(output))
  }

  @Test("no input of a call is replaced by another one's output")
  func inputsOfLists() throws {
    let space = try Workspace()
    try space.image("a.nii")
    try space.image("b.nii")
    let before = try space.data("b.nii")
    try space.write("a.nii\nb.nii\n", to: "in.txt")
    try space.write("b.nii\nc.nii\n", to: "out.txt")
    let outcome = try space.restore(
      "simulate", "rician", "-i", "in.txt", "-o", "out.txt", "--overwrite")
    #expect(outcome.status == 73, "\(outcome.errors)")
    #expect(try space.data("b.nii") == before && !space.exists("c.nii"))
  }

  @Test("two images with one description are refused before the work")
  func descriptionsTwice() throws {
    let space = try Workspace()
    try FileManager.default.createDirectory(
      atPath: space.path("in"), withIntermediateDirectories: true)
    try space.image("in/a.nii")
    try space.image("in/a.nii.gz")
    let run = ["run", "-i", "in", "-o", "out", "-m", "./tiny"]
    let outcome = try space.start(run).finish()
    #expect(outcome.status == 64 && !space.exists("out/a.nii"), "\(outcome.errors)")
    #expect(try space.start(run + ["--no-sidecar"]).finish().status == 0)
  }

  @Test("one path for two outputs is refused before the work")
  func outputsTwice() throws {
    let space = try Workspace()
    try space.image("in.nii")
    for arguments in [
      ["simulate", "rician", "-i", "in.nii", "-o", "x.nii", "--reference-output", "./x.nii"],
      ["run", "-i", "in.nii", "-o", "x.nii", "-m", "./tiny", "--montage", "x.nii"],
      ["run", "-i", "in.nii", "-o", "x.nii", "-m", "./tiny", "--montage", "x.json"],
      ["eval", "--pred", "in.nii", "--reference", "in.nii", "--csv", "x", "--json", "x"],
    ] {
      let outcome = try space.start(arguments + ["--overwrite"]).finish()
      #expect(outcome.status == 64, "\(arguments): \(outcome.errors)")
      #expect(outcome.headline?.hasPrefix("one path for two outputs") == true)
      #expect(!["x", "x.nii", "x.json"].contains(where: space.exists))
    }
  }

  @Test("an item whose figures cannot be computed leaves no file")
  func figures() throws {
    let space = try Workspace()
    let small = space.volume(x: 9, y: 9)
    try space.image("in.nii", small)
    var flat = space.volume(x: 24, y: 20)
    try space.image("wide.nii", flat)
    flat.voxels = flat.voxels.map { _ in 5 }
    try space.image("flat.nii", flat)
    for (input, reference, headline) in [
      ("in.nii", "in.nii", "image smaller than the window"),
      ("wide.nii", "flat.nii", "constant reference (flat.nii)"),
    ] {
      let outcome = try space.restore(
        "run", "-i", input, "-o", "out.nii", "-m", "./tiny", "--reference", reference)
      #expect(outcome.status == 65, "\(outcome.errors)")
      #expect(outcome.headline?.hasPrefix(headline) == true, "\(outcome.errors)")
      #expect(!space.exists("out.nii") && !space.exists("out.json"))
    }
  }

  @Test("an image that was skipped counts as done when another fails")
  func skipped() throws {
    let space = try Workspace()
    try FileManager.default.createDirectory(
      atPath: space.path("in"), withIntermediateDirectories: true)
    try space.image("in/a.nii")
    try space.write("no image", to: "in/b.nii")
    let arguments = [
      "run", "-i", "in", "-o", "out", "-m", "./tiny", "--continue-on-error", "--skip-existing",
    ]
    for _ in 0..<2 { #expect(try space.start(arguments).finish().status == 2) }
  }

  @Test("a file whose name looks like a pattern is that file")
  func brackets() throws {
    let space = try Workspace()
    try space.image("in[1].nii")
    let outcome = try space.restore("run", "-i", "in[1].nii", "-o", "out.nii", "-m", "./tiny")
    #expect(outcome.status == 0, "\(outcome.errors)")
  }

  @Test("two inputs for one output are found before the first is restored")
  func collisions() throws {
    let space = try Workspace()
    for folder in ["a", "b"] {
      try FileManager.default.createDirectory(
        atPath: space.path(folder), withIntermediateDirectories: true)
      try space.image("\(folder)/t1.nii")
    }
    let outcome = try space.restore("run", "-i", "?/t1.nii", "-o", "out", "-m", "./tiny")
    #expect(outcome.status == 64)
    #expect(outcome.headline == "two inputs for one output (out/t1.nii)", "\(outcome.errors)")
    #expect(!space.exists("out/t1.nii"))
  }

  @Test("contradictions, unknown words and commands are usage errors with a way out")
  func words() throws {
    let space = try Workspace()
    try space.image("in.nii")
    let run = ["run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny"]
    for (arguments, headline, advice) in [
      (run + ["--overwrite", "--skip-existing"], "--overwrite and --skip-existing", "--help"),
      (run + ["--provenance", "some"], "The value 'some' is invalid", "--help"),
      (["rum"], "unknown command (rum)", "did you mean `restore run`"),
      (["run", "-i", "in.nii"], "Missing expected argument", "--help"),
    ] {
      let outcome = try space.start(arguments).finish()
      #expect(outcome.status == 64)
      #expect(outcome.headline?.hasPrefix(headline) == true, "\(outcome.errors)")
      #expect(outcome.errors.contains("  try: ") && outcome.errors.contains(advice))
    }
    let missing = try space.restore("run", "-i", "in.nii")
    #expect(missing.errors.contains("  cause: Usage: restore run "), "\(missing.errors)")
    let config = try space.restore("train", "-c", "none.yaml", "-o", "run")
    #expect(config.status == 66 && config.headline == "no such file (none.yaml)")
  }

  @Test("a result that cannot be written is an error; a reader that went away is not")
  func fullOutput() throws {
    let space = try Workspace()
    try space.image("in.nii")
    let full = try space.start(["info", "in.nii"], through: "exec > /dev/full").finish()
    #expect(full.status == 74)
    #expect(full.headline == "write failed (standard output)", "\(full.errors)")
    // A limit on the size of files is an error too, not the end.
    let limited = try space.start(
      ["run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny"], through: "ulimit -f 0"
    ).finish()
    #expect(limited.status == 74 || limited.status == 73, "\(limited.status) \(limited.errors)")
    #expect(!space.exists("out.nii") && space.temporaries.isEmpty)
  }

  @Test("a card cannot make a network that is larger than its weights")
  func largeNetwork() throws {
    let space = try Workspace()
    try space.image("in.nii")
    var card = try space.json("tiny/model.json")
    var hyperparameters = try #require(card["hyperparameters"] as? [String: Any])
    hyperparameters["dim"] = 1024
    card["hyperparameters"] = hyperparameters
    try space.write(JSONSerialization.data(withJSONObject: card), to: "tiny/model.json")
    let outcome = try space.restore("run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny")
    #expect(outcome.status == 78)
    #expect(outcome.headline?.hasPrefix("model bundle invalid") == true)
    #expect(outcome.errors.contains("parameters, weights.safetensors"), "\(outcome.errors)")
  }

  @Test("no folder above an input is told by its description, however the path is given")
  func paths() throws {
    let space = try Workspace()
    var volume = space.volume()
    volume.voxels = volume.voxels.map { _ in 7 }
    try space.image("in.nii", volume)
    let outcome = try space.start([
      "run", "--input=\(space.path("in.nii"))", "-o", space.path("out.nii"),
      "--model=\(space.path("tiny"))",
    ]).finish()
    #expect(outcome.status == 0, "\(outcome.errors)")
    let text = String(decoding: try space.data("out.json"), as: UTF8.self)
    #expect(!text.contains(space.folder) && text.contains("--input=in.nii"), "\(text)")
    #expect(text.contains("in.nii: the image is constant"))
    // Folders of relative paths may have the name of a person.
    for folder in ["alice", "alice/a=b"] {
      try FileManager.default.createDirectory(
        atPath: space.path(folder), withIntermediateDirectories: true)
      try space.image("\(folder)/in.nii", volume)
      try space.image("\(folder)/mask.nii", volume)
    }
    func arguments(_ given: [String]) throws -> [String] {
      let outcome = try space.start(["run"] + given).finish()
      #expect(outcome.status == 0, "\(outcome.errors)")
      let restore = try #require(try space.json("alice/out.json")["Restore"] as? [String: Any])
      return try #require(restore["arguments"] as? [String])
    }
    let given = [
      "-i", "alice/a=b/in.nii", "-o", "./alice/out.nii", "-m", "./tiny",
      "--mask=alice/a=b/mask.nii", "--seed", "3", "--overlap=0.25", "--tta", "none",
    ]
    let told = try arguments(given)
    #expect(
      told == [
        "restore", "run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny", "--mask=mask.nii",
        "--seed", "3", "--overlap=0.25", "--tta", "none",
      ])
    #expect(!String(decoding: try space.data("alice/out.json"), as: UTF8.self).contains("alice"))
    let full = ["--provenance", "full", "--overwrite"]
    let whole = try arguments(given + full)
    #expect(Array(whole.dropFirst()) == ["run"] + given + full)
  }

  @Test("a model for another task is refused")
  func task() throws {
    let space = try Workspace()
    try space.image("in.nii")
    var card = try space.json("tiny/model.json")
    card["task"] = "segment"
    try space.write(JSONSerialization.data(withJSONObject: card), to: "tiny/model.json")
    let outcome = try space.restore("run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny")
    #expect(outcome.status == 64)
    #expect(outcome.headline == "model does not restore (./tiny)", "\(outcome.errors)")
  }

  @Test("--help tells the exit codes, --version the version")
  func help() throws {
    let space = try Workspace()
    let help = try space.restore("--help")
    #expect(help.status == 0)
    for code in ["65 ", "66 ", "70 ", "71 ", "73 ", "74 ", "78 ", "130, 143 "] {
      #expect(help.output.contains("\n  " + code), "\(help.output)")
    }
    let version = try space.restore("--version")
    #expect(version.status == 0 && version.output.split(separator: ".").count == 3)
  }

  @Test("with --json the failed images stand in the document")
  func failures() throws {
    let space = try Workspace()
    try space.image("in.nii")
    try space.write("in.nii\nnone.nii\n", to: "list.txt")
    let outcome = try space.restore(
      "run", "-i", "list.txt", "-o", "out", "-m", "./tiny", "--continue-on-error", "--json")
    #expect(outcome.status == 2)
    let document = try outcome.json()
    #expect((document["items"] as? [Any])?.count == 1)
    let failures = try #require(document["failures"] as? [[String: Any]])
    #expect(failures.count == 1 && failures[0]["code"] as? Int == 66)
    #expect(failures[0]["file"] as? String == "none.nii")
  }
}
