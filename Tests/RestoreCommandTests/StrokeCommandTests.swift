import Foundation
import Imaging
import Testing

@Suite("restore segment for brains, train-stroke, simulate lesions", .serialized)
struct StrokeCommandTests {
  private static let configuration = """
    {"name": "tiny-stroke",
     "system": {"path": {"channels": 4, "dropout": 0}, "paths": ["XY_12", "ZY_3"],
       "combiner_channels": [4, 3]},
     "data": {"brains": [
       {"subject": "a", "images": ["t1.nii.gz", "flair.nii.gz"], "parts": ["paths", "combiner"]},
       {"subject": "b", "images": ["b-t1.nii.gz", "b-flair.nii.gz"], "parts": ["test"]}],
       "cases_per_brain": 1, "lesion_volumes": [0.3, 0.6]},
     "paths": {"iterations": 6, "batch": 2, "patch": 16}, "combiner": {"iterations": 2}}
    """

  /// A brain stored towards posterior, left, inferior, with 2 mm slices.
  private func workspace() throws -> Workspace {
    let space = try Workspace()
    let size = GridSize(x: 26, y: 24, z: 12)
    let geometry = Geometry(
      size: size,
      affine: Affine(
        i: SIMD3(0, -1, 0.05), j: SIMD3(-1, 0, 0), k: SIMD3(0, 0, -2), origin: SIMD3(9, 8, 7)))
    for (name, factor) in [("t1", Float(1)), ("flair", 0.7)] {
      let voxels = (0..<size.count).map { index -> Float in
        let p = SIMD3(
          Double(index % 26) / 12.5 - 1, Double(index / 26 % 24) / 11.5 - 1,
          Double(index / 624) / 5.5 - 1)
        return (p * p).sum() < 0.9 ? factor * Float(100 + index % 7) : 0
      }
      // The second brain looks the same, but nobody is tested who was trained on.
      for prefix in ["", "b-"] {
        try space.image("\(prefix)\(name).nii.gz", Volume(voxels: voxels, geometry: geometry))
      }
    }
    return space
  }

  private func trained() throws -> Workspace {
    let space = try workspace()
    try space.write(Self.configuration, to: "stroke.json")
    let run = try space.restore("train-stroke", "-c", "stroke.json", "-o", "run")
    #expect(run.status == 0 && run.output.hasPrefix("finished"), "\(run.errors)")
    return space
  }

