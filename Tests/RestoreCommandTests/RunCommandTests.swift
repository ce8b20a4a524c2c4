import Foundation
import Imaging
import Testing

@Suite("restore run")
struct RunCommandTests {
  @Test("the output has the input's grid and header, and a sidecar says how it was made")
  func output() throws {
    let space = try Workspace()
    try space.image("in.nii.gz")
    let outcome = try space.restore("run", "-i", "in.nii.gz", "-o", "out.nii.gz", "-m", "./tiny")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let input = try NIfTI.read(space.path("in.nii.gz"))
    let output = try NIfTI.read(space.path("out.nii.gz"))
    #expect(output.source.header == input.source.header)
    #expect(output.volume.geometry == input.volume.geometry)
    #expect(output.volume.voxels != input.volume.voxels)
    #expect(space.temporaries.isEmpty)

    let sidecar = try space.json("out.json")
    #expect(sidecar["Sources"] as? [String] == ["in.nii.gz"])
    #expect(sidecar["SkullStripped"] as? Bool == false)
    #expect(sidecar["Resolution"] is String)
    let provenance = try #require(sidecar["Restore"] as? [String: Any])
    let card = try space.json("tiny/model.json")
    #expect(provenance["model"] as? String == "tiny")
    #expect(provenance["modelVersion"] as? String == "1.2.3")
    #expect(provenance["weightsSHA256"] as? String == card["weights_sha256"] as? String)
    for key in [
      "version", "sourceRevision", "arguments", "inputSHA256", "seed", "threads", "backEnd",
      "inputRange", "outputRange", "nonFiniteVoxels", "warnings", "elapsedSeconds",
      "peakMemoryBytes",
    ] {
      #expect(provenance[key] != nil, "\(key)")
    }
    #expect(!String(decoding: try space.data("out.json"), as: UTF8.self).contains(space.folder))
  }

  @Test("two --reproducible runs give equal files")
  func reproducible() throws {
    let space = try Workspace()
    try space.image("in.nii")
    for name in ["a", "b"] {
      try FileManager.default.createDirectory(
        atPath: space.path(name), withIntermediateDirectories: true)
      let outcome = try space.restore(
        "run", "-i", "in.nii", "-o", "\(space.folder)/\(name)/out.nii", "-m", "./tiny",
        "--reproducible")
      #expect(outcome.status == 0, "\(outcome.errors)")
    }
    #expect(try space.data("a/out.nii") == space.data("b/out.nii"))
    #expect(try space.data("a/out.json") == space.data("b/out.json"))
  }

  @Test("standard output holds the result alone, with --json as one document")
  func streams() throws {
    let space = try Workspace()
    try space.image("in.nii")
    let plain = try space.restore("run", "-i", "in.nii", "-o", "a.nii", "-m", "./tiny")
    #expect(plain.output == "in.nii -> a.nii\n")
    #expect(plain.errors.contains("[100%] slice 3/3"))
    let json = try space.restore("run", "-i", "in.nii", "-o", "b.nii", "-m", "./tiny", "--json")
    let items = try #require(try json.json()["items"] as? [[String: Any]])
    #expect(items.count == 1 && items[0]["output"] as? String == "b.nii")
    #expect(items[0]["slices"] as? Int == 3)
    let quiet = try space.restore(
      "run", "-i", "in.nii", "-o", "c.nii", "-m", "./tiny", "-q", "--no-sidecar")
    #expect(quiet.errors.isEmpty)
    #expect(space.exists("c.nii") && !space.exists("c.json"))
    let lines = try space.restore(
      "run", "-i", "in.nii", "-o", "d.nii", "-m", "./tiny", "--log-format", "json")
    for line in lines.errors.split(separator: "\n") {
      let record = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
      #expect(record?["level"] is String && record?["t"] is String)
    }
    #expect(lines.errors.contains("\"event\":\"progress\""))
  }

