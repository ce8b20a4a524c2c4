import Foundation
import Imaging
import Randomness
import Testing

@Suite("restore bids with models that segment", .serialized)
struct BIDSSegmentationTests {
  /// A dataset with T1w and FLAIR of a blob, and a model of one or two structures trained for a moment.
  private func workspace(structures: Int) throws -> Workspace {
    let space = try Workspace.bids(["sub-01/ses-A/anat/sub-01_ses-A_run-1_T2w.nii.gz"])
    for part in ["set/imagesTr/x", "set/labelsTr/x"] { try space.makeFolder(of: part) }
    let names = structures == 1 ? #""left spot": 1"# : #""left spot": 1, "rim": 2"#
    try space.write(
      #"{"channel_names": {"0": "T1", "1": "FLAIR"}, "labels": {"background": 0, \#(names)}}"#,
      to: "set/dataset.json")
    for index in 0..<4 {
      var labels = space.volume(x: 24, y: 20, z: 2, seed: UInt64(index))
      labels.voxels = (0..<960).map { voxel in
        let distance = hypot(Double(voxel % 24 - 10 - index), Double(voxel / 24 % 20 - 9))
        return distance < 4 ? 1 : distance < 6 && structures == 2 ? 2 : 0
      }
      for (channel, suffix) in ["T1w", "FLAIR"].enumerated() {
        var random = SeededGenerator(seed: UInt64(10 * index + channel))
        var image = labels
        image.voxels = labels.voxels.map {
          $0 * Float(80 - 40 * channel) + 10 * random.nextNormal()
        }
        try space.image(
          index == 3
            ? "raw/sub-01/ses-A/anat/sub-01_ses-A_run-1_\(suffix).nii.gz"
            : "set/imagesTr/c\(index)_000\(channel).nii.gz", image)
      }
      if index < 3 { try space.image("set/labelsTr/c\(index).nii.gz", labels, type: .labels) }
    }
    let run = try space.restore("train", "--dataset", "set", "-o", "run", "--iterations", "20")
    #expect(run.status == 0, "\(run.errors)")
    return space
  }

  private static let base = "sub-01/ses-A/anat/sub-01_ses-A_run-1_"

