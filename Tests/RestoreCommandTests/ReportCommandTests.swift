import Foundation
import Imaging
import Randomness
import Testing

@Suite("restore report")
struct ReportCommandTests {
  @Test("evaluations and a run become one page with pictures, boxes, comparison and curves")
  func page() throws {
    let space = try Workspace()
    for folder in ["one", "two", "ref", "noisy", "run"] {
      try FileManager.default.createDirectory(
        atPath: space.path(folder), withIntermediateDirectories: true)
    }
    for (index, name) in ["sub-a_x", "sub-a_y", "sub-b"].enumerated() {
      var volume = space.volume(x: 16, y: 16, z: 3)
      try space.image("ref/\(name).nii", volume)
      let clean = volume.voxels
      for (folder, offset) in [("one", Float(index + 1)), ("two", 4), ("noisy", 9)] {
        volume.voxels = clean.enumerated().map {
          $0.element + ($0.offset % 2 == 0 ? 1 : -1) * offset
        }
        try space.image("\(folder)/\(name).nii", volume)
      }
    }
    for model in ["one", "two"] {
      let outcome = try space.restore(
        "eval", "--pred", model, "--reference", "ref", "--json", "\(model).json", "--slices-csv",
        "\(model)-slices.csv")
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(outcome.output.contains("rmse by subject") && outcome.output.contains("mae by slice"))
    }
    let slices = String(decoding: try space.data("one-slices.csv"), as: UTF8.self)
    #expect(slices.split(separator: "\n").count == 1 + 3 * 3)
    #expect(slices.contains("sub-a_x,sub-a,0,2,"))
    let bySubject = try #require(
      space.json("one.json")["summary_subjects"] as? [String: [String: Any]])
    #expect(bySubject["rmse"]?["n"] as? Int == 2)
    #expect(abs((bySubject["rmse"]?["mean"] as? Double ?? 0) - 2.25) < 1e-4)
    try space.write(
      """
      {"step": 1, "loss": 0.5}
      {"step": 2, "loss": 0.25}
      {"step": 2, "validationPSNR": 20.5, "degradedPSNR": 18}
      {"step": 3, "lo
      """, to: "run/log.jsonl")
    let outcome = try space.restore(
      "report", "one.json", "two.json", "run", "-o", "page.html", "--inputs", "noisy", "--title",
      "A <b> & C")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let page = String(decoding: try space.data("page.html"), as: UTF8.self)
    #expect(page.contains("A &lt;b&gt; &amp; C") && !page.contains("<b>"))
    // Five panels of a thin stack's one plane for each of six cases.
    #expect(page.components(separatedBy: "data:image/png;base64,").count == 1 + 6 * 5)
    #expect(page.contains("Wilcoxon") && page.contains("one - two"))
    #expect(page.contains("Training of run") && page.contains("<polyline"))
    #expect(page.contains("validation PSNR") && !page.contains("validation Dice"))
    try FileManager.default.createDirectory(
      atPath: space.path("labels"), withIntermediateDirectories: true)
    try space.write(
      """
      {"step": 1, "loss": 0.5}
      {"step": 2, "validationDice": 0.75, "dice": {"a": 0.75}}
      {"step": 4, "validationDice": 0.875, "dice": {"a": 0.875}}
      """, to: "labels/log.jsonl")
    #expect(try space.restore("report", "labels", "-o", "labels.html").status == 0)
    let curves = String(decoding: try space.data("labels.html"), as: UTF8.self)
    #expect(curves.contains("validation Dice") && !curves.contains("validation PSNR"))
    #expect(curves.components(separatedBy: "<polyline").count == 1 + 2)
    // The stages of a stroke training are curves of their own.
    try FileManager.default.createDirectory(
      atPath: space.path("stages"), withIntermediateDirectories: true)
    try space.write(
      """
      {"step": 1, "stage": "axial", "loss": 0.5}
      {"step": 2, "stage": "axial", "loss": 0.4}
      {"step": 1, "stage": "combiner", "loss": 0.6}
      """, to: "stages/log.jsonl")
    try space.write(
      """
      [{"name": "brain-1", "dice": 0.75, "pathDice": {"XY_12": 0.5, "ZY_3": 0.25}, "lesions": 4,
        "found": 3, "falseLesions": 1, "ownRecall": 0.5, "trueVolume": 12, "foundVolume": 10.5},
       {"name": "brain-2", "dice": 0.25, "pathDice": {"XY_12": 0, "ZY_3": 0.125}, "lesions": 2,
        "found": 0, "falseLesions": 0, "trueVolume": 2, "foundVolume": 0}]
      """, to: "stages/scores.json")
    #expect(try space.restore("report", "stages", "-o", "stages.html").status == 0)
    let stages = String(decoding: try space.data("stages.html"), as: UTF8.self)
    #expect(stages.contains("loss, axial") && stages.contains("loss, combiner"))
    #expect(stages.components(separatedBy: "<polyline").count == 1 + 2)
    // Each brain that nothing learnt from has its row.
    let cells = [
      "brain-1", "0.7500", "4", "3", "1", "0.5000", "12.00", "10.50", "0.5000", "0.2500",
    ]
    #expect(stages.contains(cells.map { "<td>\($0)</td>" }.joined()))
    #expect(stages.contains("Dice of XY_12") && stages.contains("<td>brain-2</td><td>0.2500</td>"))
    #expect(stages.contains("<td>6</td><td>3</td><td>1</td>"))
    try space.write("{", to: "stages/scores.json")
    let damaged = try space.restore("report", "stages", "-o", "damaged.html")
    #expect(damaged.status == 0 && damaged.errors.contains("scores.json cannot be read"))
    #expect(!page.contains("http://") && !page.contains("https://") && !page.contains("<script"))
    // The worst case of the first model stands first: the one with the largest error.
    let order = ["sub-b", "sub-a_y", "sub-a_x"].map { page.range(of: ". \($0)</h3>")?.lowerBound }
    #expect(order.allSatisfy { $0 != nil })
    #expect(page.contains("1. sub-b</h3>"))
    #expect(page.utf8.count < 5_000_000)
    #expect(try space.restore("report", "one.json", "-o", "page.html").status == 73)
  }

  @Test("twenty cases of ordinary size show all three planes in less than 5 MB")
  func twentyCases() throws {
    let space = try Workspace()
    try FileManager.default.createDirectory(
      atPath: space.path("noisy"), withIntermediateDirectories: true)
    // Noise everywhere, which nothing compresses.
    var generator = SeededGenerator(seed: 3)
    for name in ["reference.nii", "restored.nii", "noisy/restored.nii"] {
      var volume = space.volume(x: 96, y: 110, z: 91)
      volume.voxels = volume.voxels.map { $0 + 200 * generator.nextUniform() }
      try space.image(name, volume)
    }
    let cases = (0..<20).map { index in
      """
      {"name": "c\(index)", "prediction": "restored.nii", "reference": "reference.nii",
       "warnings": [], "metrics": {"psnr_db": \(20 + index)}}
      """
    }
    try space.write(
      "{\"protocol\": \"x\", \"seed\": 0, \"cases\": [\(cases.joined(separator: ","))]}",
      to: "eval.json")
    let outcome = try space.restore("report", "eval.json", "-o", "p.html", "--inputs", "noisy")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let page = String(decoding: try space.data("p.html"), as: UTF8.self)
    #expect(page.utf8.count < 5_000_000)
    for plane in ["axial", "coronal", "sagittal"] {
      for panel in ["input", "restored", "reference", "input - reference", "restored - reference"] {
        #expect(page.components(separatedBy: ": \(panel), \(plane) ").count == 1 + 20)
      }
    }
    // Letters on every picture.
    #expect(page.components(separatedBy: "<span class=\"e\"").count == 1 + 20 * 15 * 2)
    // A voxel is a pixel; what is grey is stored as grey.
    let first = try #require(page.components(separatedBy: "base64,").dropFirst().first)
    let data = try #require(Data(base64Encoded: String(first.prefix { $0 != "\"" })))
    let image = try PNGImage(decoding: data, name: "the first picture")
    #expect(image.colour == .grey && image.bitDepth == 8)
    #expect((image.height, image.width) == (110, 96))
    // Without inputs their columns are left out.
    let outputs = try space.restore("report", "eval.json", "-o", "q.html")
    #expect(outputs.status == 0, "\(outputs.errors)")
    let rest = String(decoding: try space.data("q.html"), as: UTF8.self)
    #expect(rest.components(separatedBy: "data:image/png;base64,").count == 1 + 20 * 9)
    #expect(!rest.contains("no input"))
  }

  @Test(
    "figures that cannot be compared are not; what failed and whose labels are equal is told apart")
  func comparisons() throws {
    let space = try Workspace()
    func evaluation(
      _ folder: String, _ definitions: String, reference: String, perfect: Set<Int> = []
    ) throws {
      try FileManager.default.createDirectory(
        atPath: space.path(folder), withIntermediateDirectories: true)
      let cases = (0..<8).map { index -> String in
        let psnr = perfect.contains(index) ? "\"Infinity\"" : "\(30 + index + folder.count)"
        return """
          {"name": "c\(index)", "subject": "s\(index / 2)", "prediction": "p\(index).nii",
           "reference": "\(reference)/c\(index).nii", "warnings": [],
           "metrics": {"psnr_db": \(psnr)}}
          """
      }
      try space.write(
        """
        {"protocol": "\(definitions)", "seed": 0, "cases": [\(cases.joined(separator: ","))],
         "failures": [{"name": "c9", "code": 65, "kind": "x", "message": "image data ends early"}]}
        """, to: folder + "/eval.json")
    }
    try evaluation("a", "one", reference: "r")
    try evaluation("bb", "one", reference: "r")
    try evaluation("ccc", "other", reference: "r")
    try evaluation("dddd", "one", reference: "q")
    func page(_ folders: String...) throws -> String {
      let outcome = try space.start(
        ["report"] + folders.map { $0 + "/eval.json" } + ["-o", "p.html", "--overwrite"]
      ).finish()
      #expect(outcome.status == 0, "\(outcome.errors)")
      return String(decoding: try space.data("p.html"), as: UTF8.self)
    }
    let same = try page("a", "bb")
    #expect(same.contains("a/eval - bb/eval") && same.contains("c9 was not evaluated"))
    // Four subjects with a mean of two cases each.
    #expect(same.contains("<td>psnr_db</td><td>4</td>"), "\(same)")
    #expect(!same.contains("not compared") && !same.contains("other paths"))
    let other = try page("a", "ccc")
    #expect(other.contains("are not compared") && !other.contains("a/eval - ccc/eval</td>"))
    // Nothing is left of the table.
    #expect(!other.contains("Paired comparison") && !other.contains("Wilcoxon"))
    #expect(try page("a", "dddd").contains("the references of 8 cases have other paths"))
    // A perfect case of a subject does not hide its other ones; alone it is the largest difference.
    try evaluation("e", "one", reference: "r", perfect: [0, 2, 4])
    try evaluation("ff", "one", reference: "r", perfect: [0, 2, 4, 6, 7])
    #expect(try page("e", "bb").contains("<td>psnr_db</td><td>4</td><td>-1.0000</td>"))
    #expect(try page("e", "ff").contains("<td>psnr_db</td><td>4</td><td>-1.0000</td>"))
  }

  @Test("an evaluation with figures of the foreground is compared by the others with one without")
  func foreground() throws {
    let space = try Workspace()
    for folder in ["one", "two", "ref"] {
      try FileManager.default.createDirectory(
        atPath: space.path(folder), withIntermediateDirectories: true)
    }
    for (index, name) in ["a", "b"].enumerated() {
      var volume = space.volume(x: 20, y: 16, z: 12)
      try space.image("ref/\(name).nii", volume)
      let clean = volume.voxels
      for (folder, offset) in [("one", Float(index + 1)), ("two", 4)] {
        volume.voxels = clean.map { $0 + offset }
        try space.image("\(folder)/\(name).nii", volume)
      }
    }
    func evaluate(_ model: String, _ file: String, _ options: String...) throws {
      let outcome = try space.start(
        ["eval", "--pred", model, "--reference", "ref", "--json", file] + options
      ).finish()
      #expect(outcome.status == 0, "\(outcome.errors)")
    }
    try evaluate("one", "plain.json")
    try evaluate("two", "more.json", "--foreground")
    try evaluate("two", "other.json", "--foreground", "--ssim", "uniform7")
    let outcome = try space.restore("report", "plain.json", "more.json", "-o", "p.html")
    #expect(outcome.status == 0 && !outcome.errors.contains("not compared"), "\(outcome.errors)")
    let page = String(decoding: try space.data("p.html"), as: UTF8.self)
    for metric in ["psnr_db", "rmse", "mae", "nmse"] {
      #expect(page.contains("<td>plain - more</td><td>\(metric)</td><td>2</td>"), "\(metric)")
    }
    #expect(!page.contains("<td>plain - more</td><td>foreground_psnr_db</td>"))
    let other = try space.restore("report", "plain.json", "other.json", "-o", "q.html")
    #expect(other.status == 0 && other.errors.contains("not compared"), "\(other.errors)")
  }

  @Test(
    "other files of a folder are left out, small figures keep their digits, strangers are not compared"
  )
  func others() throws {
    let space = try Workspace()
    var reference = space.volume(x: 20, y: 16, z: 12)
    var restored = reference
    reference.voxels = reference.voxels.map { $0 * 1e-6 }
    restored.voxels = reference.voxels.map { $0 + 2.5e-5 }
    for name in ["a", "b"] {
      try FileManager.default.createDirectory(
        atPath: space.path(name), withIntermediateDirectories: true)
      try space.image("\(name)/\(name).nii", restored)
      try space.image("\(name)/\(name)-ref.nii", reference)
      let outcome = try space.restore(
        "eval", "--pred", "\(name)/\(name).nii", "--reference", "\(name)/\(name)-ref.nii", "--json",
        "\(name)/\(name).json")
      #expect(outcome.status == 0, "\(outcome.errors)")
      try space.write("{\"Sources\": []}", to: "\(name)/\(name)-other.json")
    }
    let one = try space.restore("report", "a", "-o", "a.html")
    #expect(one.status == 0, "\(one.errors)")
    let page = String(decoding: try space.data("a.html"), as: UTF8.self)
    #expect(page.contains("2.5e-05") && !page.contains("rmse 0.0000"))
    #expect(page.contains("voxels per million by intensity") && !page.contains("step 63"))
    let two = try space.restore("report", "a", "b", "-o", "b.html")
    #expect(two.status == 0 && two.errors.contains("not compared: no case"), "\(two.errors)")
  }

  @Test("what is no evaluation is refused")
  func refusals() throws {
    let space = try Workspace()
    try space.write("{}", to: "x.json")
    #expect(try space.restore("report", "x.json", "-o", "p.html").status == 65)
    #expect(try space.restore("report", "absent", "-o", "p.html").status == 66)
    try FileManager.default.createDirectory(
      atPath: space.path("empty"), withIntermediateDirectories: true)
    #expect(try space.restore("report", "empty", "-o", "p.html").status == 66)
    #expect(!space.exists("p.html"))
  }
}
