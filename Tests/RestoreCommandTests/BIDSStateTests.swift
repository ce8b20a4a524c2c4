import Foundation
import Imaging
import Testing

@Suite("restore bids: what is done, done again and refused")
struct BIDSStateTests {
  private static let images = ["sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz"]
  private static let results = ["01", "02"].map {
    "out/sub-\($0)/anat/sub-\($0)_desc-restored_T1w.nii.gz"
  }

  private func workspace() throws -> Workspace { try Workspace.bids(Self.images) }

  // MARK: - Done and not done

  @Test("who is done is left out and said so; who is not is done again, whatever a killed run left")
  func again() throws {
    let space = try workspace()
    #expect(try space.participants().status == 0)
    let first = try Self.results.map(space.identity)
    let skipping = try space.participants()
    #expect(skipping.status == 0 && skipping.output.isEmpty, "\(skipping.errors)")
    #expect(skipping.errors.contains("skipped, done: out/sub-01.html"))
    #expect(skipping.errors.contains("skipped, done: out/sub-02.html"))
    #expect(try Self.results.map(space.identity) == first)
    // Without the last file: a half-written image without description is no obstacle.
    for name in ["out/sub-02.html", "out/sub-02/anat/sub-02_desc-restored_T1w.json"] {
      try FileManager.default.removeItem(atPath: space.path(name))
    }
    try space.write("half", to: Self.results[1])
    let redo = try space.participants()
    #expect(redo.status == 0 && redo.errors.contains("skipped, done: out/sub-01.html"))
    #expect(!redo.errors.contains("skipped, done: out/sub-02.html"))
    #expect(try space.identity(Self.results[0]) == first[0])
    #expect(try NIfTI.read(space.path(Self.results[1])).volume.voxels.count == 360)
    // A page without its images says nothing either.
    try FileManager.default.removeItem(atPath: space.path(Self.results[0]))
    #expect(try space.participants().output.contains("sub-01.html"))
    let second = try Self.results.map(space.identity)
    #expect(try space.participants("--skip-existing").status == 0)
    #expect(try Self.results.map(space.identity) == second)
    #expect(try space.participants("--overwrite").status == 0)
    #expect(try Self.results.map(space.identity).allSatisfy { !second.contains($0) })
    #expect(space.temporaries.isEmpty)
  }

  @Test("a failed image leaves no file and no page, and the others are made if wanted")
  func failures() throws {
    let space = try Workspace.bids(
      Self.images + ["sub-01/anat/sub-01_run-2_T1w.nii.gz", "sub-03/anat/sub-03_T1w.nii.gz"])
    let whole = try space.data("raw/" + Self.images[0])
    try space.write(whole.dropLast(400), to: "raw/" + Self.images[0])
    let stopping = try space.participants()
    #expect(stopping.status == 65 && !space.exists("out/sub-02.html"), "\(stopping.errors)")
    #expect(!space.exists(Self.results[0]) && !space.exists("out/sub-01.html"))
    let going = try space.participants("--continue-on-error")
    #expect(going.status == 2 && space.exists("out/sub-03.html"), "\(going.errors)")
    #expect(space.exists("out/sub-01/anat/sub-01_run-2_desc-restored_T1w.nii.gz"))
    #expect(!space.exists(Self.results[0]) && !space.exists("out/sub-01.html"))
    let names = try FileManager.default.contentsOfDirectory(atPath: space.path("out/logs"))
    let logs = try names.filter { $0.hasPrefix("sub-01") }.map {
      String(decoding: try space.data("out/logs/" + $0), as: UTF8.self)
    }
    #expect(logs.count == 2)
    for log in logs {
      #expect(log.contains("error: image data ends early (BIDS_DIR/sub-01/"), "\(log)")
      #expect(log.contains(" not done"))
    }
    try space.write(whole, to: "raw/" + Self.images[0])
    let last = try space.participants()
    #expect(last.status == 0 && last.output.contains("sub-01.html"), "\(last.errors)")
    #expect(!last.output.contains("sub-02.html") && space.exists(Self.results[0]))
    // What fails when it is done again leaves nothing of what was.
    try space.write(whole.dropLast(400), to: "raw/" + Self.images[0])
    #expect(try space.participants("--overwrite").status == 65)
    #expect(!space.exists(Self.results[0]) && !space.exists("out/sub-01.html"))
    #expect(space.temporaries.isEmpty)
  }

