import Foundation
import Imaging
import Testing

@Suite("restore info and models")
struct InfoCommandTests {
  @Test("header, grid and range of an image")
  func image() throws {
    let space = try Workspace()
    try space.image("in.nii.gz")
    let outcome = try space.restore("info", "in.nii.gz")
    #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome.errors)")
    for text in [
      "format:          NIfTI-1, single file, little-endian", "voxels:          float32",
      "size x,y,z:      12 x 10 x 3", "spacing:         1.5 1 4 mm", "orientation:     LPS",
      "acquired:        in axial slices", "  sform_code",
    ] {
      #expect(outcome.output.contains("  \(text)"), "\(text) in \(outcome.output)")
    }
    let document = try space.restore("info", "in.nii.gz", "--json").json()
    #expect(document["shape"] as? [Int] == [1, 3, 10, 12])
    #expect(document["ok"] as? Bool == true)
    let intensity = try #require(document["intensity"] as? [String: Any])
    let voxels = try NIfTI.read(space.path("in.nii.gz")).volume.voxels
    let lowest = try #require(voxels.min())
    #expect(abs((intensity["minimum"] as? Double ?? 0) - Double(lowest)) < 1e-3)
  }

  @Test("NaN voxels are counted and left out of the range")
  func nonFinite() throws {
    let space = try Workspace()
    try space.write(space.patched((352, bytes(Float.infinity.bitPattern))), to: "in.nii")
    let outcome = try space.restore("info", "in.nii", "--json")
    let intensity = try #require(try outcome.json()["intensity"] as? [String: Any])
    #expect(intensity["nonFinite"] as? Int == 1)
    #expect((intensity["minimum"] as? Double ?? 0) > 50)
  }

  @Test(
    "the header of a refused image is printed before the reason",
    arguments: [
      (70, bytes([128, 24]), "unsupported data type", "RGB"),
      (70, bytes([32, 64]), "unsupported data type", "complex64"),
      (344, [0, 0, 0, 0], "not a NIfTI file", "ANALYZE 7.5"),
      (42, bytes([99]), "image data ends early", "size x,y,z:      99 x 10 x 3"),
    ])
  func refused(_ offset: Int, _ patch: [UInt8], _ message: String, _ shown: String) throws {
    let space = try Workspace()
    try space.write(space.patched((offset, patch)), to: "in.nii")
    let outcome = try space.restore("info", "in.nii")
    #expect(outcome.status == 65)
    #expect(outcome.headline?.hasPrefix(message) == true)
    #expect(outcome.output.contains(shown) && outcome.output.contains("    datatype"))
    let json = try space.restore("info", "in.nii", "--json")
    #expect(json.status == 65)
    let document = try json.json()
    #expect(document["ok"] as? Bool == false)
    #expect((document["error"] as? [String: Any])?["code"] as? Int == 65)
    #expect((document["header"] as? [String: String])?["pixdim"] != nil)
  }

  @Test("PNG files, folders of them and missing files")
  func pictures() throws {
    let space = try Workspace()
    try FileManager.default.createDirectory(
      atPath: space.path("stack"), withIntermediateDirectories: true)
    for index in 0..<3 {
      try PNGImage(
        samples: (0..<80).map { UInt16($0 + index) }, height: 8, width: 10, colour: .grey,
        bitDepth: 8
      ).write(to: space.path("stack/\(index).png"))
    }
    let one = try space.restore("info", "stack/0.png")
    #expect(one.output.contains("format:          PNG") && one.output.contains("8 bit, grey"))
    let all = try space.restore("info", "stack")
    #expect(all.output.contains("size x,y,z:      10 x 8 x 3"))
    let none = try space.restore("info", "none.nii")
    #expect(none.status == 66 && none.headline?.hasPrefix("no such file") == true)
  }

  @Test("bundles are listed, shown and verified by path and by name")
  func models() throws {
    let space = try Workspace()
    let names = ["RESTORE_MODELS": space.folder]
    let list = try space.restore("models", "list", environment: names)
    #expect(list.status == 0)
    #expect(list.output.contains("tiny  1.2.3    restore  restore-rwkv"), "\(list.output)")
    let document = try space.restore("models", "list", "--json", environment: names).json()
    #expect((document["models"] as? [[String: Any]])?.first?["name"] as? String == "tiny")
    for arguments in [["models", "show", "tiny"], ["info", "tiny"]] {
      let shown = try space.start(arguments, environment: names).finish()
      #expect(shown.output.hasPrefix("tiny 1.2.3: restore\n"))
      #expect(shown.output.contains("training data: None: random weights."))
    }
    let card = try space.restore("models", "show", "./tiny", "--json").json()
    #expect(card["arch"] as? String == "restore-rwkv")
    let verified = try space.restore("models", "verify", "tiny", environment: names)
    #expect(verified.status == 0 && verified.output == "tiny 1.2.3: ok\n")
    let missing = try space.restore("models", "show", "nobody")
    #expect(missing.status == 66)
  }
}