  @Test("one structure is a mask, its probability is written if wanted, and the table has volumes")
  func mask() throws {
    let space = try workspace(structures: 1)
    let before = try space.contents(of: "raw")
    let outcome = try space.participants("--probabilities", model: "run/bundle")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let images = ["label-leftspot_mask", "label-leftspot_probseg"].map { Self.base + $0 }
    #expect(
      space.files(of: "out")
        == (images.flatMap { [$0 + ".json", $0 + ".nii.gz"] }
        + ["dataset_description.json", "sub-01.html"]).sorted())
    #expect(try space.contents(of: "raw") == before)
    let input = try NIfTI.read(space.path("raw/\(Self.base)T1w.nii.gz")).volume
    let mask = try NIfTI.read(space.path("out/\(images[0]).nii.gz")).volume
    let probability = try NIfTI.read(space.path("out/\(images[1]).nii.gz")).volume
    #expect(mask.geometry == input.geometry)
    #expect(mask.voxels == probability.voxels.map { $0 > 0.5 ? 1 : 0 })
    let sidecar = try space.json("out/\(images[0]).json")
    #expect(
      sidecar["Sources"] as? [String]
        == ["T1w", "FLAIR"].map { "sub-01_ses-A_run-1_\($0).nii.gz" })
    let group = try space.restore("bids", "raw", "out", "group", "-m", "run/bundle")
    #expect(group.status == 0, "\(group.errors)")
    let rows = try space.table("out/group_metrics.tsv")
    #expect(rows.count == 1 && rows[0]["structure"] == "left spot")
    let volume = try #require(rows[0]["volume_ml"].flatMap(Double.init))
    // Voxels of 1.5 x 1 x 4 mm.
    #expect(abs(volume - Double(mask.voxels.count { $0 == 1 }) * 0.006) < 1e-4)
    #expect(rows[0]["count"].flatMap(Int.init) != nil && rows[0]["change_rms"] == "n/a")
    let page = String(decoding: try space.data("out/sub-01.html"), as: UTF8.self)
    #expect(page.contains("data:image/png;base64,") && page.contains("left spot"))
    #expect(!page.contains("No picture"))
    #expect(try space.participants(model: "run/bundle").errors.contains("skipped, done"))
  }

  @Test("several structures are labels with a table of their names and colours")
  func labels() throws {
    let space = try workspace(structures: 2)
    let outcome = try space.participants(model: "run/bundle")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let table = try #require(space.files(of: "out").first { $0.hasSuffix("_dseg.tsv") })
    let card = try space.json("run/bundle/model.json")
    let name = try #require(card["name"] as? String).filter { $0.isLetter || $0.isNumber }
    #expect(table == "\(Self.base)desc-\(name)_dseg.tsv")
    #expect(
      String(decoding: try space.data("out/" + table), as: UTF8.self)
        == "index\tname\tcolor\n1\tleft spot\t#56B4E9\n2\trim\t#F0E442\n")
    #expect(space.exists("out/" + table.dropLast(3) + "nii.gz"))
    #expect(!space.files(of: "out").contains { $0.contains("probseg") })
    let group = try space.restore("bids", "raw", "out", "group", "-m", "run/bundle")
    #expect(group.status == 0, "\(group.errors)")
    #expect(
      try space.table("out/group_metrics.tsv").map { $0["structure"] } == ["left spot", "rim"])
    // Probabilities that are wanted later are not there yet.
    let more = try space.participants("--probabilities", model: "run/bundle")
    #expect(more.status == 0 && !more.errors.contains("skipped"), "\(more.errors)")
    for label in ["leftspot", "rim"] {
      #expect(space.exists("out/\(Self.base)label-\(label)_desc-\(name)_probseg.nii.gz"))
    }
  }

  @Test("a missing channel is told by name; options and modalities that do not fit are refused")
  func refusals() throws {
    let space = try workspace(structures: 1)
    for (options, headline) in [
      (["--modality", "T1w"], "--modality does not fit the model (run/bundle)"),
      (["--tile", "16,16"], "options of slices and tiles does not fit the model (run/bundle)"),
      (
        ["--max-memory", "4G"],
        "options of reading, writing and memory does not fit the model (run/bundle)"
      ),
    ] {
      let outcome = try space.start(
        ["bids", "raw", "out", "participant", "-m", "run/bundle"] + options
      ).finish()
      #expect(outcome.status == 64 && outcome.headline == headline, "\(outcome.errors)")
    }
    let plan = try space.participants("--dry-run", model: "run/bundle")
    #expect(plan.status == 0 && plan.errors.contains("to be segmented"), "\(plan.errors)")
    try FileManager.default.removeItem(atPath: space.path("raw/\(Self.base)FLAIR.nii.gz"))
    let alone = try space.participants(model: "run/bundle")
    #expect(alone.status == 66, "\(alone.errors)")
    #expect(alone.headline == "no such file (\(Self.base)FLAIR.nii.gz)")
    #expect(alone.errors.contains("a FLAIR image should be there to go with"))
    #expect(!space.exists("out/sub-01") && !space.exists("out/sub-01.html"))
    let logs = try FileManager.default.contentsOfDirectory(atPath: space.path("out/logs"))
    let log = String(
      decoding: try space.data("out/logs/\(try #require(logs.first))"), as: UTF8.self)
    #expect(log.contains("error: no such file (sub-01/ses-A/") && log.hasSuffix(" not done\n"))
  }

  @Test("lesions: mask, probability, their number and volume")
  func lesions() throws {
    let space = try Workspace.bids(["sub-01/anat/sub-01_T2w.nii.gz"])
    let size = GridSize(x: 26, y: 24, z: 12)
    let affine = Affine(
      i: SIMD3(0, -1, 0.05), j: SIMD3(-1, 0, 0), k: SIMD3(0, 0, -2), origin: SIMD3(9, 8, 7))
    for (suffix, factor) in [("T1w", Float(1)), ("FLAIR", 0.7)] {
      let voxels = (0..<size.count).map { index -> Float in
        let p = SIMD3(
          Double(index % 26) / 12.5 - 1, Double(index / 26 % 24) / 11.5 - 1,
          Double(index / 624) / 5.5 - 1)
        return (p * p).sum() < 0.9 ? factor * Float(100 + index % 7) : 0
      }
      let image = Volume(voxels: voxels, geometry: Geometry(size: size, affine: affine))
      try space.image("raw/sub-01/anat/sub-01_\(suffix).nii.gz", image)
      for name in ["a", "b"] { try space.image("\(name)-\(suffix).nii.gz", image) }
    }
    try space.write(
      """
      {"name": "tiny-stroke",
       "system": {"path": {"channels": 4, "dropout": 0}, "paths": ["XY_12"],
         "combiner_channels": [4, 3]},
       "data": {"brains": [
         {"subject": "a", "images": ["a-T1w.nii.gz", "a-FLAIR.nii.gz"], "parts": ["paths", "combiner"]},
         {"subject": "b", "images": ["b-T1w.nii.gz", "b-FLAIR.nii.gz"], "parts": ["test"]}],
         "cases_per_brain": 1, "lesion_volumes": [0.3, 0.6]},
       "paths": {"iterations": 2, "batch": 2, "patch": 16}, "combiner": {"iterations": 1}}
      """, to: "stroke.json")
    let run = try space.restore("train-stroke", "-c", "stroke.json", "-o", "run")
    #expect(run.status == 0, "\(run.errors)")
    let outcome = try space.participants(model: "run/bundle")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let images = ["label-lesion_mask", "label-lesion_probseg"].map { "sub-01/anat/sub-01_" + $0 }
    #expect(
      space.files(of: "out")
        == (images.flatMap { [$0 + ".json", $0 + ".nii.gz"] }
        + ["dataset_description.json", "sub-01.html"]).sorted())
    let lesions = try #require(try space.json("out/\(images[0]).json")["Lesions"] as? [String: Any])
    let group = try space.restore("bids", "raw", "out", "group", "-m", "run/bundle")
    #expect(group.status == 0, "\(group.errors)")
    let rows = try space.table("out/group_metrics.tsv")
    #expect(rows.count == 1 && rows[0]["structure"] == "lesion")
    #expect(rows[0]["count"].flatMap(Int.init) == lesions["count"] as? Int)
    let volume = try #require(rows[0]["volume_ml"].flatMap(Double.init))
    #expect(abs(volume - (lesions["volumeML"] as? Double ?? -1)) < 1e-4 * max(1, volume))
  }
}