  @Test("a signal ends a run without a page; the example for Slurm then queues the task again")
  func signals() throws {
    let space = try Workspace.bids([])
    try space.makeFolder(of: "raw/" + Self.images[0])
    try space.image("raw/" + Self.images[0], space.volume(x: 96, y: 96, z: 600))
    try space.makeFolder(of: "bin/x")
    try space.write("#!/bin/sh\necho \"$@\" > queued\n", to: "bin/scontrol")
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = [
      root.appendingPathComponent("Scripts/slurm-array.sh").path, "raw", "out", "./tiny",
    ]
    process.currentDirectoryURL = URL(fileURLWithPath: space.folder)
    let program = try RestoreProcess.executable().deletingLastPathComponent().path
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o755], ofItemAtPath: space.path("bin/scontrol"))
    process.environment = [
      "PATH": "\(space.path("bin")):\(program):/usr/bin:/bin", "SLURM_JOB_ID": "17",
      "SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_COUNT": "1",
      "RESTORE_THREADS": "1",
    ]
    try space.write("", to: "messages")
    process.standardError = try FileHandle(
      forWritingTo: URL(fileURLWithPath: space.path("messages")))
    process.standardOutput = FileHandle.nullDevice
    // A thread of the tests may block the signal, and the shell would inherit that.
    var blocked = sigset_t()
    sigemptyset(&blocked)
    sigaddset(&blocked, SIGTERM)
    pthread_sigmask(SIG_UNBLOCK, &blocked, nil)
    try process.run()
    for _ in 0..<2000 where process.isRunning {
      if String(decoding: try space.data("messages"), as: UTF8.self).contains("slice ") { break }
      Thread.sleep(forTimeInterval: 0.01)
    }
    kill(process.processIdentifier, SIGTERM)
    process.waitUntilExit()
    #expect(process.terminationStatus == 143)
    #expect(String(decoding: try space.data("queued"), as: UTF8.self) == "requeue 17\n")
    #expect(!space.exists("out/sub-01.html") && !space.exists(Self.results[0]))
    #expect(space.exists("out/dataset_description.json") && space.temporaries.isEmpty)
  }

  // MARK: - Refusals

  @Test(
    "folders that hold or would hold raw data are refused before anything is written",
    arguments: [
      "raw", "raw/", "./raw/sub-01", "raw/other", "link", "link/sub-01/x", "raw/x/../code",
    ])
  func places(_ output: String) throws {
    let space = try workspace()
    try FileManager.default.createSymbolicLink(
      atPath: space.path("link"), withDestinationPath: space.path("raw"))
    let before = try space.contents(of: "raw")
    let outcome = try space.restore("bids", "raw", output, "participant", "-m", "./tiny")
    #expect(outcome.status == 73, "\(outcome.errors)")
    #expect(outcome.headline?.hasPrefix("refusing to write into the dataset (") == true)
    #expect(try space.contents(of: "raw") == before)
  }

  @Test("derivatives are the place in the dataset; links that lead out of them are not")
  func derivatives() throws {
    let space = try workspace()
    let inner = try space.restore(
      "bids", "raw", "raw/derivatives/restore", "participant", "-m", "./tiny")
    #expect(inner.status == 0, "\(inner.errors)")
    #expect(space.exists("raw/derivatives/restore/sub-01.html"))
    // The results are none of the dataset's own images.
    let again = try space.restore("bids", "raw", "out", "participant", "-m", "./tiny")
    #expect(again.status == 0 && space.files(of: "out").count == 7, "\(space.files(of: "out"))")
    try space.makeFolder(of: "linked/x")
    try FileManager.default.createSymbolicLink(
      atPath: space.path("linked/sub-01"), withDestinationPath: space.path("raw/sub-01"))
    let before = try space.contents(of: "raw/sub-01")
    let linked = try space.restore("bids", "raw", "linked", "participant", "-m", "./tiny")
    #expect(linked.status == 73, "\(linked.errors)")
    #expect(try space.contents(of: "raw/sub-01") == before)
  }

  @Test("what is not as BIDS asks is told with the file's name; what can be left out is, if wanted")
  func validation() throws {
    let space = try workspace()
    func refused(_ code: Int32, _ headline: String, _ cause: String) throws {
      let outcome = try space.participants()
      #expect(outcome.status == code && outcome.headline == headline, "\(outcome.errors)")
      #expect(outcome.errors.contains(cause), "\(outcome.errors)")
      #expect(!space.exists("out"))
    }
    let description = "raw/dataset_description.json"
    for (text, cause) in [
      ("{", "not a JSON object"), (#"{"Name": "x"}"#, "no text for BIDSVersion"),
      (#"{"BIDSVersion": "1.8.0"}"#, "no text for Name"),
    ] {
      try space.write(text, to: description)
      try refused(65, "not as BIDS asks (\(description))", cause)
    }
    try FileManager.default.removeItem(atPath: space.path(description))
    try refused(66, "no such file (\(description))", "every BIDS dataset has it")
    try space.write(#"{"Name": "x", "BIDSVersion": "1.8.0"}"#, to: description)
    try space.image("raw/sub-02/anat/sub-03_T1w.nii.gz")
    try space.image("raw/sub-02/anat/scan.nii.gz")
    try refused(
      65, "not as BIDS asks (sub-02/anat/scan.nii.gz)", "does not begin with sub-; and 1 more")
    #expect(try space.participants("--participant-label", "01").status == 0)
    try FileManager.default.removeItem(atPath: space.path(description))
    let skipping = try space.participants("--skip-bids-validation")
    #expect(skipping.status == 0 && space.exists("out/sub-02.html"), "\(skipping.errors)")
    #expect(skipping.errors.contains("warning: left out: sub-02/anat/sub-03_T1w.nii.gz"))
    #expect(space.files(of: "out").filter { $0.hasSuffix(".nii.gz") }.count == 2)
  }

  @Test(
    "calls that cannot be meant, and what is not there",
    arguments: [
      (["--participant-label", "07"], 66, "no such participant (sub-07)", "sub-01, sub-02"),
      (["--session-label", "A"], 66, "no such session (ses-A)", "the dataset has no sessions"),
      (["--modality", "T2w"], 66, "no images found in raw", "there are T1w"),
      (["--modality", "T2-w"], 64, "--modality T2-w", "letters and digits"),
      (["--no-sidecar"], 64, "--no-sidecar", "the level group"),
      (["--mask", "m.nii"], 64, "--mask", "restore run"),
      (["--probabilities"], 64, "--probabilities does not fit the model (./tiny)", "images"),
      (["--num-parts", "2", "--part-id", "2"], 64, "part-id must be 0..N-1", "2 of 2"),
      (["--overwrite", "--skip-existing"], 64, "--overwrite and --skip-existing", "exclude"),
      (["-m", "none"], 66, "no such model (none)", "looked in"),
    ])
  func calls(_ options: [String], _ code: Int32, _ headline: String, _ text: String) throws {
    let space = try workspace()
    let model = options.contains("-m") ? [] : ["-m", "./tiny"]
    let outcome = try space.start(["bids", "raw", "out", "participant"] + model + options).finish()
    #expect(outcome.status == code && outcome.headline == headline, "\(outcome.errors)")
    #expect(outcome.errors.contains(text), "\(outcome.errors)")
    #expect(!space.exists("out"))
  }

  @Test("folders that are no dataset, and levels that there are not")
  func folders() throws {
    let space = try workspace()
    try space.makeFolder(of: "empty/x")
    for (arguments, code, headline) in [
      (["none", "out", "participant"], 66, "no such file (none)"),
      (["empty", "out", "participant"], 66, "no images found in empty"),
      (["raw", "out", "session"], 64, nil), (["raw", "out"], 64, nil),
      (["raw", "out", "group", "--dry-run"], 64, nil),
      (["raw", "raw/dataset_description.json/x", "participant"], 73, nil),
      (["raw", "tiny/model.json", "participant"], 73, nil),
    ] as [([String], Int32, String?)] {
      let outcome = try space.start(["bids"] + arguments + ["-m", "./tiny"]).finish()
      #expect(outcome.status == code, "\(arguments): \(outcome.errors)")
      if let headline { #expect(outcome.headline == headline) }
    }
    // Who has no image is left out, unless asked for by name.
    try space.makeFolder(of: "raw/sub-03/anat/x")
    let rest = try space.participants()
    #expect(rest.status == 0 && rest.errors.contains("warning: sub-03: no T1w image, left out"))
    let asked = try space.participants("--participant-label", "01", "03")
    #expect(asked.status == 66 && asked.errors.contains("sub-03: no T1w image"))
  }

  @Test("models of clips and photographs do not fit", arguments: ["echo-gdkvm", "optic-disc-cup"])
  func models(_ name: String) throws {
    let space = try workspace()
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let model = root.appendingPathComponent("data/models/\(name)").path
    let outcome = try space.participants(model: model)
    #expect(outcome.status == 64, "\(outcome.errors)")
    #expect(outcome.headline == "model does not fit bids (\(model))" && !space.exists("out"))
  }

  @Test("what others left is not replaced, unless --overwrite, and never in their datasets")
  func foreign() throws {
    let space = try workspace()
    // Another program's dataset.
    try space.makeFolder(of: "other/x")
    try space.write(
      #"{"Name": "x", "GeneratedBy": [{"Name": "else"}]}"#, to: "other/dataset_description.json")
    let other = try space.restore(
      "bids", "raw", "other", "participant", "-m", "./tiny", "--overwrite")
    #expect(other.status == 73 && space.files(of: "other").count == 1, "\(other.errors)")
    // Files of this name in a folder without description.
    for name in [Self.results[0], "out/sub-02.html"] {
      try space.makeFolder(of: name)
      try space.write("mine", to: name)
    }
    let image = try space.participants("--participant-label", "01")
    #expect(image.status == 73 && image.headline == "output exists (\(Self.results[0]))")
    #expect(try space.participants("--continue-on-error").status == 73)
    #expect(space.files(of: "out").count == 2)
    let page = try space.participants("--participant-label", "02")
    #expect(page.status == 73 && page.headline == "output exists (out/sub-02.html)")
    #expect(try space.data(Self.results[0]) == Data("mine".utf8))
    #expect(try space.data("out/sub-02.html") == Data("mine".utf8))
    #expect(try space.participants("--overwrite").status == 0)
    // Results of another model: neither taken for done nor replaced.
    let sidecar = "out/sub-01/anat/sub-01_desc-restored_T1w.json"
    let text = String(decoding: try space.data(sidecar), as: UTF8.self)
    try space.write(
      text.replacingOccurrences(of: "\"weightsSHA256\" : \"", with: "\"weightsSHA256\" : \"0"),
      to: sidecar)
    let model = try space.participants()
    #expect(model.status == 73, "\(model.errors)")
    #expect(model.errors.contains("it was made by tiny 1.2.3"), "\(model.errors)")
    #expect(try space.participants("--overwrite").status == 0)
  }
}
