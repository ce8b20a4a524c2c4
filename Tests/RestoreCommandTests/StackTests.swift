import Foundation
import Imaging
import Testing

@Suite("Folders of PNG slices")
struct StackTests {
  /// A folder `stack` with eleven slices of 16 bits; slice10 comes after slice9.
  private func workspace() throws -> Workspace {
    let space = try Workspace()
    try FileManager.default.createDirectory(
      atPath: space.path("stack"), withIntermediateDirectories: true)
    for index in 0..<11 {
      try PNGImage(
        samples: (0..<16 * 24).map { UInt16(1000 + 50 * ($0 % 24) + 900 * index) }, height: 16,
        width: 24, colour: .grey, bitDepth: 16
      ).write(to: space.path("stack/slice\(index).png"))
    }
    return space
  }

  @Test("are one volume, and come out as such a folder")
  func run() throws {
    let space = try workspace()
    let outcome = try space.restore(
      "run", "-i", "stack", "-o", "out", "-m", "./tiny", "--spacing", "1,1,3",
      "--clip-to-input-range")
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.output == "stack -> out\n")
    #expect(outcome.errors.contains("slice 11/11"))
    let names = try FileManager.default.contentsOfDirectory(atPath: space.path("out")).sorted()
    #expect(names == (0..<11).map { "slice\($0).png" }.sorted())
    let (input, output) = try (
      PNGVolume(stackIn: space.path("stack")), PNGVolume(stackIn: space.path("out"))
    )
    #expect(output.bitDepth == 16 && output.volume.size == input.volume.size)
    #expect(output.volume.voxels != input.volume.voxels)
    #expect(try space.json("out.json")["Sources"] as? [String] == ["stack"])
    #expect(space.temporaries.isEmpty)
  }

  @Test("are written over neither the input nor, unasked, another stack")
  func refused() throws {
    let space = try workspace()
    let run = ["run", "-i", "stack/", "-m", "./tiny", "-o"]
    #expect(try space.start(run + ["out"]).finish().status == 0)
    let before = try space.data("out/slice3.png")
    for (output, options, code, message) in [
      ("out", [], Int32(73), "output exists"), ("out.nii", [], 65, "unsupported file format"),
      ("stack", ["--overwrite"], 73, "refusing to overwrite input"),
    ] {
      let outcome = try space.start(run + [output] + options).finish()
      #expect(outcome.status == code)
      #expect(outcome.headline?.hasPrefix(message) == true, "\(outcome.errors)")
    }
    #expect(try space.start(run + ["out", "--overwrite"]).finish().status == 0)
    #expect(try space.data("out/slice3.png") == before)
    // A pattern takes the same files one by one.
    let single = try space.restore("run", "-i", "stack/*.png", "-o", "each", "-m", "./tiny")
    #expect(single.status == 0 && single.output.split(separator: "\n").count == 11)
  }

  @Test(
    "take nothing away but themselves when what belongs to them fails, and are done when complete")
  func foreignFiles() throws {
    let space = try workspace()
    let run = ["run", "-i", "stack", "-m", "./tiny", "-o", "out"]
    try FileManager.default.createDirectory(
      atPath: space.path("out"), withIntermediateDirectories: true)
    try space.write("mine", to: "out/notes.txt")
    // The picture cannot be written: its folder is one that only looks writable.
    let failed = try space.start(run + ["--montage", "/dev/fd/m.png"]).finish()
    #expect(failed.status == 73, "\(failed.errors)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: space.path("out")) == ["notes.txt"])
    // An empty folder, or one with some slices, is not a result.
    let more = try space.start(run + ["--skip-existing"]).finish()
    #expect(more.status == 0 && more.output == "stack -> out\n", "\(more.errors)")
    let again = try space.start(run + ["--skip-existing"]).finish()
    #expect(again.status == 0 && again.output.isEmpty && again.errors.contains("skipped, exists"))
    #expect(space.exists("out/notes.txt") && space.temporaries.isEmpty)
  }

  @Test("do not come among other slices, which would be taken for theirs")
  func otherSlices() throws {
    let space = try workspace()
    try FileManager.default.createDirectory(
      atPath: space.path("out"), withIntermediateDirectories: true)
    for name in ["old1.png", "old2.png"] {
      try FileManager.default.copyItem(
        atPath: space.path("stack/slice1.png"), toPath: space.path("out/\(name)"))
    }
    try space.image("v.nii")
    for arguments in [
      ["run", "-i", "stack", "-m", "./tiny", "-o", "out"],
      ["run", "-i", "stack", "-m", "./tiny", "-o", "out/", "--overwrite"],
      ["convert", "v.nii", "out"], ["convert", "v.nii", "out", "--overwrite"],
    ] {
      let outcome = try space.start(arguments).finish()
      #expect(outcome.status == 73, "\(arguments)")
      #expect(
        outcome.headline == "cannot create (out)" || outcome.headline == "cannot create (out/)")
      #expect(outcome.errors.contains("old1.png is there and 1 more PNG files"))
    }
    let names = try FileManager.default.contentsOfDirectory(atPath: space.path("out"))
    #expect(names.sorted() == ["old1.png", "old2.png"])
  }
}
