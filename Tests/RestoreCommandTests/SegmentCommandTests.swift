import Foundation
import Imaging
import Testing

@Suite("restore segment and train-echo", .serialized)
struct SegmentCommandTests {
  private static let configuration = """
    {"name": "tiny-echo", "size": [32, 32], "frames": 2, "batch": 1, "hearts": 2,
     "validation_hearts": 1, "cycle_frames": 4, "iterations": 3, "validate_every": 2, "points": 64,
     "network": {"image_encoder": "resnet18", "image_encoder_width": 8, "mask_encoder_width": 8,
       "key_dim": 8, "value_dim": 16, "pixel_dim": 16, "sensory_dim": 8, "embed_dim": 16, "heads": 2,
       "num_queries": 4, "num_blocks": 1, "ff_dim": 16, "decoder_dims": [16, 16, 16], "objects": 3}}
    """

  private func trained() throws -> Workspace {
    let space = try Workspace()
    try space.write(Self.configuration, to: "echo.json")
    let run = try space.restore("train-echo", "-c", "echo.json", "-o", "run")
    #expect(run.status == 0, "\(run.errors)")
    return space
  }

  private func clip(_ space: Workspace, frames: Int = 4) throws -> EchoClip {
    let clip = EchoSimulator(seed: 11).clip(frames: frames, size: (48, 40))
    let geometry = Geometry(
      size: GridSize(x: 40, y: 48, z: frames), spacing: SIMD3(clip.spacing, clip.spacing, 1))
    let voxels = clip.frames.joined().map { ($0 * 255).rounded() }
    try NIfTI.write(
      Volume(voxels: Array(voxels), geometry: geometry), to: space.path("clip.nii.gz"))
    let first = Geometry(
      size: GridSize(x: 40, y: 48, z: 1), spacing: SIMD3(clip.spacing, clip.spacing, 1))
    try NIfTI.write(
      Volume(voxels: clip.labels[0].map(Float.init), geometry: first),
      to: space.path("first.nii.gz"), options: NIfTIWriteOptions(dataType: .labels))
    return clip
  }

