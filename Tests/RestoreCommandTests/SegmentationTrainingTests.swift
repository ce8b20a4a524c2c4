import Foundation
import Imaging
import Randomness
import Testing

@Suite("One command from an nnU-Net folder to a model", .serialized)
struct SegmentationTrainingTests {
  func dataset() throws -> Workspace {
    let space = try Workspace()
    for part in ["set/imagesTr", "set/labelsTr", "set/imagesTs"] {
      try FileManager.default.createDirectory(
        atPath: space.path(part), withIntermediateDirectories: true)
    }
    try space.write(
      #"{"channel_names": {"0": "A", "1": "B"}, "labels": {"background": 0, "spot": 1}}"#,
      to: "set/dataset.json")
    for index in 0..<4 {
      var labels = space.volume(x: 24, y: 20, z: 2, seed: UInt64(index))
      labels.voxels = (0..<960).map { voxel in
        let (x, y) = (voxel % 24, voxel / 24 % 20)
        return hypot(Double(x - 10 - index), Double(y - 9)) < 5 ? 1 : 0
      }
      for channel in 0..<2 {
        var random = SeededGenerator(seed: UInt64(10 * index + channel))
        var image = labels
        image.voxels = labels.voxels.map {
          $0 * Float(80 - 40 * channel) + 10 * random.nextNormal()
        }
        let folder = index == 3 ? "imagesTs" : "imagesTr"
        try space.image("set/\(folder)/c\(index)_000\(channel).nii.gz", image)
      }
      try space.image(
        index == 3 ? "truth.nii.gz" : "set/labelsTr/c\(index).nii.gz", labels, type: .labels)
    }
    return space
  }

  @Test("train, continue, segment a folder and an image, judge")
  func all() throws {
    let space = try dataset()
    let run = try space.restore(
      "train", "--dataset", "set", "-o", "run", "--iterations", "30", "--json")
    #expect(run.status == 0, "\(run.errors)")
    #expect(try run.json()["bundle"] as? String == "run/bundle")
    #expect(run.errors.contains("plan: 2D patches"))
    #expect(space.exists("run/plan.json") && space.exists("run/progress.png"))
    let cut = try space.restore(
      "train", "--dataset", "set", "-o", "cut", "--iterations", "30", "--max-minutes", "0")
    #expect(cut.status == 0 && cut.output.hasPrefix("stopped"), "\(cut.errors)")
    let rest = try space.restore(
      "train", "--dataset", space.path("set/"), "-o", "cut", "--iterations", "30", "--resume")
    #expect(rest.status == 0, "\(rest.errors)")
    #expect(
      try space.data("run/bundle/weights.safetensors")
        == space.data("cut/bundle/weights.safetensors"))
    let many = try space.restore("segment", "-i", "set/imagesTs", "-o", "out", "-m", "run/bundle")
    #expect(many.status == 0 && many.output.contains("spot"), "\(many.errors)")
    let scan = try ScanFile.read(space.path("set/imagesTs/c3_0000.nii.gz"))
    let labels = try ScanFile.read(space.path("out/c3.nii.gz"))
    #expect(labels.volume.geometry == scan.volume.geometry)
    #expect(labels.volume.voxels.allSatisfy { $0 == 0 || $0 == 1 })
    #expect(space.exists("out/c3.json"))
    let judged = try space.restore(
      "eval", "--pred", "out/c3.nii.gz", "--reference", "truth.nii.gz", "--labels", "1",
      "--json")
    let cases = try #require(try judged.json()["cases"] as? [[String: Any]])
    let metrics = try #require(cases[0]["metrics"] as? [String: Double])
    #expect((metrics["dice"] ?? 0) > 0.6, "\(metrics)")
    let one = try space.restore(
      "segment", "-i", "set/imagesTs/c3_0000.nii.gz", "set/imagesTs/c3_0001.nii.gz", "-o",
      "one.nii.gz", "-m", "run/bundle", "--json", "--probabilities")
    #expect(one.status == 0, "\(one.errors)")
    let chances = try ScanFile.read(space.path("one_probability_spot.nii.gz")).volume
    #expect(chances.geometry == scan.volume.geometry)
    for (chance, label) in zip(chances.voxels, labels.volume.voxels) {
      #expect((label == 1) == (chance > 0.5))
    }
    #expect(
      try ScanFile.read(space.path("one.nii.gz")).volume.voxels == labels.volume.voxels)
    // Both channels are told apart in the description, and the map has one too.
    let described = try #require(
      try space.json("one_probability_spot.json")["Restore"] as? [String: Any])
    let digests = try #require(described["inputSHA256"] as? [String: String])
    #expect(digests.keys.sorted() == ["c3_0000.nii.gz", "c3_0001.nii.gz"])
    #expect(Set(digests.values).count == 2)
    let found = try #require(try one.json()["cases"] as? [[String: Any]])
    let structures = try #require(found[0]["structures"] as? [[String: Any]])
    let voxels = labels.volume.voxels.count { $0 == 1 }
    #expect(structures[0]["voxels"] as? Int == voxels)
    // Voxels of 1.5 x 1 x 4 mm.
    let volume = try #require(structures[0]["milliliters"] as? Double)
    #expect(abs(volume - Double(voxels) * 0.006) < 1e-9)
  }

  @Test("a missing channel, both sources of a configuration, and broken folders are refused")
  func refused() throws {
    let space = try dataset()
    let run = try space.restore("train", "--dataset", "set", "-o", "run", "--iterations", "1")
    #expect(run.status == 0, "\(run.errors)")
    let one = try space.restore(
      "segment", "-i", "set/imagesTs/c3_0000.nii.gz", "-o", "o.nii.gz", "-m", "run/bundle")
    #expect(one.status == 65 && one.errors.contains("channel count"), "\(one.errors)")
    #expect(!space.exists("o.nii.gz"))
    try space.write("{}", to: "c.json")
    #expect(
      try space.restore("train", "-c", "c.json", "--dataset", "set", "-o", "r").status == 64)
    #expect(try space.restore("train", "-o", "r").status == 64)
    #expect(try space.restore("train", "--dataset", "none", "-o", "r").status == 66)
    try FileManager.default.removeItem(atPath: space.path("set/labelsTr/c1.nii.gz"))
    let hole = try space.restore("train", "--dataset", "set", "-o", "r")
    #expect(hole.status == 66 && hole.errors.contains("label map"), "\(hole.errors)")
  }

  @Test("a configuration file does the same, with any convolution")
  func configured() throws {
    let space = try dataset()
    try space.write(
      """
      {"model": {"arch": "unet-segmentation", "preset": "2d", "convolution": "weighted",
        "name": "spots"}, "data": {"split": "set"},
       "train": {"iterations": 2, "batch": 0, "validate_every": 2, "log_every": 1}}
      """, to: "seg.json")
    let printed = try space.restore("train", "-c", "seg.json", "--print-config")
    #expect(printed.status == 0 && printed.output.contains("unet-segmentation"))
    let run = try space.restore("train", "-c", "seg.json", "-o", "run")
    // What is printed is what the run keeps.
    #expect(String(decoding: try space.data("run/config.json"), as: UTF8.self) == printed.output)
    #expect(run.status == 0 && run.errors.contains("weighted"), "\(run.errors)")
    let card = try space.json("run/bundle/model.json")
    #expect(card["name"] as? String == "spots" && card["plan"] != nil)
    let wrong = try space.restore("models", "verify", "run/bundle")
    #expect(wrong.status == 0, "\(wrong.errors)")
  }
}
