import Foundation
import Imaging
import Testing

@Suite("restore bids")
struct BIDSCommandTests {
  private static let visits = [
    "sub-01/ses-A/anat/sub-01_ses-A_acq-fast_run-1_T1w.nii.gz",
    "sub-01/ses-A/anat/sub-01_ses-A_acq-fast_run-2_T1w.nii.gz",
    "sub-01/ses-B/anat/sub-01_ses-B_T1w.nii.gz", "sub-02/anat/sub-02_desc-brain_T1w.nii",
    "sub-02/anat/sub-02_T2w.nii.gz",
  ]

  private func two() throws -> Workspace {
    try Workspace.bids(["sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz"])
  }

  // MARK: - What is written

  @Test("every image of the modality has its restored one, named as BIDS asks; raw data stay")
  func names() throws {
    let space = try Workspace.bids(Self.visits)
    let before = try space.contents(of: "raw")
    let outcome = try space.participants()
    #expect(outcome.status == 0, "\(outcome.errors)")
    let first = "sub-01/ses-A/anat/sub-01_ses-A_acq-fast_run-"
    let images = [
      "\(first)1_desc-restored_T1w", "\(first)2_desc-restored_T1w",
      "sub-01/ses-B/anat/sub-01_ses-B_desc-restored_T1w", "sub-02/anat/sub-02_desc-restored_T1w",
    ]
    let expected =
      images.flatMap { [$0 + ".nii.gz", $0 + ".json"] }
      + ["dataset_description.json", "sub-01.html", "sub-02.html"]
    #expect(space.files(of: "out") == expected.sorted())
    #expect(try space.contents(of: "raw") == before)
    #expect(outcome.output.contains("\(Self.visits[2]) -> \(images[2]).nii.gz\n"))
    #expect(outcome.output.hasSuffix("sub-01.html\nsub-02.html\n"))
    // The image is what `run` makes of it.
    let run = try space.restore(
      "run", "-i", "raw/" + Self.visits[3], "-o", "plain.nii", "-m", "./tiny")
    #expect(run.status == 0)
    #expect(
      try NIfTI.read(space.path("plain.nii")).volume
        == NIfTI.read(space.path("out/\(images[3]).nii.gz")).volume)
    let sidecar = try space.json("out/\(images[3]).json")
    #expect(sidecar["Sources"] as? [String] == ["sub-02_desc-brain_T1w.nii"])
    let told = try #require(sidecar["Restore"] as? [String: Any])
    #expect(told["model"] as? String == "tiny")
    #expect((told["change"] as? [String: Double])?["rootMeanSquare"] ?? 0 > 0)
    #expect(space.temporaries.isEmpty)
  }

  @Test("description, pages and logs; no folder of the machine is told unless asked for")
  func descriptions() throws {
    let space = try Workspace.bids(Self.visits)
    #expect(
      try space.start([
        "bids", space.path("raw/"), space.path("out"), "participant", "-m", space.path("tiny"),
      ]).finish().status == 0)
    let description = try space.json("out/dataset_description.json")
    #expect(description["DatasetType"] as? String == "derivative")
    #expect(description["Name"] as? String == "Results of restore for study")
    #expect(description["BIDSVersion"] as? String == "1.9.0")
    let programs = try #require(description["GeneratedBy"] as? [[String: String]])
    #expect(programs.map(\.["Name"]) == ["restore"] && programs[0]["Version"] == "0.1.0")
    let sources = try #require(description["SourceDatasets"] as? [[String: String]])
    #expect(sources == [["URL": "file:raw", "DOI": "doi:10.1/x"]])
    let page = String(decoding: try space.data("out/sub-01.html"), as: UTF8.self)
    // Three images, each as it was, as it is, and the difference, in one plane.
    #expect(page.components(separatedBy: "data:image/png;base64,").count == 1 + 9)
    #expect(page.contains("sub-01_ses-B_desc-restored_T1w") && page.contains("tiny 1.2.3"))
    #expect(page.contains("restored - input") && !page.contains("No picture"))
    #expect(!page.contains("http://") && !page.contains("https://"))
    let logs = try FileManager.default.contentsOfDirectory(atPath: space.path("out/logs")).sorted()
    #expect(logs.count == 2 && logs[0].hasPrefix("sub-01_") && logs[1].hasPrefix("sub-02_"))
    let log = String(decoding: try space.data("out/logs/" + logs[0]), as: UTF8.self)
    #expect(log.contains("restore 0.1.0") && log.contains(Self.visits[0]), "\(log)")
    #expect(log.hasSuffix(" done\n"))
    for (name, data) in try space.contents(of: "out") where !name.hasSuffix(".nii.gz") {
      #expect(!String(decoding: data, as: UTF8.self).contains(space.folder), "\(name)")
    }
    let full = try space.start([
      "bids", space.path("raw"), space.path("full"), "participant", "-m", "./tiny", "--provenance",
      "full", "--participant-label", "02",
    ]).finish()
    #expect(full.status == 0, "\(full.errors)")
    let place = try #require(
      try space.json("full/dataset_description.json")["SourceDatasets"] as? [[String: String]])
    #expect(place[0]["URL"] == "file://" + space.path("raw"))
  }

  @Test(
    "other modalities by their suffix, in the folder where they are",
    arguments: [
      ("pet", "sub-1/pet/sub-1_pet.nii.gz"), ("T2w", "sub-1/anat/sub-1_T2w.nii.gz"),
      ("ct", "sub-1/ct/sub-1_ct.nii.gz"),
    ])
  func modalities(_ suffix: String, _ file: String) throws {
    let space = try Workspace.bids([file, "sub-1/anat/sub-1_T1w.nii.gz"])
    let outcome = try space.participants("--modality", suffix)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let image = file.replacingOccurrences(of: "_\(suffix)", with: "_desc-restored_\(suffix)")
    #expect(space.files(of: "out").filter { $0.hasSuffix(".nii.gz") } == [image])
  }

  @Test("a dry run says what it needs and writes nothing; results can be one JSON document")
  func plans() throws {
    let space = try two()
    let plan = try space.participants("--dry-run")
    #expect(plan.status == 0 && !space.exists("out"), "\(plan.errors)")
    #expect(plan.errors.contains("raw/sub-01/anat/sub-01_T1w.nii.gz: 3 slices, 1M of memory"))
    let outcome = try space.participants("--json", "--participant-label", "02", "-q")
    let document = try outcome.json()
    #expect(document["ok"] as? Bool == true && document["pages"] as? [String] == ["sub-02.html"])
    let made = try #require(document["made"] as? [[String: Any]])
    #expect(made.count == 1 && made[0]["participant"] as? String == "sub-02")
    #expect(made[0]["outputs"] as? [String] == ["sub-02/anat/sub-02_desc-restored_T1w.nii.gz"])
    let again = try space.participants("--json")
    #expect(try again.json()["skipped"] as? Int == 1)
    let small = try space.participants("--max-memory", "1K", "--overwrite")
    #expect(small.status == 71, "\(small.errors)")
  }

  // MARK: - Who and what is chosen

  @Test(
    "labels with and without their prefix, in both spellings of the option",
    arguments: [
      ["--participant-label", "01"], ["--participant_label", "sub-01"],
      ["--participant-label", "sub-01", "--session-label", "B", "ses-A"],
      ["--session_label", "A", "ses-B"],
    ])
  func labels(_ options: [String]) throws {
    let space = try Workspace.bids(Self.visits)
    let outcome = try space.start(
      ["bids", "raw", "out", "participant", "-m", "./tiny"] + options
    ).finish()
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(space.files(of: "out").filter { $0.hasSuffix(".nii.gz") }.count == 3)
    #expect(space.exists("out/sub-01.html") && !space.exists("out/sub-02.html"))
  }

  @Test("a session more is not taken for done, and the page then shows both")
  func sessions() throws {
    let space = try Workspace.bids(Self.visits)
    let one = ["--participant-label", "01", "--session-label"]
    func run(_ session: String) throws -> RestoreProcess.Outcome {
      try space.start(
        ["bids", "raw", "out", "participant", "-m", "./tiny"] + one + [session]
      ).finish()
    }
    #expect(try run("A").status == 0)
    #expect(!space.exists("out/sub-01/ses-B"))
    let second = try run("B")
    #expect(second.status == 0 && !second.errors.contains("skipped"), "\(second.errors)")
    let page = String(decoding: try space.data("out/sub-01.html"), as: UTF8.self)
    #expect(page.contains("<h2>sub-01_ses-A_acq-fast_run-1_desc-restored_T1w</h2>"))
    #expect(page.contains("<h2>sub-01_ses-B_desc-restored_T1w</h2>"))
    #expect(try run("A").errors.contains("skipped, done: out/sub-01.html"))
  }

  @Test("parts of a job do every part-th participant, also through the example for Slurm")
  func parts() throws {
    let space = try Workspace.bids(
      (1...3).map { "sub-0\($0)/anat/sub-0\($0)_T1w.nii.gz" } + ["sub-04/anat/sub-04_T2w.nii.gz"])
    let first = try space.participants("--part-id", "0", "--num-parts", "4")
    #expect(first.errors.hasPrefix("part 0 of 4: 1 of 4 cases\n"), "\(first.errors)")
    #expect(space.exists("out/sub-01.html") && !space.exists("out/sub-02.html"))
    // The last part has no image of the modality, which is no failure of the part.
    let last = try space.participants("--part-id", "3", "--num-parts", "4")
    #expect(last.status == 0 && last.errors.contains("warning: sub-04: no T1w image, left out"))
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Scripts/slurm-array.sh").path
    let program = try RestoreProcess.executable().deletingLastPathComponent().path
    for part in ["1", "2"] {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/bin/bash")
      process.arguments = [script, "raw", "out", "./tiny"]
      process.currentDirectoryURL = URL(fileURLWithPath: space.folder)
      process.environment = [
        "PATH": "\(program):/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": part,
        "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_CPUS_PER_TASK": "1",
      ]
      process.standardError = FileHandle.nullDevice
      process.standardOutput = FileHandle.nullDevice
      try process.run()
      process.waitUntilExit()
      #expect(process.terminationStatus == 0)
    }
    for label in 1...3 { #expect(space.exists("out/sub-0\(label).html")) }
  }

  @Test("two jobs that share the folder write one description, that of a single job")
  func shared() throws {
    let space = try two()
    let jobs = try ["01", "02"].map { label in
      try space.start([
        "bids", "raw", "out", "participant", "-m", "./tiny", "--participant-label", label,
      ])
    }
    for outcome in jobs.map({ $0.finish() }) { #expect(outcome.status == 0, "\(outcome.errors)") }
    #expect(space.exists("out/sub-01.html") && space.exists("out/sub-02.html"))
    let alone = try space.restore("bids", "raw", "alone", "participant", "-m", "./tiny")
    #expect(alone.status == 0)
    #expect(
      try space.data("out/dataset_description.json")
        == space.data("alone/dataset_description.json"))
    let identity = try space.identity("out/dataset_description.json")
    #expect(try space.participants("--overwrite").status == 0)
    #expect(try space.identity("out/dataset_description.json") == identity)
    #expect(space.temporaries.isEmpty)
  }

  // MARK: - Group

  @Test("the table has a row for each image, and its columns are described")
  func group() throws {
    let space = try Workspace.bids(Self.visits)
    func group(_ options: String...) throws -> RestoreProcess.Outcome {
      try space.start(["bids", "raw", "out", "group", "-m", "./tiny"] + options).finish()
    }
    let early = try group()
    #expect(early.status == 66 && early.headline == "results are missing (out)")
    #expect(!space.exists("out"))
    #expect(try space.participants("--participant-label", "01").status == 0)
    let partial = try group()
    #expect(partial.status == 66, "\(partial.errors)")
    #expect(partial.errors.contains("1 of 2 participants are not done: sub-02"))
    #expect(!space.exists("out/group_metrics.tsv"))
    let rest = try group("--continue-on-error")
    #expect(rest.status == 2 && rest.output.hasPrefix("out/group_metrics.tsv\n"))
    #expect(try space.table("out/group_metrics.tsv").count == 3)
    #expect(try space.participants().status == 0)
    let before = try space.contents(of: "raw")
    let all = try group("--json")
    #expect(all.status == 0, "\(all.errors)")
    #expect(try all.json()["rows"] as? Int == 4)
    #expect(try space.contents(of: "raw") == before)
    let rows = try space.table("out/group_metrics.tsv")
    #expect(rows.map { $0["participant_id"] } == ["sub-01", "sub-01", "sub-01", "sub-02"])
    #expect(rows.map { $0["session_id"] } == ["ses-A", "ses-A", "ses-B", "n/a"])
    #expect(rows[3]["source"] == Self.visits[3] && rows[3]["structure"] == "n/a")
    let input = try NIfTI.read(space.path("raw/" + Self.visits[3])).volume.voxels
    let name = try #require(rows[3]["output"])
    let output = try NIfTI.read(space.path("out/" + name)).volume.voxels
    let squares = zip(input, output).map { pow(Double($1) - Double($0), 2) }
    let change = (squares.reduce(0, +) / Double(squares.count)).squareRoot()
    let told = try #require(rows[3]["change_rms"].flatMap(Double.init))
    #expect(abs(told - change) < 1e-4 * change, "\(told) \(change)")
    let highest = try #require(rows[3]["input_max"].flatMap(Double.init))
    #expect(abs(highest - Double(input.max() ?? 0)) < 1e-2)
    #expect(rows[3]["nonfinite_voxels"] == "0" && rows[3]["volume_ml"] == "n/a")
    #expect((rows[3]["seconds"].flatMap(Double.init) ?? 0) > 0)
    let described = try space.json("out/group_metrics.json")
    #expect(Set(described.keys) == Set(rows[0].keys))
  }
}