  @Test("--reference prints figures before and after, --montage draws a picture")
  func reference() throws {
    let space = try Workspace()
    try space.image("in.nii", space.volume(x: 20, y: 20))
    try space.image("clean.nii", space.volume(x: 20, y: 20, seed: 2))
    let outcome = try space.restore(
      "run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny", "--ref", "clean.nii", "--montage",
      "out.png")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let lines = outcome.output.split(separator: "\n")
    try #require(lines.count == 3)
    #expect(lines[1].hasPrefix("  before  PSNR ") && lines[1].contains("SSIM"))
    #expect(lines[2].hasPrefix("  after   PSNR ") && lines[2].contains("foreground PSNR"))
    #expect(try PNGImage(contentsOf: space.path("out.png")).width > 20)
  }

  @Test("figures against a reference are those of eval, also for thick slices along another axis")
  func sameFigures() throws {
    let space = try Workspace()
    let size = GridSize(x: 4, y: 16, z: 20)
    var volume = Volume(
      voxels: (0..<size.count * 2).map { 200 + 100 * sin(Float($0) / 3) },
      geometry: Geometry(size: size, spacing: SIMD3(5, 1, 1)), volumeCount: 2)
    try space.image("clean.nii", volume)
    volume.voxels = volume.voxels.enumerated().map { $1 + Float($0 * 7 % 13) }
    try space.image("in.nii", volume)
    let run = try space.restore(
      "run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny", "--reference", "clean.nii", "--json")
    #expect(run.status == 0, "\(run.errors)")
    let item = try #require((try run.json()["items"] as? [[String: Any]])?.first)
    for (key, file) in [("before", "in.nii"), ("after", "out.nii")] {
      let figures = try #require(item[key] as? [String: Any])
      let eval = try space.restore(
        "eval", "--pred", file, "--reference", "clean.nii", "--foreground", "--json")
      #expect(eval.status == 0, "\(eval.errors)")
      let cases = try #require(try eval.json()["cases"] as? [[String: Any]])
      let metrics = try #require(cases.first?["metrics"] as? [String: Double])
      #expect(figures["ssimKind"] as? String == "ssim_2d")
      #expect(figures["ssim"] as? Double == metrics["ssim_2d"])
      #expect(figures["psnr"] as? Double == metrics["psnr_db"])
      #expect(figures["foregroundPSNR"] as? Double == metrics["foreground_psnr_db"], "\(metrics)")
    }
    // One volume of a series has a reference of its own, or one of a series.
    try space.image("one.nii", volume.volume(at: 1))
    for reference in ["one.nii", "clean.nii"] {
      let outcome = try space.restore(
        "run", "-i", "in.nii", "-o", "\(reference)-out.nii", "-m", "./tiny", "--volume", "1",
        "--reference", reference)
      #expect(outcome.status == 0, "\(outcome.errors)")
    }
  }

  @Test("--reference on another grid is refused")
  func referenceGrid() throws {
    let space = try Workspace()
    try space.image("in.nii", space.volume(x: 20, y: 20))
    try space.image("clean.nii", space.volume(x: 20, y: 19))
    let outcome = try space.restore(
      "run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny", "--reference", "clean.nii")
    #expect(outcome.status == 65)
    #expect(outcome.headline?.hasPrefix("geometry differs") == true, "\(outcome.errors)")
    #expect(!space.exists("out.nii"))
  }

  @Test("a series is restored volume by volume; --volume takes one")
  func series() throws {
    let space = try Workspace()
    let series = space.volume(times: 2)
    try space.image("in.nii", series)
    try space.image("second.nii", series.volume(at: 1))
    for arguments in [
      ["in.nii", "-o", "all.nii"], ["in.nii", "-o", "one.nii", "--volume", "1"],
      ["second.nii", "-o", "alone.nii"],
    ] {
      let outcome = try space.start(["run", "-m", "./tiny", "-i"] + arguments).finish()
      #expect(outcome.status == 0, "\(outcome.errors)")
    }
    let all = try NIfTI.read(space.path("all.nii")).volume
    let one = try NIfTI.read(space.path("one.nii")).volume
    #expect(all.volumeCount == 2 && one.volumeCount == 1)
    #expect(all.volume(at: 1).voxels == one.voxels)
    #expect(try NIfTI.read(space.path("alone.nii")).volume.voxels == one.voxels)
  }

