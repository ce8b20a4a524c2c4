import Foundation
import Imaging
import Inference
import Layers
import TensorCore
import Testing

@Suite("restore segment with structures and views, restore eval-echo", .serialized)
struct EchoViewsTests {
  private static func configuration(_ network: String, more: String = "") -> String {
    """
    {"name": "tiny-echo", "size": [32, 32], "frames": 2, "batch": 1, "hearts": 2,
     "validation_hearts": 1, "cycle_frames": 4, "iterations": 3, "validate_every": 2, "points": 64,
     \(more)
     "network": {"image_encoder": "resnet18", "image_encoder_width": 8, "mask_encoder_width": 8,
       "key_dim": 8, "value_dim": 16, "pixel_dim": 16, "sensory_dim": 8, "embed_dim": 16, "heads": 2,
       "num_queries": 4, "num_blocks": 1, "ff_dim": 16, "decoder_dims": [16, 16, 16], \(network)}}
    """
  }

  private static let named =
    #""objects": 3, "structures": ["left_ventricle", "myocardium", "left_atrium"]"#

  /// Trains a few steps; the bundle is then `run/bundle`.
  private func trained(_ network: String) throws -> Workspace {
    let space = try Workspace()
    try space.write(Self.configuration(network), to: "echo.json")
    let run = try space.restore("train-echo", "-c", "echo.json", "-o", "run")
    #expect(run.status == 0, "\(run.errors)")
    return space
  }

  /// Makes the bundle claim its structure everywhere (above 0) or nowhere (below 0).
  private func force(_ logit: Float, in space: Workspace) throws {
    let path = space.path("run/bundle/weights.safetensors")
    let file = try Safetensors(contentsOf: path)
    var writer = SafetensorsWriter()
    for entry in file.entries {
      let tensor = try #require(file.tensor(named: entry.name))
      let isBias = entry.name == "mask_decoder.pred.bias"
      writer.add(isBias ? Tensor(tensor.shape, repeating: logit) : tensor, named: entry.name)
    }
    try space.write(writer.encoded(), to: "run/bundle/weights.safetensors")
    var card = try space.json("run/bundle/model.json")
    card["weights_sha256"] = try SHA256.hexadecimal(ofFile: path)
    try space.write(
      JSONSerialization.data(withJSONObject: card), to: "run/bundle/model.json")
  }

  private func clip(_ name: String, in space: Workspace, frames: Int, width: Int) throws {
    let clip = EchoSimulator(seed: 11).clip(frames: frames, size: (48, width))
    let geometry = Geometry(
      size: GridSize(x: width, y: 48, z: frames), spacing: SIMD3(2, 2, 1))
    try NIfTI.write(
      Volume(voxels: clip.frames.joined().map { $0 * 255 }, geometry: geometry),
      to: space.path(name))
  }

