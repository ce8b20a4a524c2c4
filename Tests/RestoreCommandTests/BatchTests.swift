import Foundation
import Imaging
import Testing

@Suite("Many images")
struct BatchTests {
  /// A folder `in` with three images; the second is damaged if asked for.
  private func folder(damaged: Bool = false) throws -> Workspace {
    let space = try Workspace()
    try FileManager.default.createDirectory(
      atPath: space.path("in"), withIntermediateDirectories: true)
    for name in ["a", "b", "c"] { try space.image("in/\(name).nii") }
    if damaged { try space.write(Data(), to: "in/b.nii") }
    return space
  }

  @Test("a folder is restored into a folder, and again with --skip-existing or --overwrite only")
  func existing() throws {
    let space = try folder()
    let first = try space.restore("run", "-i", "in", "-o", "out", "-m", "./tiny")
    #expect(first.status == 0, "\(first.errors)")
    #expect(["a", "b", "c"].allSatisfy { space.exists("out/\($0).nii") })
    let again = try space.restore("run", "-i", "in", "-o", "out", "-m", "./tiny")
    #expect(again.status == 73)
    #expect(again.headline?.hasPrefix("output exists") == true)
    try space.write("not an image", to: "out/a.nii")
    try FileManager.default.removeItem(atPath: space.path("out/c.nii"))
    let skipping = try space.restore(
      "run", "-i", "in", "-o", "out", "-m", "./tiny", "--skip-existing")
    #expect(skipping.status == 0)
    #expect(skipping.output == "in/c.nii -> out/c.nii\n")
    #expect(try space.data("out/a.nii") == Data("not an image".utf8))
    let replacing = try space.restore(
      "run", "-i", "in", "-o", "out", "-m", "./tiny", "--overwrite")
    #expect(replacing.status == 0)
    #expect(try space.data("out/a.nii") == space.data("out/b.nii"))
  }

  @Test("a failed image ends the run, or with --continue-on-error the code is 2")
  func failures() throws {
    let space = try folder(damaged: true)
    let stopping = try space.restore("run", "-i", "in", "-o", "one", "-m", "./tiny")
    #expect(stopping.status == 65)
    #expect(space.exists("one/a.nii") && !space.exists("one/c.nii"))
    let going = try space.restore(
      "run", "-i", "in", "-o", "two", "-m", "./tiny", "--continue-on-error")
    #expect(going.status == 2)
    #expect(going.headline?.hasPrefix("not a NIfTI file (in/b.nii)") == true)
    #expect(space.exists("two/a.nii") && !space.exists("two/b.nii") && space.exists("two/c.nii"))
    let json = try space.restore(
      "run", "-i", "in", "-o", "three", "-m", "./tiny", "--continue-on-error", "--json")
    #expect(json.status == 2)
    #expect(try json.json()["ok"] as? Bool == false)
    let failing = try space.restore(
      "run", "-i", "in/b.nii", "-o", "four", "-m", "./tiny", "--continue-on-error")
    #expect(failing.status == 65)
  }

  @Test("parts of a job say so first and do every part-th image")
  func parts() throws {
    let space = try folder()
    let first = try space.restore(
      "run", "-i", "in", "-o", "out", "-m", "./tiny", "--part-id", "0", "--num-parts", "2")
    #expect(first.errors.hasPrefix("part 0 of 2: 2 of 3 cases\n"))
    #expect(first.output == "in/a.nii -> out/a.nii\nin/c.nii -> out/c.nii\n")
    let second = try space.restore(
      "run", "-i", "in", "-o", "out", "-m", "./tiny", "--shard", "slurm",
      environment: [
        "SLURM_ARRAY_TASK_ID": "8", "SLURM_ARRAY_TASK_MIN": "7", "SLURM_ARRAY_TASK_COUNT": "2",
      ])
    #expect(second.errors.hasPrefix("part 1 of 2: 1 of 3 cases\n"), "\(second.errors)")
    #expect(second.output == "in/b.nii -> out/b.nii\n")
    let absurd = try space.restore(
      "run", "-i", "in", "-o", "absurd", "-m", "./tiny", "--shard", "slurm",
      environment: ["SLURM_ARRAY_TASK_ID": "\(Int.max)", "SLURM_ARRAY_TASK_MIN": "-1"])
    #expect(absurd.status == 64)
    #expect(absurd.headline == "part-id must be 0..N-1", "\(absurd.errors)")
  }

  @Test("--dry-run says what it needs and writes nothing")
  func dryRun() throws {
    let space = try folder()
    let before = FileManager.default.subpaths(atPath: space.folder)?.sorted()
    for output in ["out", "out.nii"] {
      let outcome = try space.restore(
        "run", "-i", output == "out" ? "in" : "in/a.nii", "-o", output, "-m", "./tiny",
        "--dry-run")
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(outcome.errors.contains("in/a.nii: 3 slices, 1M of memory"), "\(outcome.errors)")
    }
    #expect(FileManager.default.subpaths(atPath: space.folder)?.sorted() == before)
  }

  @Test("patterns and lists name inputs and outputs")
  func lists() throws {
    let space = try folder()
    let pattern = try space.restore("run", "-i", "in/[ab].nii", "-o", "out", "-m", "./tiny")
    #expect(pattern.output == "in/a.nii -> out/a.nii\nin/b.nii -> out/b.nii\n")
    try space.write("in/c.nii\nin/a.nii\n", to: "in.txt")
    try space.write("x.nii\ny.nii\n", to: "out.txt")
    let list = try space.restore("run", "-i", "in.txt", "-o", "out.txt", "-m", "./tiny")
    #expect(list.status == 0, "\(list.errors)")
    #expect(space.exists("x.nii") && space.exists("y.nii"))
    try space.write("x.nii\n", to: "short.txt")
    let short = try space.restore("run", "-i", "in.txt", "-o", "short.txt", "-m", "./tiny")
    #expect(short.status == 64)
  }

  @Test("SIGINT and SIGTERM end a run cleanly", arguments: [SIGINT, SIGTERM])
  func signals(_ signal: Int32) throws {
    let space = try Workspace()
    try space.image("in.nii", space.volume(x: 96, y: 96, z: 600))
    let run = try space.start(["run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny"])
    #expect(run.waits(for: "slice "), "\(run.errors)")
    kill(run.process.processIdentifier, signal)
    let outcome = run.finish()
    #expect(outcome.status == 128 + signal, "\(outcome.errors)")
    #expect(outcome.output.isEmpty)
    #expect(!space.exists("out.nii") && !space.exists("out.json") && space.temporaries.isEmpty)
  }
}
