import Foundation
import Imaging
import Testing

@Suite("restore eval")
struct EvalCommandTests {
  /// Two folders with three pairs; the predictions are off by 1, 2 and 4.
  private func folders(z: Int = 3) throws -> Workspace {
    let space = try Workspace()
    for folder in ["pred", "ref"] {
      try FileManager.default.createDirectory(
        atPath: space.path(folder), withIntermediateDirectories: true)
    }
    for (name, offset) in [("a", Float(1)), ("b", 2), ("c", 4)] {
      var volume = space.volume(x: 16, y: 16, z: z)
      try space.image("ref/\(name).nii", volume)
      volume.voxels = volume.voxels.map { $0 + offset }
      try space.image("pred/\(name).nii.gz", volume)
    }
    return space
  }

  @Test("pairs by name; figures, summary and protocol in text, JSON and CSV")
  func figures() throws {
    let space = try folders()
    let outcome = try space.restore(
      "eval", "--pred", "pred", "--reference", "ref", "--data-range", "100", "--json", "f.json",
      "--csv", "f.csv")
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.output.components(separatedBy: "protocol default; data range 100").count == 3)
    #expect(outcome.output.contains("ssim_2d") && outcome.output.contains("95 % CI"))
    let report = try space.json("f.json")
    let cases = try #require(report["cases"] as? [[String: Any]])
    #expect(cases.map { $0["name"] as? String } == ["a", "b", "c"])
    for (item, offset) in zip(cases, [1.0, 2, 4]) {
      let metrics = try #require(item["metrics"] as? [String: Double])
      #expect(abs((metrics["rmse"] ?? 0) - offset) < 1e-4)
      #expect(abs((metrics["mae"] ?? 0) - offset) < 1e-4)
      #expect(abs((metrics["psnr_db"] ?? 0) - 20 * log10(100 / offset)) < 1e-3)
      #expect((metrics["ssim_2d"] ?? 0) > 0.9)
    }
    let summary = try #require(report["summary"] as? [String: [String: Any]])
    let rmse = try #require(summary["rmse"])
    #expect(abs((rmse["mean"] as? Double ?? 0) - 7.0 / 3) < 1e-4)
    #expect(abs((rmse["median"] as? Double ?? 0) - 2) < 1e-4)
    #expect(abs((rmse["sd"] as? Double ?? 0) - (7.0 / 3).squareRoot()) < 1e-4)
    let interval = try #require(rmse["ci95"] as? [Double])
    #expect(interval.count == 2 && interval[0] >= 0.999 && interval[1] <= 4.001)
    let lines = String(decoding: try space.data("f.csv"), as: UTF8.self).split(separator: "\n")
    #expect(lines.count == 4 && lines[0].hasPrefix("case,psnr_db,ssim_2d,rmse,mae,nmse"))
    #expect(lines[1].hasPrefix("a,") && lines[0].hasSuffix(",subject,protocol"))
    let again = try space.restore("eval", "--pred", "pred", "--ref", "ref", "--csv", "f.csv")
    #expect(again.status == 73)
  }

  @Test("equal images: infinite PSNR is counted and not averaged; 3D windows have their own name")
  func equal() throws {
    let space = try folders(z: 11)
    let outcome = try space.restore(
      "eval", "--pred", "ref/a.nii", "--reference", "ref/a.nii", "--json")
    let report = try outcome.json()
    let metrics = try #require(
      (report["cases"] as? [[String: Any]])?.first?["metrics"] as? [String: Any])
    #expect(metrics["psnr_db"] as? String == "Infinity")
    #expect(abs((metrics["ssim_3d"] as? Double ?? 0) - 1) < 1e-12)
    let summary = try #require((report["summary"] as? [String: [String: Any]])?["psnr_db"])
    #expect(summary["infinite"] as? Int == 1 && summary["mean"] == nil)
  }

  @Test("the authors' protocol, uniform windows and the foreground figure")
  func variants() throws {
    let space = try folders()
    let authors = try space.restore(
      "eval", "--pred", "pred", "--ref", "ref", "--protocol", "restore-rwkv", "--modality", "MRI")
    #expect(authors.status == 0, "\(authors.errors)")
    #expect(authors.output.contains("protocol restore-rwkv, MRI"))
    #expect(authors.output.contains("ssim_2d_padded"))
    let uniform = try space.restore(
      "eval", "--pred", "pred", "--ref", "ref", "--ssim", "uniform7", "--foreground")
    #expect(uniform.status == 0, "\(uniform.errors)")
    #expect(uniform.output.contains("SSIM uniform7"))
    #expect(uniform.output.contains("foreground_psnr_db"))
    let wrong = try space.restore(
      "eval", "--pred", "pred", "--ref", "ref", "--protocol", "restore-rwkv")
    #expect(wrong.status == 64)
  }

  @Test("FS-RWKV's protocol: pictures from black to white, NIfTI from 0 to 1, clamped")
  func translation() throws {
    let space = try Workspace()
    func picture(_ name: String, _ value: Float, bitDepth: Int = 8) throws {
      let (image, _) = PNGImage.rounding(
        [Float](repeating: value, count: 256), height: 16, width: 16, colour: .grey,
        bitDepth: bitDepth)
      try image.write(to: space.path(name))
    }
    func figures(_ arguments: String...) throws -> [String: Double] {
      let outcome = try space.start(
        ["eval", "--protocol", "fs-rwkv", "--json"] + arguments
      ).finish()
      #expect(outcome.status == 0, "\(outcome.errors)")
      let cases = try outcome.json()["cases"] as? [[String: Any]]
      return try #require(cases?.first?["metrics"] as? [String: Double])
    }
    try picture("a.png", 51)
    try picture("b.png", 153)
    // 0.2 and 0.6: without variance SSIM is the comparison of the means alone.
    let pictures = try figures("--pred", "a.png", "--ref", "b.png")
    #expect(abs((pictures["psnr_db"] ?? 0) + 20 * log10(0.4)) < 1e-5)
    #expect(abs((pictures["rmse"] ?? 0) - 0.4) < 1e-6)
    let expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2 * 0.2 + 0.6 * 0.6 + 1e-4)
    #expect(abs((pictures["ssim_2d"] ?? 0) - expected) < 1e-6)
    // Each picture has its own white: 0.2 of 65 535 is the same grey.
    try picture("c.png", 13_107, bitDepth: 16)
    #expect(try figures("--pred", "c.png", "--ref", "b.png") == pictures)
    #expect(abs((try figures("--pred", "b.png", "--ref", "c.png")["rmse"] ?? 0) - 0.4) < 1e-6)
    // What is brighter than white is white.
    for (name, value) in [("x.nii", Float(0.75)), ("y.nii", 3)] {
      let geometry = Geometry(size: GridSize(x: 16, y: 16, z: 1), spacing: SIMD3(1, 1, 1))
      try space.image(
        name, Volume(voxels: [Float](repeating: value, count: 256), geometry: geometry))
    }
    #expect(abs((try figures("--pred", "y.nii", "--ref", "x.nii")["rmse"] ?? 0) - 0.25) < 1e-6)
    let scaled = try figures("--pred", "y.nii", "--ref", "x.nii", "--data-range", "6")
    #expect(abs((scaled["rmse"] ?? 0) - 0.375) < 1e-6)
    let wrong = try space.restore(
      "eval", "--pred", "a.png", "--ref", "b.png", "--protocol", "fs-rwkv", "--foreground")
    #expect(wrong.status == 64)
  }

  @Test("voxels that the reference does not know are left out; those that the image lacks count")
  func nonFinite() throws {
    let space = try Workspace()
    let clean = space.volume(x: 16, y: 16)
    var image = clean
    image.voxels = clean.voxels.map { $0 + 5 }
    image.voxels[300] = 9000
    try space.image("clean.nii", clean)
    try space.image("in.nii", image)
    for name in ["clean", "in"] {
      var data = try space.data("\(name).nii")
      let place = data.startIndex + 352 + 4 * 300
      data.replaceSubrange(place..<place + 4, with: bytes(Float.nan.bitPattern))
      try space.write(data, to: "\(name)-nan.nii")
    }
    func figures(_ image: String, _ reference: String, _ more: String...) throws -> (
      [String: Any], String
    ) {
      let outcome = try space.start(
        ["eval", "--pred", image, "--ref", reference, "--json"] + more
      ).finish()
      #expect(outcome.status == 0, "\(outcome.errors)")
      let item = try #require((try outcome.json()["cases"] as? [[String: Any]])?.first)
      return (try #require(item["metrics"] as? [String: Any]), outcome.errors)
    }
    let span = Double((clean.voxels.max() ?? 0) - (clean.voxels.min() ?? 0))
    for image in ["in.nii", "in-nan.nii"] {
      let (known, errors) = try figures(image, "clean-nan.nii", "--foreground")
      #expect(abs((known["rmse"] as? Double ?? 0) - 5) < 1e-3, "\(known)")
      #expect(abs((known["psnr_db"] as? Double ?? 0) - 20 * log10(span / 5)) < 0.05)
      #expect((known["ssim_2d"] as? Double ?? 0) > 0.9)
      #expect((known["foreground_psnr_db"] as? Double ?? 0) > 20)
      #expect(errors.contains("1 voxels of the reference are not finite; figures leave them out"))
    }
    let (broken, errors) = try figures("in-nan.nii", "clean.nii")
    for key in ["psnr_db", "ssim_2d", "rmse", "mae", "nmse"] {
      #expect(broken[key] as? String == "NaN", "\(key)")
    }
    #expect(errors.contains("1 voxels are not finite where the reference is; figures are NaN"))
    let (_, authors) = try figures(
      "in-nan.nii", "clean-nan.nii", "--protocol", "restore-rwkv", "--modality", "MRI")
    #expect(authors.contains("1 voxels of the reference are not finite; the protocol counts them"))
    // `run --reference` knows the same figures.
    for (image, rmse) in [("in.nii", 5), ("in-nan.nii", nil)] as [(String, Double?)] {
      let reference = rmse == nil ? "clean.nii" : "clean-nan.nii"
      let run = try space.restore(
        "run", "-i", image, "-o", "out-\(image)", "-m", "./tiny", "--ref", reference, "--json")
      #expect(run.status == 0, "\(run.errors)")
      let item = try #require((try run.json()["items"] as? [[String: Any]])?.first)
      let before = try #require(item["before"] as? [String: Any])
      let after = try #require(item["after"] as? [String: Any])
      if let rmse {
        #expect(abs((before["rmse"] as? Double ?? 0) - rmse) < 1e-3)
        #expect((after["rmse"] as? Double ?? .infinity).isFinite)
      } else {
        #expect(before["rmse"] as? String == "NaN" && after["ssim"] as? String == "NaN")
      }
    }
  }

  @Test("other grids, missing partners and small images are errors")
  func refused() throws {
    let space = try folders()
    try space.image("shifted.nii", space.volume(x: 16, y: 15))
    let shape = try space.restore("eval", "--pred", "shifted.nii", "--ref", "ref/a.nii")
    #expect(shape.status == 65)
    #expect(shape.headline?.hasPrefix("geometry differs") == true)
    #expect(shape.errors.contains("[1, 3, 15, 16]") && shape.errors.contains("[1, 3, 16, 16]"))
    #expect(shape.errors.contains("corner offset") && shape.errors.contains(" mm"))
    try space.image("small.nii", space.volume(x: 8, y: 8))
    let small = try space.restore("eval", "--pred", "small.nii", "--ref", "small.nii")
    #expect(small.status == 65)
    #expect(small.headline?.hasPrefix("image smaller than the window") == true)
    try FileManager.default.removeItem(atPath: space.path("pred/b.nii.gz"))
    let missing = try space.restore("eval", "--pred", "pred", "--ref", "ref")
    #expect(missing.status == 66)
    let going = try space.restore(
      "eval", "--pred", "pred", "--ref", "ref", "--continue-on-error", "--json")
    #expect(going.status == 2)
    let report = try going.json()
    #expect((report["failures"] as? [[String: Any]])?.count == 1)
    #expect((report["cases"] as? [[String: Any]])?.count == 2)
  }
}