  @Test("a run that was cut continues to the bit and exports a bundle")
  func resume() throws {
    let space = try trained()
    let cut = try space.restore(
      "train-echo", "-c", "echo.json", "-o", "cut", "--max-minutes", "0")
    #expect(cut.status == 0 && cut.output.hasPrefix("stopped"), "\(cut.errors)")
    #expect(try space.restore("train-echo", "-c", "echo.json", "-o", "cut").status == 73)
    let resumed = try space.restore("train-echo", "-c", "echo.json", "-o", "cut", "--resume")
    #expect(resumed.status == 0 && resumed.output.hasPrefix("finished"), "\(resumed.errors)")
    #expect(
      try space.data("run/bundle/weights.safetensors")
        == space.data("cut/bundle/weights.safetensors"))
    let verified = try space.restore("models", "verify", "run/bundle")
    #expect(verified.status == 0, "\(verified.errors)")
  }

  @Test("a clip becomes labels on its grid, a strip, a curve and figures")
  func segments() throws {
    let space = try trained()
    let clip = try clip(space)
    let arguments = ["segment", "-i", "clip.nii.gz", "-o", "out.nii.gz", "-m", "run/bundle"]
    let outcome = try space.start(arguments + ["--json"]).finish()
    #expect(outcome.status == 0, "\(outcome.errors)")
    let report = try outcome.json()
    #expect((report["frames"] as? [Any])?.count == 4)
    #expect(report["unit"] as? String == "mm")
    let scan = try ScanFile.read(space.path("clip.nii.gz"))
    let labels = try ScanFile.read(space.path("out.nii.gz"))
    #expect(labels.volume.geometry == scan.volume.geometry)
    #expect(labels.volume.voxels.allSatisfy { (0...3).contains($0) && $0 == $0.rounded() })
    let strip = try PNGImage(contentsOf: space.path("out_overlay.png"))
    #expect(strip.height == clip.height && strip.width == 4 * clip.width)
    let curve = String(decoding: try space.data("out_curve.csv"), as: UTF8.self)
    #expect(curve.split(separator: "\n").count == 5)
    #expect(curve.hasPrefix("frame,left_ventricle_area_mm2,myocardium_area_mm2,"))
    let again = try space.start(arguments).finish()
    #expect(again.status == 73, "\(again.errors)")
    let left = try space.start(arguments + ["--skip-existing", "--json"]).finish()
    #expect(left.status == 0, "\(left.errors)")
    #expect(try left.json()["skipped"] as? String == "out.nii.gz")
    let restore = try #require(try space.json("out.json")["Restore"] as? [String: Any])
    #expect((restore["inputSHA256"] as? String)?.count == 64)
    // Labels fit below the limit, the strip does not: nothing may stay.
    let full = try space.start(
      ["segment", "-i", "clip.nii.gz", "-o", "full.nii.gz", "-m", "run/bundle"],
      through: "trap '' XFSZ; ulimit -f 4"
    ).finish()
    #expect(full.status == 74, "\(full.errors)")
    let files = try FileManager.default.contentsOfDirectory(atPath: space.path(""))
    #expect(!files.contains { $0.hasPrefix("full") }, "\(files)")
    let bare = try space.restore(
      "segment", "-i", "clip.nii.gz", "-o", "bare.nii.gz", "-m", "run/bundle", "--no-sidecar")
    #expect(bare.status == 0 && !space.exists("bare.json"))
    let given = try space.start(
      arguments + ["--overwrite", "--first-mask", "first.nii.gz"]
    ).finish()
    #expect(given.status == 0, "\(given.errors)")
    try space.checkDescriptions(
      of: ["segment", "-i", "clip.nii.gz", "-m", "run/bundle"], output: "out.nii.gz",
      description: "out.json")
  }

  @Test("a first mask of another size and a model for other things are refused")
  func refused() throws {
    let space = try trained()
    _ = try clip(space)
    try space.image("small.nii", space.volume(x: 12, y: 10))
    let small = try space.restore(
      "segment", "-i", "clip.nii.gz", "-o", "o.nii.gz", "-m", "run/bundle", "--first-mask",
      "small.nii")
    #expect(small.status == 65 && small.errors.contains("first mask of another size"))
    var foreign = space.volume(x: 40, y: 48, z: 1)
    foreign.voxels = foreign.voxels.indices.map { $0 == 7 ? 4 : 0 }
    try space.image("foreign.nii", foreign)
    let label = try space.restore(
      "segment", "-i", "clip.nii.gz", "-o", "o.nii.gz", "-m", "run/bundle", "--first-mask",
      "foreign.nii")
    #expect(label.status == 65 && label.errors.contains("unexpected label"), "\(label.errors)")
    // Slices at several times are no clip, and a clip without contrast shows no heart.
    try space.image("places.nii", space.volume(x: 40, y: 48, z: 3, times: 2))
    let places = try space.restore(
      "segment", "-i", "places.nii", "-o", "o.nii.gz", "-m", "run/bundle")
    #expect(places.status == 65 && places.errors.contains("3 slices at each of 2 times"))
    var black = space.volume(x: 40, y: 48, z: 3)
    black.voxels = black.voxels.map { _ in 0 }
    try space.image("black.nii", black)
    let nothing = try space.restore(
      "segment", "-i", "black.nii", "-o", "o.nii.gz", "-m", "run/bundle")
    #expect(nothing.status == 65 && nothing.headline == "the clip shows nothing (black.nii)")
    let other = try space.restore(
      "segment", "-i", "clip.nii.gz", "-o", "o.nii.gz", "-m", "./tiny")
    #expect(other.status == 64, "\(other.errors)")
    #expect(other.headline == "model does not segment (./tiny)")
    let missing = try space.restore(
      "segment", "-i", "none.nii.gz", "-o", "o.nii.gz", "-m", "run/bundle")
    #expect(missing.status == 66, "\(missing.errors)")
    #expect(!space.exists("o.nii.gz"))
    try space.write("iterations: 2\nhearts: 2\nsize: [32, 33]\n", to: "bad.yaml")
    let yaml = try space.restore("train-echo", "-c", "bad.yaml", "-o", "r")
    #expect(yaml.status == 78 && yaml.errors.contains("size"), "\(yaml.errors)")
    try space.write("{\"iterations\": 0}", to: "bad.json")
    #expect(try space.restore("train-echo", "-c", "bad.json", "-o", "r").status == 78)
    try space.write("{\"iteration\": 1}", to: "bad.json")
    let unknown = try space.restore("train-echo", "-c", "bad.json", "-o", "r")
    #expect(unknown.status == 78 && unknown.errors.contains("iteration"), "\(unknown.errors)")
  }
}
