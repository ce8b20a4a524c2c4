import Foundation
import Imaging
import Testing

extension SegmentationTrainingTests {
  /// A trained model and a folder `set/imagesTs` of the cases c3 and c4.
  private func trained() throws -> Workspace {
    let space = try dataset()
    let run = try space.restore("train", "--dataset", "set", "-o", "run", "--iterations", "1")
    #expect(run.status == 0, "\(run.errors)")
    try copyCase(space, to: "c4")
    return space
  }

  private func copyCase(_ space: Workspace, to name: String) throws {
    for channel in 0..<2 {
      try FileManager.default.copyItem(
        atPath: space.path("set/imagesTs/c3_000\(channel).nii.gz"),
        toPath: space.path("set/imagesTs/\(name)_000\(channel).nii.gz"))
    }
  }

  private var segment: [String] { ["segment", "-i", "set/imagesTs", "-m", "run/bundle", "-o"] }

  @Test(
    "what exists is refused before the first image, or left out; a failed image is left out too")
  func existing() throws {
    let space = try trained()
    try FileManager.default.createDirectory(
      atPath: space.path("out"), withIntermediateDirectories: true)
    try space.write("labels", to: "out/c4.nii.gz")
    let refused = try space.start(segment + ["out"]).finish()
    #expect(refused.status == 73 && !space.exists("out/c3.nii.gz"), "\(refused.errors)")
    #expect(refused.headline == "output exists (out/c4.nii.gz)")
    let skipping = try space.start(segment + ["out", "--skip-existing"]).finish()
    #expect(skipping.status == 0 && space.exists("out/c3.nii.gz"), "\(skipping.errors)")
    #expect(skipping.errors.contains("skipped, exists: out/c4.nii.gz"))
    #expect(try space.data("out/c4.nii.gz") == Data("labels".utf8))
    try copyCase(space, to: "c5")
    try space.write("no image", to: "set/imagesTs/c4_0001.nii.gz")
    let stopping = try space.start(segment + ["some"]).finish()
    #expect(stopping.status == 65 && !space.exists("some/c5.nii.gz"), "\(stopping.errors)")
    let going = try space.start(segment + ["all", "--continue-on-error", "--json"]).finish()
    #expect(going.status == 2, "\(going.errors)")
    let report = try going.json()
    #expect(report["ok"] as? Bool == false)
    #expect((report["cases"] as? [Any])?.count == 2)
    #expect((report["failures"] as? [Any])?.count == 1)
    #expect(space.exists("all/c5.nii.gz") && !space.exists("all/c4.nii.gz"))
    #expect(
      try space.start(segment + ["x", "--overwrite", "--skip-existing"]).finish().status == 64)
  }

  @Test("the labels of a case replace no channel of another")
  func channels() throws {
    let space = try trained()
    try copyCase(space, to: "c3_0000")
    let before = try space.data("set/imagesTs/c3_0000.nii.gz")
    let outcome = try space.start(segment + ["set/imagesTs", "--overwrite"]).finish()
    #expect(outcome.status == 73, "\(outcome.errors)")
    #expect(outcome.headline == "refusing to overwrite input (set/imagesTs/c3_0000.nii.gz)")
    #expect(try space.data("set/imagesTs/c3_0000.nii.gz") == before)
    #expect(!space.exists("set/imagesTs/c3.nii.gz"))
  }

  @Test("voxels that are no numbers are told of in every channel")
  func notFinite() throws {
    let space = try trained()
    let second = "set/imagesTs/c4_0001.nii.gz"
    var broken = try ScanFile.read(space.path(second)).volume
    broken.voxels[5] = .nan
    try FileManager.default.removeItem(atPath: space.path(second))
    try space.image(second, broken)
    let outcome = try space.start(segment + ["out"]).finish()
    #expect(outcome.status == 0, "\(outcome.errors)")
    let text = "1 voxels are NaN or infinite; replaced by 0"
    #expect(outcome.errors.contains("\(second): \(text)"), "\(outcome.errors)")
    for (name, warnings) in [("c3", []), ("c4", ["c4_0001.nii.gz: \(text)"])] {
      let described = try #require(try space.json("out/\(name).json")["Restore"] as? [String: Any])
      #expect(described["nonFiniteVoxels"] as? Int == warnings.count)
      #expect(described["warnings"] as? [String] == warnings)
    }
  }

  @Test("a single image that is done is left out")
  func single() throws {
    let space = try trained()
    let one = [
      "segment", "-i", "set/imagesTs/c3_0000.nii.gz", "set/imagesTs/c3_0001.nii.gz", "-m",
      "run/bundle", "-o", "one.nii.gz",
    ]
    #expect(try space.start(one).finish().status == 0)
    #expect(try space.start(one).finish().status == 73)
    let again = try space.start(one + ["--skip-existing", "--json"]).finish()
    #expect(again.status == 0 && again.errors.contains("skipped, exists"), "\(again.errors)")
    #expect((try again.json()["cases"] as? [Any])?.isEmpty == true)
    try space.checkDescriptions(
      of: Array(one.dropLast(2)), output: "one.nii.gz", description: "one.json")
  }
}