  @Test("the card and the curve name the structures, and all labels can be told apart")
  func structures() throws {
    let space = try trained(Self.named)
    let card = try space.json("run/bundle/model.json")
    let network = try #require(card["hyperparameters"] as? [String: Any])
    #expect(
      network["structures"] as? [String] == ["left_ventricle", "myocardium", "left_atrium"])
    let outputs = try #require(card["outputs"] as? [String: [String: Any]])
    #expect(outputs["pred"]?["num_channels"] as? Int == 4)
    let channels = try #require(outputs["pred"]?["channel_def"] as? [String: String])
    #expect(channels["3"] == "left_atrium")
    // Half precision: two bytes for each of the weights.
    let file = try Safetensors(contentsOf: space.path("run/bundle/weights.safetensors"))
    #expect(file.entries.allSatisfy { $0.type == .float16 })
    #expect(file.entries.contains { $0.name == "object_identity.weight" })
    try clip("clip.nii.gz", in: space, frames: 3, width: 40)
    let outcome = try space.start(
      ["segment", "-i", "clip.nii.gz", "-o", "out.nii.gz", "-m", "run/bundle", "--json"]
    ).finish()
    #expect(outcome.status == 0, "\(outcome.errors)")
    let report = try outcome.json()
    #expect(
      report["structures"] as? [String] == ["left_ventricle", "myocardium", "left_atrium"])
    #expect(report["biplane"] == nil && report["secondView"] == nil)
    let curve = String(decoding: try space.data("out_curve.csv"), as: UTF8.self)
    #expect(
      curve.hasPrefix(
        "frame,left_ventricle_area_mm2,myocardium_area_mm2,left_atrium_area_mm2,volume_"))
  }

  @Test("a run may start from weights without identities, and only from those that fit")
  func initialWeights() throws {
    let space = try trained(#""objects": 1"#)
    try space.write(
      Self.configuration(
        Self.named, more: #""initial_weights": "run/bundle/weights.safetensors","#),
      to: "next.json")
    let next = try space.restore("train-echo", "-c", "next.json", "-o", "next")
    #expect(next.status == 0, "\(next.errors)")
    try space.write(
      Self.configuration(
        #""objects": 1, "in_channels": 2"#,
        more: #""initial_weights": "run/bundle/weights.safetensors","#), to: "other.json")
    let other = try space.restore("train-echo", "-c", "other.json", "-o", "other")
    #expect(other.status == 78, "\(other.errors)")
    try space.write(
      Self.configuration(#""objects": 2, "structures": ["left_ventricle", "aorta"]"#),
      to: "aorta.json")
    let aorta = try space.restore("train-echo", "-c", "aorta.json", "-o", "aorta")
    #expect(aorta.status == 78 && aorta.errors.contains("network.structures"), "\(aorta.errors)")
  }

  @Test("two views of different sizes and lengths give the volume of the discs between them")
  func biplane() throws {
    let space = try trained(#""objects": 1"#)
    try force(50, in: space)
    try clip("four.nii.gz", in: space, frames: 4, width: 40)
    try clip("two.nii.gz", in: space, frames: 3, width: 32)
    let arguments = ["segment", "-o", "out.nii.gz", "-m", "run/bundle", "-i", "four.nii.gz"]
    let outcome = try space.start(arguments + ["two.nii.gz", "--json"]).finish()
    #expect(outcome.status == 0, "\(outcome.errors)")
    let report = try outcome.json()
    let biplane = try #require(report["biplane"] as? [String: Any])
    // The whole frames, 80 x 96 and 64 x 96 mm: discs of 80 by 64 mm along 96 mm.
    let exact = Double.pi / 4 * 80 * 64 * 96 / 1000
    let volume = try #require(biplane["endDiastolicVolume"] as? Double)
    #expect(abs(volume / exact - 1) < 1e-6)
    #expect(biplane["ejectionFraction"] as? Double == 0)
    let axis = try #require(biplane["longAxis"] as? String)
    #expect(axis.contains("principal axis"))
    #expect((report["frames"] as? [Any])?.count == 4)
    let second = try #require(report["secondView"] as? [String: Any])
    #expect((second["frames"] as? [Any])?.count == 3)
    for name in ["out_view2.nii.gz", "out_view2_curve.csv", "out_view2_overlay.png"] {
      #expect(space.exists(name), "\(name)")
    }
    let labels = try ScanFile.read(space.path("out_view2.nii.gz"))
    #expect(labels.volume.size == GridSize(x: 32, y: 48, z: 3))
    let lines = try space.start(arguments + ["two.nii.gz", "--overwrite"]).finish()
    #expect(lines.output.contains("Simpson's 20 discs, biplane: EDV"))
    #expect(lines.output.contains("long axis: the principal axis"))
    let three = try space.start(arguments + ["two.nii.gz", "two.nii.gz"]).finish()
    #expect(three.status == 65, "\(three.errors)")
    let masks = try space.start(
      arguments + ["--first-mask", "four.nii.gz", "two.nii.gz", "--overwrite"]
    ).finish()
    #expect(masks.status == 64, "\(masks.errors)")
  }

  @Test("a view without a ventricle is an error that names it and leaves nothing")
  func missing() throws {
    let space = try trained(#""objects": 1"#)
    try force(-50, in: space)
    try clip("four.nii.gz", in: space, frames: 2, width: 40)
    try clip("two.nii.gz", in: space, frames: 2, width: 32)
    let outcome = try space.restore(
      "segment", "-i", "four.nii.gz", "two.nii.gz", "-o", "out.nii.gz", "-m", "run/bundle")
    #expect(outcome.status == 65)
    #expect(
      outcome.errors.contains("no left ventricle in the first view (four.nii.gz)"),
      "\(outcome.errors)")
    #expect(!space.exists("out.nii.gz") && !space.exists("out_view2.nii.gz"))
    let single = try space.restore(
      "segment", "-i", "four.nii.gz", "-o", "out.nii.gz", "-m", "run/bundle")
    #expect(single.status == 0 && single.output.contains("no ejection fraction"))
  }

  @Test("eval-echo measures a network that claims everything exactly")
  func evaluation() throws {
    let space = try trained(#""objects": 1"#)
    try force(50, in: space)
    let outcome = try space.start(
      [
        "eval-echo", "-m", "run/bundle", "--hearts", "2", "--frames", "5", "--size", "64",
        "--shadowed-part", "1", "--shadow-width", "0.2,0.4", "--json",
      ]
    ).finish()
    #expect(outcome.status == 0, "\(outcome.errors)")
    let wrong = try space.restore("eval-echo", "-m", "run/bundle", "--shadow-width", "0.4,0.2")
    #expect(wrong.status == 64 && wrong.errors.contains("--shadow-width 0.4,0.2"))
    let found = try #require(try outcome.json()["evaluation"] as? [String: Any])
    // All frames but the first of each clip.
    #expect(found["shadowedFrames"] as? Int == 8 && found["frames"] as? Int == 10)
    let ventricle = try #require((found["structures"] as? [[String: Any]])?.first)
    #expect(ventricle["name"] as? String == "left_ventricle")
    let own = try #require(ventricle["consistency"] as? [String: Double])
    let truth = try #require(ventricle["trueConsistency"] as? [String: Double])
    #expect(own["neighbourDice"] == 1 && own["areaJitter"] == 0)
    let neighbours = try #require(truth["neighbourDice"])
    #expect(neighbours > 0.6 && neighbours < 1)
    #expect((truth["areaJitter"] ?? 0) > 0)
    // A mask of the whole frame: 2A / (A + 1) for a ventricle that fills the part A of it.
    let dice = try #require(ventricle["dice"] as? Double)
    #expect(dice > 0.05 && dice < 0.5)
    let table = try space.restore(
      "eval-echo", "-m", "run/bundle", "--hearts", "1", "--frames", "2", "--size", "32")
    #expect(table.status == 0 && table.output.contains("left_ventricle"), "\(table.errors)")
    #expect(try space.restore("eval-echo", "-m", "run/bundle", "--size", "40").status == 64)
    #expect(try space.restore("eval-echo", "-m", "./tiny").status == 64)
  }
}