@Suite("restore parity")
struct ParityCommandTests {
  /// A golden file of the network tests.
  private func golden() throws -> Data {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent()
    return try Data(
      contentsOf: tests.appendingPathComponent(
        "ModelsTests/Goldens/op.bi_wkv__small.safetensors"))
  }

  @Test("0 if all agree, 1 if one differs, 69 if a subject is not in this build")
  func codes() throws {
    let space = try Workspace()
    try space.write(golden(), to: "good.safetensors")
    var changed = try golden()
    // The sign and exponent of one number of the output.
    let headerLength = changed.prefix(8).enumerated().reduce(0) { $0 | Int($1.1) << (8 * $1.0) }
    let header = try JSONSerialization.jsonObject(with: changed[8..<8 + headerLength])
    let entry = try #require((header as? [String: Any])?["output.y"] as? [String: Any])
    let end = try #require((entry["data_offsets"] as? [Int])?.last)
    changed[8 + headerLength + end - 1] ^= 0x40
    try space.write(changed, to: "changed.safetensors")
    var foreign = try golden()
    let subject = try #require(foreign.range(of: Data("op.bi_wkv".utf8)))
    foreign.replaceSubrange(subject, with: Data("op.no_wkv".utf8))
    try space.write(foreign, to: "foreign.safetensors")
    for (files, code) in [
      (["good"], Int32(0)), (["changed"], 1), (["foreign"], 69), (["good", "foreign"], 69),
      (["good", "changed", "foreign"], 1), (["missing"], 66),
    ] {
      let outcome = try space.start(["parity"] + files.map { $0 + ".safetensors" }).finish()
      #expect(outcome.status == code, "\(files): \(outcome.output) \(outcome.errors)")
    }
    let document = try space.restore("parity", "good.safetensors", "--json").json()
    #expect(!document.isEmpty)
  }
}

@Suite("restore bench")
struct BenchCommandTests {
  @Test("times a model on the given threads and instruction set, and says what the machine can do")
  func model() throws {
    let space = try Workspace()
    for (options, mode) in [([], "inference"), (["--train"], "train")] {
      let outcome = try space.start(
        ["bench", "-m", "./tiny", "--shape", "1x16x24", "--runs", "3", "--json", "--threads", "1"]
          + ["--isa", "base"] + options
      ).finish()
      #expect(outcome.status == 0, "\(outcome.errors)")
      let document = try outcome.json()
      #expect((document["backEnd"] as? String)?.contains("(base)") == true)
      let part = try #require((document["parts"] as? [[String: Any]])?.first)
      let peak = try #require(part["peak"] as? [String: Any])
      #expect(peak["instructionSet"] as? String == "base" && peak["threads"] as? Int == 1)
      #expect((peak["multiplyAdd"] as? Double ?? 0) > 0 && (peak["triad"] as? Double ?? 0) > 0)
      let model = try #require(part["model"] as? [String: Any])
      #expect(model["mode"] as? String == mode && model["shape"] as? [Int] == [1, 16, 24])
      let timing = try #require(model["timing"] as? [String: Any])
      #expect((timing["seconds"] as? [Double])?.count == 3)
      #expect((model["peakMemoryBytes"] as? Int ?? 0) > 1 << 20)
    }
    let text = try space.restore("bench", "-m", "./tiny", "--shape", "1x16x16", "--runs", "1")
    #expect(text.output.contains("median ") && text.output.contains("of the multiply-add peak"))
  }

  @Test("wrong shapes, models and instruction sets are refused")
  func refused() throws {
    let space = try Workspace()
    for (options, code) in [
      (["--shape", "1x0x16"], Int32(64)), (["--shape", "1x16"], 64), (["--runs", "0"], 64),
      (["--isa", "mmx"], 64), (["-m", "nobody"], 66), (["-m", "restore-rwkv:huge"], 78),
      (["-m", "tvconv-net", "--shape", "1x16x16"], 64),
      (["-m", "./tiny", "--shape", "1x1000000x1000000"], 71),
    ] {
      #expect(try space.start(["bench"] + options).finish().status == code, "\(options)")
    }
  }
}

@Suite("restore simulate")
struct SimulateCommandTests {
  @Test("equal seeds give equal noise, other seeds other noise")
  func seeds() throws {
    let space = try Workspace()
    try space.image("in.nii")
    for (name, seed) in [("a", "1"), ("b", "1"), ("c", "2")] {
      let outcome = try space.restore(
        "simulate", "rician", "-i", "in.nii", "-o", "\(name).nii", "--percent", "5", "--seed",
        seed)
      #expect(outcome.status == 0, "\(outcome.errors)")
    }
    #expect(try space.data("a.nii") == space.data("b.nii"))
    #expect(try space.data("a.nii") != space.data("c.nii"))
    #expect(try space.data("a.nii") != space.data("in.nii"))
  }
}
