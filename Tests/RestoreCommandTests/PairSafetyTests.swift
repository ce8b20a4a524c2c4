import Foundation
import Imaging
import Testing

@Suite("Files that belong to another")
struct PairSafetyTests {
  @Test("no output goes over the other file of an input's pair, whatever --overwrite says")
  func inputs() throws {
    let space = try Workspace()
    try space.image("in.nii")
    try space.image("pair.hdr", space.volume(seed: 2))
    let before = try (space.data("pair.hdr"), space.data("pair.img"))
    try space.write("in.nii\npair.img", to: "in.txt")
    try space.write("pair.hdr\nother.nii", to: "out.txt")
    for arguments in [
      ["run", "-i", "in.nii", "-o", "pair.hdr", "--mask", "pair.img", "-m", "./tiny"],
      ["run", "-i", "in.nii", "-o", "pair.img", "--reference", "pair.hdr", "-m", "./tiny"],
      ["run", "-i", "in.txt", "-o", "out.txt", "-m", "./tiny"],
      ["simulate", "rician", "-i", "in.txt", "-o", "out.txt"],
      ["eval", "--pred", "pair.hdr", "--reference", "pair.hdr", "--json", "pair.img"],
      ["convert", "pair.hdr", "pair.img"],
    ] {
      let outcome = try space.start(arguments + ["--overwrite"]).finish()
      #expect(outcome.status == 73, "\(arguments) \(outcome.errors)")
      #expect(
        outcome.headline?.hasPrefix("refusing to overwrite input") == true, "\(outcome.errors)")
      #expect(try (space.data("pair.hdr"), space.data("pair.img")) == before)
      #expect(!space.exists("other.nii"))
    }
  }

  @Test("one pair is not the output of two images")
  func outputs() throws {
    let space = try Workspace()
    for name in ["a", "b"] { try space.image("\(name).nii") }
    try space.write("a.nii\nb.nii", to: "in.txt")
    try space.write("z.hdr\nz.img", to: "out.txt")
    let outcome = try space.restore(
      "run", "-i", "in.txt", "-o", "out.txt", "-m", "./tiny", "--no-sidecar")
    #expect(outcome.status == 64 && !space.exists("z.hdr"), "\(outcome.errors)")
  }

  @Test("a description goes with its image: another of the same name does not replace it")
  func sidecars() throws {
    let space = try Workspace()
    try space.image("in.nii")
    #expect(try space.restore("run", "-i", "in.nii", "-o", "a.nii", "-m", "./tiny").status == 0)
    let description = try space.data("a.json")
    for arguments in [
      ["convert", "in.nii", "a.nii.gz"], ["convert", "in.nii", "a"], ["convert", "in.nii", "a/"],
      ["simulate", "rician", "-i", "in.nii", "-o", "a.hdr"],
      ["run", "-i", "in.nii", "-o", "a.nii.gz", "-m", "./tiny"],
    ] {
      let outcome = try space.start(arguments).finish()
      #expect(outcome.status == 73 && outcome.errors.contains("that of a.nii"), "\(arguments)")
      #expect(try space.data("a.json") == description)
    }
    #expect(!space.exists("a.nii.gz") && !space.exists("a.hdr") && !space.exists("a"))
  }

  @Test("a folder in the place of a description costs neither minutes nor what is there")
  func folder() throws {
    let space = try Workspace()
    try space.image("in.nii")
    try space.image("out.nii", space.volume(seed: 5))
    let before = try space.data("out.nii")
    try FileManager.default.createDirectory(
      atPath: space.path("out.json"), withIntermediateDirectories: true)
    for arguments in [
      ["run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny"], ["convert", "in.nii", "out.nii"],
      ["simulate", "rician", "-i", "in.nii", "-o", "out.nii"],
    ] {
      let outcome = try space.start(arguments + ["--overwrite"]).finish()
      #expect(outcome.status == 73 && !outcome.errors.contains("slice "), "\(outcome.errors)")
      #expect(try space.data("out.nii") == before)
    }
  }

  @Test("checksums are of the files that were read: a single file may be called .hdr")
  func singleFile() throws {
    let space = try Workspace()
    try space.image("in.nii")
    try space.write(space.data("in.nii"), to: "single.hdr")
    let outcome = try space.restore("convert", "single.hdr", "out.nii")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let restore = try #require(try space.json("out.json")["Restore"] as? [String: Any])
    #expect(restore["inputSHA256"] is String)
  }

  @Test("an empty path, as of an unset variable, is not the root of the file system")
  func empty() throws {
    let space = try Workspace()
    try space.image("in.nii")
    for arguments in [
      ["run", "-i", "in.nii", "-o", "", "-m", "./tiny", "--dry-run"], ["convert", "in.nii", ""],
      ["convert", "", "out.nii"], ["simulate", "rician", "-i", "", "-o", "out.nii"],
      ["simulate", "fundus", "-o", ""], ["bids", ".", "", "participant", "-m", "./tiny"],
      ["bids", "", "out", "participant", "-m", "./tiny"],
      ["segment", "-i", "in.nii", "-o", "", "-m", "./tiny"],
    ] {
      let outcome = try space.start(arguments).finish()
      #expect(outcome.status == 64, "\(arguments) \(outcome.errors)")
      #expect(outcome.headline?.hasSuffix("is empty") == true, "\(outcome.errors)")
    }
  }

  @Test("the two files of a pair are one image, which does not train and validate")
  func parts() throws {
    let space = try Workspace()
    try space.image("pair.hdr")
    try space.write(
      """
      {"train": [{"subject": "a", "files": ["pair.hdr"]}],
       "validation": [{"subject": "b", "files": ["pair.img"]}]}
      """, to: "split.json")
    try space.write(
      """
      {"model": {"arch": "dncnn"}, "data": {"split": "split.json", "simulator": "rician", "crop": 8}}
      """, to: "config.json")
    let outcome = try space.restore("train", "-c", "config.json", "-o", "run")
    #expect(outcome.status == 78 && outcome.errors.contains("pair"), "\(outcome.errors)")
    #expect(outcome.headline?.contains("split") == true && !space.exists("run/bundle"))
  }

  @Test("a bundle is written whole or not at all: what stands in its folder is seen first")
  func bundle() throws {
    let space = try Workspace()
    try FileManager.default.createDirectory(
      atPath: space.path("b"), withIntermediateDirectories: true)
    try space.write("notes", to: "b/README.md")
    try space.write(
      #"{"dim": 4, "num_blocks": [1, 1, 1, 1], "num_refinement_blocks": 1}"#, to: "tiny.json")
    let fixtures =
      URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Fixtures"
    let outcome = try space.restore(
      "convert", fixtures + "/tiny_restore_rwkv.pth", "b", "--arch", "restore-rwkv",
      "--hyperparameters", "tiny.json")
    #expect(outcome.status == 73 && outcome.headline == "output exists (b/README.md)")
    #expect(!space.exists("b/weights.safetensors") && !space.exists("b/model.json"))
  }
}
