import Foundation
import Imaging
import Testing

@Suite("Optic disc and cup, from phantoms to ratios", .serialized)
struct FundusCommandTests {
  private func trained() throws -> Workspace {
    let space = try Workspace()
    let made = try space.restore(
      "simulate", "fundus", "-o", "eyes", "--count", "4", "--side", "64", "--seed", "5")
    #expect(made.status == 0, "\(made.errors)")
    try space.write(
      """
      {"model": {"arch": "tvconv-net", "preset": "light", "name": "disc"},
       "data": {"split": "eyes"}, "optim": {"learning_rate": 0.002},
       "train": {"iterations": 3, "batch": 2, "validate_every": 2, "log_every": 1}}
      """, to: "train.json")
    let run = try space.restore("train", "-c", "train.json", "-o", "run")
    #expect(run.status == 0 && run.output.contains("bundle: run/bundle"), "\(run.errors)")
    return space
  }

  @Test("a folder of photographs becomes label maps, overlays and ratios")
  func folder() throws {
    let space = try trained()
    #expect(try space.restore("simulate", "fundus", "-o", "eyes").status == 0)
    #expect(try space.restore("simulate", "fundus", "-o", "eyes").status == 73)
    let names = try FileManager.default.contentsOfDirectory(atPath: space.path("eyes"))
    #expect(names.count == 15 && names.contains("fundus-00005_mask.png"))
    let outcome = try space.restore(
      "segment", "-i", "eyes", "-o", "out", "-m", "run/bundle", "--json")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let masked = try space.restore(
      "segment", "-i", "eyes", "-o", "other", "-m", "run/bundle", "--first-mask", "absent.nii")
    #expect(masked.status == 64 && masked.errors.contains("--first-mask does not fit the model"))
    let cases = try #require(try outcome.json()["cases"] as? [[String: Any]])
    #expect(cases.count == 5)
    #expect(cases.allSatisfy { $0["origin"] as? String == "whole" })
    for item in cases {
      let name = try #require(item["name"] as? String)
      let source = try PNGImage(contentsOf: space.path("eyes/\(name).png"))
      let labels = try PNGImage(contentsOf: space.path("out/\(name).png"))
      #expect((labels.height, labels.width) == (source.height, source.width))
      #expect(labels.samples.allSatisfy { $0 <= 2 })
      let overlay = try PNGImage(contentsOf: space.path("out/\(name)_overlay.png"))
      #expect(overlay.colour == .rgb && overlay.width == source.width)
      let measures = OpticDiscMeasures(
        labels: labels.samples.map(UInt8.init), width: labels.width)
      #expect(item["verticalRatio"] as? Double == measures.verticalRatio)
      let sidecar = try space.json("out/\(name).json")
      #expect((sidecar["Sources"] as? [String]) == ["\(name).png"])
      let disc = try #require(sidecar["OpticDisc"] as? [String: Any])
      #expect(disc["verticalRatio"] as? Double == measures.verticalRatio)
      #expect(disc["output"] as? String == "\(name).png")
      #expect(sidecar["SkullStripped"] as? Bool == false)
      #expect(sidecar["Resolution"] as? String == "native grid of the input")
      let restore = try #require(sidecar["Restore"] as? [String: Any])
      #expect((restore["inputSHA256"] as? String)?.count == 64)
    }
    // The labels can be judged like any others.
    try FileManager.default.createDirectory(
      atPath: space.path("truth"), withIntermediateDirectories: true)
    try FileManager.default.createDirectory(
      atPath: space.path("labels"), withIntermediateDirectories: true)
    for item in cases {
      let name = try #require(item["name"] as? String)
      for (from, to) in [("eyes/\(name)_mask", "truth/\(name)"), ("out/\(name)", "labels/\(name)")]
      {
        try FileManager.default.copyItem(
          atPath: space.path(from + ".png"), toPath: space.path(to + ".png"))
      }
    }
    let judged = try space.restore(
      "eval", "--pred", "labels", "--reference", "truth", "--labels", "1,2", "--protocol", "tvconv")
    #expect(judged.status == 0 && judged.output.contains("hd95_pooled"), "\(judged.errors)")
  }