  @Test("NaN voxels are reported and are NaN again in the output")
  func nonFinite() throws {
    let space = try Workspace()
    try space.write(space.patched((352 + 4 * 17, bytes(Float.nan.bitPattern))), to: "in.nii")
    let outcome = try space.restore("run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny")
    #expect(outcome.status == 0)
    #expect(outcome.errors.contains("warning: 1 voxels are NaN"))
    let mask = try #require(try NIfTI.read(space.path("out.nii")).nonFinite)
    #expect(mask.count == 1 && mask[17])
    let provenance = try #require(try space.json("out.json")["Restore"] as? [String: Any])
    #expect(provenance["nonFiniteVoxels"] as? Int == 1)
  }

  @Test("a constant image comes out as it went in, with a warning")
  func constant() throws {
    let space = try Workspace()
    var volume = space.volume()
    volume.voxels = volume.voxels.map { _ in 7 }
    try space.image("in.nii", volume)
    let outcome = try space.restore("run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny")
    #expect(outcome.status == 0)
    #expect(outcome.errors.contains("warning: ") && outcome.errors.contains("constant"))
    #expect(try NIfTI.read(space.path("out.nii")).volume.voxels == volume.voxels)
  }

  @Test("integer images stay integer, whole numbers and in range")
  func integers() throws {
    let space = try Workspace()
    try space.image("in.nii", type: .int16)
    let outcome = try space.restore("run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let read = try (NIfTI.read(space.path("in.nii")), NIfTI.read(space.path("out.nii")))
    #expect(read.0.source.dataType == .int16 && read.1.source.dataType == .int16)
  }

  @Test("--tile needs less memory, says so beforehand, and changes nothing")
  func tiles() throws {
    let space = try Workspace()
    try space.image("in.nii", space.volume(x: 128, y: 128, z: 1))
    var needs: [Int] = []
    var files: [Data] = []
    for options in [[], ["--tile", "16,16"]] {
      let run = ["run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny", "--overwrite"] + options
      let plan = try space.start(run + ["--dry-run", "--json"]).finish()
      let items = try #require(try plan.json()["items"] as? [[String: Any]])
      needs.append(try #require(items.first?["neededBytes"] as? Int))
      let outcome = try space.start(run).finish()
      #expect(outcome.status == 0, "\(outcome.errors)")
      files.append(try space.data("out.nii"))
    }
    #expect(needs[1] < needs[0])
    let voxels = try files.map { data in
      try space.write(data, to: "copy.nii")
      return try NIfTI.read(space.path("copy.nii")).volume.voxels
    }
    let worst = zip(voxels[0], voxels[1]).map { abs($0 - $1) }.max() ?? 1
    #expect(worst <= 1e-5 * 300)
  }

  @Test("a PNG is restored as a PNG of the same depth")
  func picture() throws {
    let space = try Workspace()
    let samples = (0..<16 * 24).map { (index: Int) -> UInt16 in
      let column = index % 24
      return UInt16(2000 + 100 * column)
    }
    try PNGImage(samples: samples, height: 16, width: 24, colour: .grey, bitDepth: 16)
      .write(to: space.path("in.png"))
    let outcome = try space.restore("run", "-i", "in.png", "-o", "out.png", "-m", "./tiny")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let output = try PNGImage(contentsOf: space.path("out.png"))
    #expect(output.bitDepth == 16 && output.width == 24 && output.height == 16)
  }

  @Test("voxels outside --mask keep the input's values")
  func mask() throws {
    let space = try Workspace()
    var mask = space.volume()
    mask.voxels = mask.voxels.indices.map { $0 % 2 == 0 ? 1 : 0 }
    try space.image("in.nii")
    try space.image("mask.nii", mask)
    let outcome = try space.restore(
      "run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny", "--mask", "mask.nii")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let input = try NIfTI.read(space.path("in.nii")).volume.voxels
    let output = try NIfTI.read(space.path("out.nii")).volume.voxels
    #expect(input.indices.allSatisfy { $0 % 2 == 0 || input[$0] == output[$0] })
    #expect(input != output)
  }
}
