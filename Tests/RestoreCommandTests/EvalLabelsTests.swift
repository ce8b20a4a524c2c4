import Foundation
import Imaging
import Testing

@Suite("restore eval of label maps")
struct EvalLabelsTests {
  /// A reference with two labels, a prediction that is one voxel off, and an empty pair.
  private func folders() throws -> Workspace {
    let space = try Workspace()
    for folder in ["pred", "ref"] {
      try FileManager.default.createDirectory(
        atPath: space.path(folder), withIntermediateDirectories: true)
    }
    var reference = space.volume(x: 10, y: 8, z: 4)
    reference.voxels = (0..<320).map { index in
      let (x, y) = (index % 10, index / 10 % 8)
      return (2..<5).contains(x) && (2..<6).contains(y) ? 1 : x == 8 ? 3 : 0
    }
    var prediction = reference
    prediction.voxels = (0..<320).map { index in
      index % 10 == 0 ? 0 : reference.voxels[index - 1]
    }
    try space.image("ref/a.nii", reference)
    try space.image("pred/a.nii.gz", prediction)
    reference.voxels = reference.voxels.map { _ in 0 }
    try space.image("ref/b.nii", reference)
    try space.image("pred/b.nii.gz", reference)
    return space
  }

  @Test("labels, their union, empty masks, lesions by size")
  func labels() throws {
    let space = try folders()
    let outcome = try space.restore(
      "eval", "--pred", "pred", "--reference", "ref", "--labels", "1,3", "--nsd-tolerance", "2",
      "--json", "f.json", "--csv", "f.csv")
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.output.contains("hd95_pooled") && outcome.output.contains("lesions by size"))
    let report = try space.json("f.json")
    let rows = try #require(report["cases"] as? [[String: Any]])
    #expect(rows.map { $0["label"] as? String } == ["1", "3", "union", "1", "3", "union"])
    let first = try #require(rows[0]["metrics"] as? [String: Double])
    // Three columns of which two overlap; a column is 1.5 mm wide.
    #expect(abs((first["dice"] ?? 0) - 2.0 / 3) < 1e-12)
    #expect(abs((first["hd"] ?? 0) - 1.5) < 1e-6)
    #expect(first["nsd_surfel"] == 1 && first["volume_difference_ml"] == 0)
    let second = try #require(rows[1]["metrics"] as? [String: Double])
    #expect(second["dice"] == 0 && second["lesion_f1"] == 0)
    let empty = try #require(rows[3]["metrics"] as? [String: Double])
    #expect(empty["dice"] == 1 && empty["hd95"] == 0 && rows[3]["empty"] as? String == "both")
    let summary = try #require(report["summary"] as? [String: [String: [String: Any]]])
    let mean = summary["1"]?["dice"]?["mean"] as? Double ?? 0
    #expect(abs(mean - 5.0 / 6) < 1e-12)
    let lines = String(decoding: try space.data("f.csv"), as: UTF8.self).split(separator: "\n")
    #expect(outcome.output.contains("# label 1, empty masks: both 1"))
    let empties = try #require(report["empty"] as? [String: [String: Int]])
    #expect(empties["1"] == ["both": 1] && lines[0].hasSuffix(",empty,subject,protocol"))
    #expect(lines.count == 7 && lines[0].hasPrefix("case,label,dice,iou,precision,recall"))
  }

  @Test("a voxel that is no number is no background: the map is refused")
  func brokenLabels() throws {
    let space = try folders()
    var map = try NIfTI.read(space.path("ref/a.nii")).volume
    map.voxels[17] = .nan
    try space.image("broken.nii", map)
    for (prediction, reference) in [("broken.nii", "ref/a.nii"), ("ref/a.nii", "broken.nii")] {
      let outcome = try space.restore(
        "eval", "--pred", prediction, "--reference", reference, "--labels", "1,3")
      #expect(outcome.status == 65, "\(outcome.errors)")
      #expect(outcome.headline == "label map is not integer (broken.nii)")
    }
  }

  @Test("cases of one subject count as one in the figures by subject")
  func subjects() throws {
    let space = try Workspace()
    for folder in ["pred", "ref"] {
      try FileManager.default.createDirectory(
        atPath: space.path(folder), withIntermediateDirectories: true)
    }
    // Dice of two voxels against one, two and four of them: 2/3, 1, 2/3.
    for (name, count) in [("a", 1), ("b", 2), ("c", 4)] {
      var map = space.volume(x: 8, y: 6, z: 2)
      map.voxels = map.voxels.indices.map { $0 < 2 ? 1 : 0 }
      try space.image("ref/\(name).nii", map)
      map.voxels = map.voxels.indices.map { $0 < count ? 1 : 0 }
      try space.image("pred/\(name).nii", map)
    }
    let eval = ["eval", "--pred", "pred", "--reference", "ref", "--labels", "1"]
    let plain = try space.start(eval + ["--json", "plain.json"]).finish()
    #expect(plain.status == 0 && !plain.output.contains("by subject"), "\(plain.errors)")
    let alone = try space.json("plain.json")
    #expect(alone["summary_subjects"] == nil)
    let own = try #require(alone["cases"] as? [[String: Any]])
    #expect(own.map { $0["subject"] as? String } == ["a", "b", "c"])
    try space.write(
      """
      {"test": [{"subject": "one", "files": ["a.nii", "b.nii"]},
                {"subject": "two", "files": ["c.nii"]}]}
      """, to: "split.json")
    let outcome = try space.start(
      eval + ["--subjects", "split.json", "--json", "f.json"]
    ).finish()
    #expect(outcome.status == 0 && outcome.output.contains("# by subject"), "\(outcome.errors)")
    let report = try space.json("f.json")
    let cases = try #require(report["cases"] as? [[String: Any]])
    #expect(cases.map { $0["subject"] as? String } == ["one", "one", "two"])
    let summary = try #require(
      report["summary_subjects"] as? [String: [String: [String: Any]]])
    let dice = try #require(summary["1"]?["dice"])
    #expect(dice["n"] as? Int == 2)
    // (5/6 + 2/3) / 2; over the cases it is 7/9.
    #expect(abs((dice["mean"] as? Double ?? 0) - 0.75) < 1e-12)
    let all = report["summary"] as? [String: [String: [String: Any]]]
    #expect(abs((all?["1"]?["dice"]?["mean"] as? Double ?? 0) - 7.0 / 9) < 1e-12)
    #expect(try space.start(eval + ["--subjects", "absent.json"]).finish().status == 66)
    try space.write("[]", to: "wrong.json")
    #expect(try space.start(eval + ["--subjects", "wrong.json"]).finish().status == 65)
    // Pages read such evaluations too.
    #expect(try space.restore("report", "f.json", "-o", "f.html").status == 0)
  }

  @Test("volumes on a sheared grid are those of its voxels, not of boxes with their sides")
  func sheared() throws {
    let space = try Workspace()
    let affine = Affine(i: SIMD3(1, 0, 0), j: SIMD3(1, 1, 0), k: SIMD3(0, 0, 2))
    let geometry = Geometry(size: GridSize(x: 8, y: 6, z: 3), affine: affine)
    func first(_ count: Int) -> Volume {
      Volume(voxels: (0..<144).map { $0 < count ? 1 : 0 }, geometry: geometry)
    }
    try space.image("ref.nii", first(1))
    try space.image("pred.nii", first(4))
    let outcome = try space.restore(
      "eval", "--pred", "pred.nii", "--reference", "ref.nii", "--labels", "1", "--json")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let rows = try #require(try outcome.json()["cases"] as? [[String: Any]])
    let figures = try #require(rows.first?["metrics"] as? [String: Any])
    // Three voxels of 2 mm^3 too many; a box of 1 x 1.41 x 2 mm has 2.83.
    #expect(abs((figures["volume_difference_ml"] as? Double ?? 0) - 0.006) < 1e-7)
  }

  @Test("every label of any map counts in every case, so that what is found wrongly does too")
  func allLabels() throws {
    let space = try folders()
    // In `b`, whose reference is empty, label 3 and a label that no reference has are found.
    var wrong = space.volume(x: 10, y: 8, z: 4)
    wrong.voxels = (0..<320).map { $0 % 10 == 1 ? 3 : $0 % 10 == 4 ? 7 : 0 }
    try FileManager.default.removeItem(atPath: space.path("pred/b.nii.gz"))
    try space.image("pred/b.nii.gz", wrong)
    let outcome = try space.restore(
      "eval", "--pred", "pred", "--reference", "ref", "--labels", "all", "--json", "f.json")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let rows = try #require(try space.json("f.json")["cases"] as? [[String: Any]])
    let labels = ["1", "3", "7", "union"]
    #expect(rows.map { $0["label"] as? String } == labels + labels)
    let dice = rows.map { ($0["metrics"] as? [String: Any])?["dice"] as? Double }
    #expect(dice[2] == 1 && dice[4] == 1 && dice[5] == 0 && dice[6] == 0 && dice[7] == 0)
  }

  @Test("failures and warnings stand on top of pages; images and splits are never replaced")
  func pages() throws {
    let space = try folders()
    try space.write("no image", to: "pred/b.nii.gz")
    let eval = ["eval", "--pred", "pred", "--reference", "ref", "--labels", "all"]
    let outcome = try space.start(
      eval + ["--continue-on-error", "--json", "f.json", "--html", "f.html"]
    ).finish()
    #expect(outcome.status == 2, "\(outcome.errors)")
    #expect(try space.restore("report", "f.json", "-o", "again.html").status == 0)
    for page in ["f.html", "again.html"] {
      let text = String(decoding: try space.data(page), as: UTF8.self)
      #expect(text.contains("b was not evaluated"), "\(page)")
    }
    let before = try space.data("ref/a.nii")
    for arguments in [
      ["report", "f.json", "-o", "ref/a.nii", "--overwrite"],
      eval + ["--continue-on-error", "--images", "ref", "--html", "ref/a.nii", "--overwrite"],
    ] {
      #expect(try space.start(arguments).finish().status == 73, "\(arguments)")
    }
    #expect(try space.data("ref/a.nii") == before)
    try space.write("{\"test\": [{\"subject\": \"s\", \"files\": [\"a.nii\"]}]}", to: "split.json")
    let split = try space.restore(
      "eval", "--pred", "ref/a.nii", "--reference", "ref/a.nii", "--subjects", "split.json",
      "--json", "split.json", "--overwrite")
    #expect(split.status == 73, "\(split.errors)")
  }

  @Test("a page shows the worst cases, the best and the median of each structure, in one file")
  func page() throws {
    let space = try Workspace()
    for folder in ["pred", "ref", "images"] {
      try FileManager.default.createDirectory(
        atPath: space.path(folder), withIntermediateDirectories: true)
    }
    // Squares that are found worse and worse; d is empty in both.
    for (index, name) in ["a", "b", "c", "d"].enumerated() {
      var volume = space.volume(x: 20, y: 16, z: 3)
      try space.image(index == 1 ? "images/b_0000.nii" : "images/\(name).nii", volume)
      func square(_ columns: Range<Int>, _ label: Float) -> [Float] {
        (0..<960).map { voxel in
          let (x, y, z) = (voxel % 20, voxel / 20 % 16, voxel / 320)
          guard index < 3, z == 1, (4..<12).contains(y) else { return 0 }
          return columns.contains(x) ? label : x == 18 ? 2 : 0
        }
      }
      volume.voxels = square(4..<12, 1)
      try space.image("ref/\(name).nii", volume)
      volume.voxels = square(4 + index..<12, 1)
      try space.image("pred/\(name).nii", volume)
    }
    let arguments = [
      "eval", "--pred", "pred", "--reference", "ref", "--labels", "1,2", "--html", "page.html",
      "--images", "images",
    ]
    let outcome = try space.start(arguments + ["--json", "f.json"]).finish()
    #expect(outcome.status == 0, "\(outcome.errors)")
    let page = String(decoding: try space.data("page.html"), as: UTF8.self)
    // Two labels and their union, four pictures each.
    #expect(page.components(separatedBy: "data:image/png;base64,").count == 1 + 12)
    for label in ["1", "2", "union"] {
      #expect(page.contains("Structure \(label): worst cases, best and median"))
    }
    func text(_ from: String) -> Substring {
      guard let start = page.range(of: from) else { return "" }
      return page[start.upperBound...].prefix(60_000)
    }
    let first = text("Structure 1: worst")
    let places = [
      "<b>worst</b>: c", "<b>2nd worst, median</b>: b", "<b>3rd worst</b>: a", "<b>best</b>: d",
    ].compactMap { first.range(of: $0)?.lowerBound }
    #expect(places.count == 4 && places == places.sorted())
    #expect(first.contains("axial slice 2 of 3") && first.contains("left edge R"))
    #expect(!page.contains("http://") && !page.contains("https://") && !page.contains("<script"))
    #expect(!page.contains("no image of this name"))
    #expect(page.utf8.count < 5_000_000 && page.contains("hd95"))
    #expect(try space.start(arguments).finish().status == 73)
    // The same page from the JSON file, and without images.
    let report = try space.restore("report", "f.json", "-o", "report.html", "--inputs", "images")
    #expect(report.status == 0, "\(report.errors)")
    let again = String(decoding: try space.data("report.html"), as: UTF8.self)
    #expect(again.components(separatedBy: "data:image/png;base64,").count == 1 + 12)
    let plain = try space.restore("report", "f.json", "-o", "plain.html")
    #expect(plain.status == 0)
    #expect(
      String(decoding: try space.data("plain.html"), as: UTF8.self).contains("no image given"))
    let lone = try space.start(["eval", "--pred", "pred", "--ref", "ref", "--html", "x.html"])
      .finish()
    #expect(lone.status == 64)
  }

  @Test("the five worst come first, then best and median, each case once")
  func examples() throws {
    let space = try Workspace()
    func ranks(_ count: Int) throws -> [String] {
      // The numbers of the cases are those of their ranks from the worst on.
      let cases = (0..<count).reversed().map { index in
        """
        {"name": "c\(index + 1)", "label": "1", "prediction": "p.nii", "reference": "r.nii",
         "metrics": {"dice": \(Double(index) / 16)}, "empty": "neither"}
        """
      }
      try space.write(
        "{\"protocol\": \"x\", \"seed\": 0, \"cases\": [\(cases.joined(separator: ","))]}",
        to: "eval.json")
      let outcome = try space.restore("report", "eval.json", "-o", "p.html", "--overwrite")
      #expect(outcome.status == 0, "\(outcome.errors)")
      let page = String(decoding: try space.data("p.html"), as: UTF8.self)
      return page.components(separatedBy: "<figcaption><b>").dropFirst().map { part in
        part.components(separatedBy: ", Dice")[0]
          .replacingOccurrences(of: "</b>", with: "")
      }
    }
    #expect(try ranks(1) == ["only case: c1"])
    #expect(try ranks(2) == ["worst: c1", "best: c2"])
    #expect(try ranks(3) == ["worst: c1", "2nd worst, median: c2", "best: c3"])
    let five = ["worst: c1", "2nd worst: c2", "3rd worst: c3", "4th worst: c4", "5th worst: c5"]
    #expect(try ranks(9) == Array(five.dropLast()) + ["5th worst, median: c5", "best: c9"])
    #expect(try ranks(12) == five + ["best: c12", "median: c6"])
  }

  @Test("several evaluations are told apart and compared over subjects, label by label")
  func comparison() throws {
    let space = try Workspace()
    /// Three subjects with two cases each; label 2 has one figure alone that is finite.
    func evaluation(_ folder: String, _ definitions: String, dice: Double) throws {
      try FileManager.default.createDirectory(
        atPath: space.path(folder), withIntermediateDirectories: true)
      var cases: [String] = []
      for index in 0..<6 {
        for label in ["1", "2"] {
          let own: Double = label == "2" ? dice + 0.125 : dice
          let distance: String = label == "2" && index > 0 ? "\"NaN\"" : "\(4 * dice)"
          cases.append(
            """
            {"name": "c\(index)", "subject": "s\(index / 2)", "label": "\(label)",
             "prediction": "p.nii", "reference": "r.nii", "empty": "neither",
             "metrics": {"dice": \(own), "hd95": \(distance)}}
            """)
        }
      }
      try space.write(
        """
        {"protocol": "\(definitions)", "seed": 0, "cases": [\(cases.joined(separator: ","))]}
        """, to: folder + "/eval.json")
    }
    try evaluation("a", "one", dice: 0.5)
    try evaluation("b", "one", dice: 0.75)
    try evaluation("c", "other", dice: 0.25)
    func page(_ folders: String...) throws -> String {
      let outcome = try space.start(
        ["report"] + folders.map { $0 + "/eval.json" } + ["-o", "p.html", "--overwrite"]
      ).finish()
      #expect(outcome.status == 0, "\(outcome.errors)")
      return String(decoding: try space.data("p.html"), as: UTF8.self)
    }
    let same = try page("a", "b")
    #expect(same.contains("<h2>a/eval</h2>") && same.contains("<h2>b/eval</h2>"))
    #expect(same.contains("Wilcoxon") && !same.contains("not compared"))
    for (label, metric, subjects, difference) in [
      ("1", "dice", 3, "-0.2500"), ("2", "dice", 3, "-0.2500"), ("1", "hd95", 3, "-1.0000"),
      ("2", "hd95", 1, "-1.0000"),
    ] {
      let cells = ["a/eval - b/eval", label, metric, "\(subjects)", difference]
      let row = cells.map { "<td>\($0)</td>" }.joined()
      #expect(same.contains(row), "\(row)")
    }
    let other = try page("a", "c")
    #expect(other.contains("not compared: their figures are defined otherwise (one; other)"))
    #expect(!other.contains("Wilcoxon"))
    #expect(try !page("a").contains("Wilcoxon"))
  }

  @Test("a file whose name looks like a volume of another, and labels beyond all, do no harm")
  func names() throws {
    let space = try folders()
    for folder in ["pred", "ref"] {
      let name = folder == "pred" ? "a.nii.gz" : "a.nii"
      try FileManager.default.copyItem(
        atPath: space.path("\(folder)/\(name)"),
        toPath: space.path("\(folder)-a#5.nii\(folder == "pred" ? ".gz" : "")"))
    }
    let eval = ["eval", "--pred", "pred-a#5.nii.gz", "--reference", "ref-a#5.nii"]
    let page = try space.start(eval + ["--labels", "1,3", "--html", "p.html", "--json", "p.json"])
      .finish()
    #expect(page.status == 0 && !page.errors.contains("warning"), "\(page.errors)")
    #expect(String(decoding: try space.data("p.html"), as: UTF8.self).contains("data:image/png"))
    let far = try space.start(eval + ["--labels", "1,3000000000"]).finish()
    #expect(far.status == 64)
    // Two volumes of a file are two cases, and each has a picture of its own.
    var series = space.volume(x: 10, y: 8, z: 4, times: 2)
    series.voxels = series.voxels.indices.map { $0 % 10 == ($0 < 320 ? 2 : 7) ? 1 : 0 }
    try space.image("s.nii", series)
    let both = try space.restore(
      "eval", "--pred", "s.nii", "--reference", "s.nii", "--labels", "1", "--html", "s.html",
      "--json", "s.json")
    #expect(both.status == 0 && !both.errors.contains("warning"), "\(both.errors)")
    let cases = try #require(try space.json("s.json")["cases"] as? [[String: Any]])
    #expect(cases.map { $0["volume"] as? Int } == [0, 1])
    #expect(cases.map { $0["name"] as? String } == ["s#0", "s#1"])
  }

  @Test("options of label maps do not go with images; pictures must be there")
  func wrongOptions() throws {
    let space = try folders()
    let eval = ["eval", "--pred", "pred/a.nii.gz", "--reference", "ref/a.nii"]
    for options in [["--nsd-tolerance", "1"], ["--empty", "nan"], ["--lesion-sizes", "1,2"]] {
      let outcome = try space.start(eval + options).finish()
      #expect(outcome.status == 64 && outcome.errors.contains("add --labels"), "\(options)")
    }
    let absent = try space.start(
      eval + ["--labels", "all", "--html", "p.html", "--images", "nowhere"]
    ).finish()
    #expect(absent.status == 66 && !space.exists("p.html"), "\(absent.errors)")
  }

  @Test("the protocols of the papers are named in the table")
  func protocols() throws {
    let space = try folders()
    for (name, column) in [("gdkvm", "hd95"), ("stroke", "recall"), ("tvconv", "asd")] {
      let outcome = try space.restore(
        "eval", "--pred", "pred", "--reference", "ref", "--labels", "all", "--protocol", name)
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(outcome.output.contains("protocol \(name)") && outcome.output.contains(column))
    }
  }

  @Test("foreign labels, fractions and options for images are errors")
  func refused() throws {
    let space = try folders()
    let foreign = try space.restore(
      "eval", "--pred", "pred", "--reference", "ref", "--labels", "1")
    #expect(foreign.status == 65)
    #expect(foreign.headline?.hasPrefix("unexpected label") == true)
    try space.image("intensities.nii", space.volume(x: 10, y: 8, z: 4))
    let fraction = try space.restore(
      "eval", "--pred", "intensities.nii", "--reference", "ref/a.nii", "--labels", "all")
    #expect(fraction.status == 65)
    #expect(fraction.headline?.hasPrefix("label map is not integer") == true)
    for wrong in [
      ["--labels", "0"], ["--labels", "1,1"], ["--labels", "all", "--data-range", "1"],
      ["--labels", "all", "--protocol", "restore-rwkv"], ["--labels", "all", "--empty", "zero"],
      ["--labels", "all", "--lesion-sizes", "2,1"], ["--labels", "all", "--lesion-sizes", "1,1,2"],
    ] {
      let outcome = try space.start(["eval", "--pred", "pred", "--ref", "ref"] + wrong).finish()
      #expect(outcome.status == 64, "\(wrong)")
    }
  }
}