  @Test("what is named is meant, whatever its name; nothing is made for what cannot be")
  func names() throws {
    let space = try trained()
    let photograph = try #require(
      try FileManager.default.contentsOfDirectory(atPath: space.path("eyes"))
        .first { $0.hasSuffix(".png") && !$0.hasSuffix("_mask.png") })
    for folder in ["a", "b"] {
      try FileManager.default.createDirectory(
        atPath: space.path(folder), withIntermediateDirectories: true)
      try FileManager.default.copyItem(
        atPath: space.path("eyes/\(photograph)"), toPath: space.path("\(folder)/eye_mask.png"))
    }
    let segment = ["segment", "-m", "run/bundle"]
    let named = try space.start(segment + ["-i", "a/eye_mask.png", "-o", "one.png"]).finish()
    #expect(named.status == 0 && space.exists("one.png"), "\(named.errors)")
    let none = try space.start(segment + ["-i", "a", "-o", "none"]).finish()
    #expect(none.status == 66 && !space.exists("none"), "\(none.errors)")
    let same = try space.start(
      segment + ["-i", "a/eye_mask.png", "b/eye_mask.png", "-o", "same"]
    ).finish()
    #expect(same.status == 64 && !space.exists("same"), "\(same.errors)")
    try space.image("v.nii")
    let volume = try space.start(segment + ["-i", "v.nii", "-o", "v-out.nii"]).finish()
    #expect(volume.status == 65 && !space.exists("v-out.nii"), "\(volume.errors)")
  }

  @Test("a whole field is searched, one file has one output, existing ones stay")
  func field() throws {
    let space = try trained()
    #expect(
      try space.restore(
        "simulate", "fundus", "-o", "field", "--view", "field", "--side", "200"
      ).status == 0)
    let arguments = [
      "segment", "-i", "field/fundus-00000.png", "-o", "disc.png", "-m", "run/bundle",
    ]
    let outcome = try space.start(arguments).finish()
    #expect(outcome.status == 0 && outcome.output.contains("vertical CDR"), "\(outcome.errors)")
    #expect(space.exists("disc.png") && space.exists("disc_overlay.png"))
    #expect(space.exists("disc.json"))
    #expect(try space.start(arguments).finish().status == 73)
    #expect(try space.start(arguments + ["--overwrite"]).finish().status == 0)
    let absolute = try space.restore(
      "segment", "-i", space.path("field/fundus-00000.png"), "-o", space.path("far.png"), "-m",
      "run/bundle")
    #expect(absolute.status == 0, "\(absolute.errors)")
    #expect(!String(decoding: try space.data("far.json"), as: UTF8.self).contains(space.folder))
    try space.checkDescriptions(
      of: ["segment", "-i", "field/fundus-00000.png", "-m", "run/bundle"], output: "disc.png",
      description: "disc.json")
    let same = try space.restore(
      "segment", "-i", "disc.png", "-o", "disc.png", "-m", "run/bundle", "--overwrite")
    #expect(same.status == 73)
    // A grey picture is no photograph.
    let grey = try space.restore("segment", "-i", "disc.png", "-o", "g.png", "-m", "run/bundle")
    #expect(grey.status == 65 && grey.errors.contains("channel count"), "\(grey.errors)")
    #expect(!space.exists("g.png"))
    let none = try space.restore("segment", "-i", "none.png", "-o", "g.png", "-m", "run/bundle")
    #expect(none.status == 66)
  }

  @Test("a run is continued and not begun anew by mistake")
  func resume() throws {
    let space = try trained()
    #expect(try space.restore("train", "-c", "train.json", "-o", "run").status == 73)
    let cut = try space.restore("train", "-c", "train.json", "-o", "cut", "--max-minutes", "0")
    #expect(cut.status == 0 && cut.output.hasPrefix("stopped"), "\(cut.errors)")
    let rest = try space.restore("train", "-c", "train.json", "-o", "cut", "--resume")
    #expect(rest.status == 0 && rest.output.hasPrefix("finished"), "\(rest.errors)")
    #expect(
      try space.data("run/bundle/weights.safetensors")
        == space.data("cut/bundle/weights.safetensors"))
    let verified = try space.restore("models", "verify", "cut/bundle")
    #expect(verified.status == 0, "\(verified.errors)")
  }

  @Test("one photograph's picture is not another's labels; a folder goes on where it was")
  func folders() throws {
    let space = try trained()
    for (folder, name) in [("pair", "eye"), ("pair", "eye_overlay"), ("set", "a"), ("set", "c")] {
      try FileManager.default.createDirectory(
        atPath: space.path(folder), withIntermediateDirectories: true)
      try FileManager.default.copyItem(
        atPath: space.path("eyes/fundus-00005.png"), toPath: space.path("\(folder)/\(name).png"))
    }
    let pair = try space.restore("segment", "-i", "pair", "-o", "pairs", "-m", "run/bundle")
    #expect(pair.status == 64 && !space.exists("pairs"), "\(pair.errors)")
    #expect(pair.headline == "one path for two outputs (pairs/eye_overlay.png)")
    try space.write("no picture", to: "set/b.png")
    let arguments = ["segment", "-i", "set", "-o", "out", "-m", "run/bundle"]
    let going = try space.start(arguments + ["--continue-on-error", "--json"]).finish()
    #expect(going.status == 2, "\(going.errors)")
    #expect((try going.json()["cases"] as? [Any])?.count == 2)
    #expect((try going.json()["failures"] as? [Any])?.count == 1)
    #expect(space.exists("out/a.png") && space.exists("out/c.png") && !space.exists("out/b.png"))
    try FileManager.default.removeItem(atPath: space.path("set/b.png"))
    let labels = try space.data("out/a.png")
    for name in ["c.png", "c.json", "c_overlay.png"] {
      try FileManager.default.removeItem(atPath: space.path("out/" + name))
    }
    let rest = try space.start(arguments + ["--skip-existing"]).finish()
    #expect(
      rest.status == 0 && rest.errors.contains("skipped, exists: out/a.png"), "\(rest.errors)")
    #expect(try space.exists("out/c.png") && space.data("out/a.png") == labels)
  }
}