  @Test("mask and probability lie on the input's grid, with volumes on stdout and beside the files")
  func segments() throws {
    let space = try trained()
    let arguments = [
      "segment", "-i", "t1.nii.gz", "flair.nii.gz", "-o", "lesion.nii.gz", "-m", "run/bundle",
    ]
    let outcome = try space.start(arguments + ["--json"]).finish()
    #expect(outcome.status == 0, "\(outcome.errors)")
    let report = try outcome.json()
    let input = try ScanFile.read(space.path("t1.nii.gz"))
    let mask = try ScanFile.read(space.path("lesion.nii.gz"))
    let probability = try ScanFile.read(space.path("lesion_probability.nii.gz"))
    for scan in [mask, probability] {
      #expect(scan.volume.geometry == input.volume.geometry)
      guard case .nifti(let own) = scan.source, case .nifti(let first) = input.source else {
        Issue.record("not NIfTI")
        continue
      }
      for range in [40..<56, 76..<112, 252..<328] {
        #expect(own.header.bytes[range] == first.header.bytes[range], "bytes \(range)")
      }
    }
    #expect(
      mask.volume.voxels == probability.volume.voxels.map { $0 > 0.5 ? 1 : 0 })
    let lesions = try #require(report["lesions"] as? [String: Any])
    let volume = try #require(lesions["volumeML"] as? Double)
    let expected =
      Double(mask.volume.voxels.count { $0 == 1 }) * input.volume.geometry.voxelVolume / 1000
    #expect(abs(volume - expected) < 1e-6)
    #expect((lesions["each"] as? [Any])?.count == lesions["count"] as? Int)
    let sidecar = try space.json("lesion.json")
    #expect((sidecar["Lesions"] as? [String: Any])?["volumeML"] as? Double == volume)
    #expect(sidecar["Sources"] as? [String] == ["t1.nii.gz", "flair.nii.gz"])
    #expect(space.exists("lesion_probability.json"))
    #expect(try space.start(arguments).finish().status == 73)
    let again = try space.start(arguments + ["--overwrite", "--no-sidecar"]).finish()
    #expect(again.status == 0 && again.output.contains(" ml in all"), "\(again.errors)")
    try space.checkDescriptions(
      of: ["segment", "-i", "t1.nii.gz", space.path("flair.nii.gz"), "-m", "run/bundle"],
      output: "lesion.nii.gz", description: "lesion_probability.json", isStripped: true)
    let text = String(decoding: try space.data("once/lesion.json"), as: UTF8.self)
    #expect(!text.contains(space.folder), "\(text)")
    // Two files of one name: their folders are not told either.
    for (folder, name) in [("alice", "t1"), ("bob", "flair")] {
      try FileManager.default.createDirectory(
        atPath: space.path(folder), withIntermediateDirectories: true)
      try FileManager.default.copyItem(
        atPath: space.path("\(name).nii.gz"), toPath: space.path("\(folder)/scan.nii.gz"))
    }
    let alike = try space.restore(
      "segment", "-i", "alice/scan.nii.gz", "bob/scan.nii.gz", "-o", "alike.nii.gz", "-m",
      "run/bundle")
    #expect(alike.status == 0, "\(alike.errors)")
    let told = try #require(try space.json("alike.json")["Restore"] as? [String: Any])
    let digests = try #require(told["inputSHA256"] as? [String: String])
    #expect(digests.keys.sorted() == ["scan.nii.gz", "scan.nii.gz (2)"])
    let described = String(decoding: try space.data("alike.json"), as: UTF8.self)
    #expect(!described.contains("alice") && !described.contains("bob"), "\(described)")
  }

  @Test("what does not fit is refused with its reason, and nothing is written")
  func refuses() throws {
    let space = try trained()
    func run(_ inputs: [String]) throws -> RestoreProcess.Outcome {
      try space.start(["segment", "-i"] + inputs + ["-o", "o.nii.gz", "-m", "run/bundle"]).finish()
    }
    let one = try run(["t1.nii.gz"])
    #expect(one.status == 65)
    #expect(
      one.errors.contains(
        """
        error: channel count does not match the model (t1.nii.gz)
          cause: model "tiny-stroke" expects 2 channels [T1, FLAIR], 1 was given
          try: restore segment -i t1.nii.gz flair.nii.gz -m tiny-stroke -o lesion.nii.gz
        """), "\(one.errors)")
    try space.image("other.nii.gz", space.volume())
    let other = try run(["t1.nii.gz", "other.nii.gz"])
    #expect(other.status == 65 && other.headline?.hasPrefix("geometry differs") == true)
    #expect(try run(["t1.nii.gz", "none.nii.gz"]).status == 66)
    try space.image("series.nii.gz", space.volume(times: 2))
    let series = try run(["series.nii.gz", "series.nii.gz"])
    #expect(series.status == 65 && series.errors.contains("more than one volume"))
    let empty = Volume(
      voxels: [Float](repeating: 0, count: 360), geometry: space.volume().geometry)
    try space.image("empty.nii.gz", empty)
    #expect(try run(["empty.nii.gz", "empty.nii.gz"]).status == 65)
    #expect(!space.exists("o.nii.gz") && space.temporaries.isEmpty)
    let same = try space.start([
      "segment", "-i", "t1.nii.gz", "flair.nii.gz", "-o", "t1.nii.gz", "-m", "run/bundle",
      "--overwrite",
    ]).finish()
    #expect(same.status == 73, "\(same.errors)")
    // What stands beside the output is not replaced either, and a wrong ending is found before the work.
    try space.write("{}", to: "o.json")
    let foreign = try run(["t1.nii.gz", "flair.nii.gz"])
    #expect(foreign.status == 73 && foreign.headline == "output exists (o.json)")
    #expect(try space.data("o.json") == Data("{}".utf8) && !space.exists("o.nii.gz"))
    let picture = try space.start([
      "segment", "-i", "t1.nii.gz", "flair.nii.gz", "-o", "o.png", "-m", "run/bundle",
    ]).finish()
    #expect(picture.status == 65 && !picture.errors.contains("path"), "\(picture.errors)")
  }

  @Test("a training that was cut continues to the bit; a bad configuration is refused")
  func trains() throws {
    let space = try trained()
    let cut = try space.restore(
      "train-stroke", "-c", "stroke.json", "-o", "cut", "--max-minutes", "0")
    #expect(cut.status == 0 && cut.output.hasPrefix("stopped"), "\(cut.errors)")
    #expect(try space.restore("train-stroke", "-c", "stroke.json", "-o", "cut").status == 73)
    let resumed = try space.restore("train-stroke", "-c", "stroke.json", "-o", "cut", "--resume")
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(
      try space.data("run/bundle/weights.safetensors")
        == space.data("cut/bundle/weights.safetensors"))
    #expect(try space.restore("models", "verify", "run/bundle").status == 0)
    #expect(space.exists("run/scores.json"))
    try space.write(#"{"systm": {}}"#, to: "bad.json")
    let bad = try space.restore("train-stroke", "-c", "bad.json", "-o", "bad")
    #expect(bad.status == 78 && bad.errors.contains("did you mean `system`?"), "\(bad.errors)")
    #expect(try space.restore("train-stroke", "-c", "none.json", "-o", "bad").status == 66)
    let printed = try space.restore("train-stroke", "-c", "stroke.json", "--print-config")
    #expect(printed.status == 0 && printed.output.contains("\"refresh_every\" : 200"))
  }

  @Test("lesions are grown from a seed, with their mask on the scan's grid")
  func simulates() throws {
    let space = try workspace()
    func simulate(_ ending: String, _ more: String...) throws -> RestoreProcess.Outcome {
      try space.start(
        [
          "simulate", "lesions", "-i", "t1.nii.gz", "flair.nii.gz", "-o", "a\(ending).nii.gz",
          "b\(ending).nii.gz", "--mask-output", "m\(ending).nii.gz", "--count", "1", "--volumes",
          "0.4,0.5",
        ] + more
      ).finish()
    }
    let outcome = try simulate("1", "--seed", "3")
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(try simulate("2", "--seed", "3").status == 0)
    for name in ["a", "b", "m"] {
      #expect(try space.data("\(name)1.nii.gz") == space.data("\(name)2.nii.gz"))
    }
    let mask = try ScanFile.read(space.path("m1.nii.gz")).volume
    #expect(mask.geometry == (try ScanFile.read(space.path("t1.nii.gz")).volume.geometry))
    #expect((200...250).contains(mask.voxels.count { $0 == 1 }))
    #expect(try simulate("1").status == 73)
    // What was no number is none afterwards.
    var broken = try NIfTI.read(space.path("t1.nii.gz")).volume
    broken.voxels[1] = .nan
    try space.image("nan.nii", broken)
    let kept = try space.restore(
      "simulate", "lesions", "-i", "nan.nii", "-o", "nan-out.nii", "--mask-output", "nan-mask.nii",
      "--count", "1", "--volumes", "0.4,0.5")
    #expect(kept.status == 0, "\(kept.errors)")
    #expect(try NIfTI.read(space.path("nan-out.nii")).nonFinite?.count == 1)
    #expect(try NIfTI.read(space.path("nan-mask.nii")).nonFinite == nil)
    let few = try space.restore(
      "simulate", "lesions", "-i", "t1.nii.gz", "flair.nii.gz", "-o", "c.nii.gz", "--mask-output",
      "d.nii.gz")
    #expect(few.status == 64, "\(few.errors)")
    // Least and greatest volume may be one.
    let exact = try simulate("4", "--volumes", "0.4,0.4")
    #expect(exact.status == 0, "\(exact.errors)")
    let equal = try ScanFile.read(space.path("m4.nii.gz")).volume
    #expect(equal.voxels.count { $0 == 1 } == 200)
    let large = try simulate("3", "--volumes", "1500,1600")
    #expect(large.status == 65 && !space.exists("m3.nii.gz"), "\(large.errors)")
  }
}
