import Foundation
import Imaging
import Testing

@Suite("restore train", .serialized)
struct TrainCommandTests {
  /// A configuration of three steps on two tiny volumes.
  private func workspace() throws -> Workspace {
    let space = try Workspace()
    try space.image("a.nii", space.volume(x: 24, y: 20))
    try space.image("b.nii", space.volume(x: 24, y: 20, seed: 2))
    try space.write(
      """
      {"train": [{"subject": "a", "files": ["a.nii"]}],
       "validation": [{"subject": "b", "files": ["b.nii"]}]}
      """, to: "split.json")
    try space.write(
      """
      model: {arch: restore-rwkv, preset: light, name: trained}
      data: {split: split.json, crop: 16}
      train: {iterations: 3, batch: 1, validate_every: 2, validation_slices: 1, log_every: 1}
      checkpoint: {every_steps: 1}
      """, to: "config.yaml")
    return space
  }

  @Test("a run that was cut continues to the bit and exports a bundle")
  func resume() throws {
    let space = try workspace()
    let whole = try space.restore("train", "-c", "config.yaml", "-o", "whole")
    #expect(whole.status == 0, "\(whole.errors)")
    #expect(whole.output == "finished\nbundle: whole/bundle\n")
    let cut = try space.restore("train", "-c", "config.yaml", "-o", "cut", "--max-minutes", "0")
    #expect(cut.status == 0 && cut.output.hasPrefix("stopped"), "\(cut.errors)")
    let refused = try space.restore("train", "-c", "config.yaml", "-o", "cut")
    #expect(refused.status == 73)
    let resumed = try space.restore("train", "-c", "config.yaml", "-o", "cut", "--resume")
    #expect(resumed.status == 0, "\(resumed.errors)")
    for file in ["checkpoints/latest.safetensors", "checkpoints/best.safetensors"] {
      #expect(try space.data("whole/\(file)") == space.data("cut/\(file)"), "\(file)")
    }
    #expect(
      try space.data("whole/bundle/weights.safetensors")
        == space.data("cut/bundle/weights.safetensors"))
    let verified = try space.restore("models", "verify", "whole/bundle")
    #expect(verified.status == 0 && verified.output == "trained 1.0.0: ok\n", "\(verified.errors)")
  }

  @Test(
    "weights named on the command line are relative to the working folder and count before the file's"
  )
  func initialWeights() throws {
    let space = try workspace()
    #expect(try space.restore("train", "-c", "config.yaml", "-o", "first").status == 0)
    let arguments = ["train", "-c", "sub/config.yaml", "--iterations", "1"]
    try FileManager.default.createDirectory(
      atPath: space.path("sub"), withIntermediateDirectories: true)
    let text = String(decoding: try space.data("config.yaml"), as: UTF8.self)
      .replacingOccurrences(of: "split.json", with: "../split.json")
    try space.write(
      text.replacingOccurrences(
        of: "name: trained", with: "name: trained, initial_weights: absent.safetensors"),
      to: "sub/config.yaml")
    let absent = try space.start(arguments + ["-o", "absent"]).finish()
    #expect(absent.status == 66, "\(absent.errors)")
    let weights = "first/bundle/weights.safetensors"
    let second = try space.start(
      arguments + ["-o", "second", "--initial-weights", weights]
    ).finish()
    #expect(second.status == 0, "\(second.errors)")
    let mean = try space.start(
      arguments + [
        "-o", "mean", "--initial-weights", weights, "--initial-weights",
        "second/bundle/weights.safetensors",
      ]
    ).finish()
    #expect(mean.status == 0, "\(mean.errors)")
    let seeded = try space.start(
      arguments + ["-o", "seeded", "--initial-weights", weights, "--seed", "77"]
    ).finish()
    #expect(seeded.status == 0, "\(seeded.errors)")
    #expect(try space.json("seeded/config.json")["seed"] as? Int == 77)
    let written = String(decoding: try space.data("mean/config.json"), as: UTF8.self)
    #expect(written.contains("first/bundle") && written.contains("second/bundle"))
    #expect(
      try space.data("mean/bundle/weights.safetensors")
        != space.data("second/bundle/weights.safetensors"))
  }

  @Test("two programs do not train in one folder")
  func twoPrograms() throws {
    let space = try workspace()
    let long = try space.start(
      ["train", "-c", "config.yaml", "-o", "run", "--iterations", "100000"])
    defer { long.process.terminate() }
    while !space.exists("run/log.jsonl"), long.process.isRunning { usleep(20_000) }
    let second = try space.restore(
      "train", "-c", "config.yaml", "-o", "run", "--iterations", "100000", "--resume")
    #expect(second.status == 73 && second.headline == "run folder in use (run)", "\(second.errors)")
    long.process.terminate()
    #expect(long.finish().status == 143)
  }

  @Test("a signal leaves a checkpoint from which the run goes on")
  func interrupted() throws {
    let space = try workspace()
    let text = String(decoding: try space.data("config.yaml"), as: UTF8.self)
    try space.write(
      text.replacingOccurrences(of: "iterations: 3", with: "iterations: 100000"),
      to: "config.yaml")
    let run = try space.start(["train", "-c", "config.yaml", "-o", "run"])
    #expect(run.waits(for: "step 1/"), "\(run.errors)")
    kill(run.process.processIdentifier, SIGINT)
    let outcome = run.finish()
    #expect(outcome.status == 130, "\(outcome.errors)")
    #expect(outcome.errors.contains("--resume"))
    #expect(space.exists("run/checkpoints/state-latest.safetensors"))
    #expect(space.temporaries.isEmpty)
  }

  @Test(
    "an empty run folder and too many threads are wrong calls; endless runs tell their progress")
  func extremes() throws {
    let space = try workspace()
    for arguments in [
      ["train", "-c", "config.yaml", "-o", ""], ["train-echo", "-o", ""],
      ["train", "-c", "config.yaml", "-o", "run", "-t", "5000"],
    ] {
      let outcome = try space.start(arguments).finish()
      #expect(outcome.status == 64, "\(arguments): \(outcome.errors)")
    }
    #expect(!space.exists("run"))
    let endless = try space.restore(
      "train", "-c", "config.yaml", "-o", "run", "--iterations", "\(Int.max)", "--max-minutes", "0"
    )
    #expect(endless.status == 0 && endless.errors.contains("ETA"), "\(endless.errors)")
  }

  @Test("wrong keys and values are refused with the nearest key")
  func configuration() throws {
    let space = try workspace()
    for (text, message) in [
      ("trian: {iterations: 3}", "unknown"), ("train: {iterations: many}", "invalid"),
      ("train: [", ""),
    ] {
      try space.write(text, to: "wrong.yaml")
      let outcome = try space.restore("train", "-c", "wrong.yaml", "-o", "run")
      #expect(outcome.status == 78, "\(text): \(outcome.errors)")
      #expect(outcome.headline?.hasPrefix(message) == true, "\(outcome.errors)")
      #expect(!space.exists("run"))
    }
    try space.write("trian: {iterations: 3}", to: "wrong.yaml")
    let misspelt = try space.restore("train", "-c", "wrong.yaml", "-o", "run")
    #expect(misspelt.errors.contains("did you mean `train`"), "\(misspelt.errors)")
    let printed = try space.restore("train", "-c", "config.yaml", "--print-config")
    #expect(printed.status == 0 && printed.output.contains("\"iterations\" : 3"))
  }
}
