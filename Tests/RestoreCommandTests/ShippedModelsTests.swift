import Foundation
import Imaging
import Testing

@Suite("shipped models")
struct ShippedModelsTests {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  private static let folder = root.appendingPathComponent("data/models")

  private static let names =
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
    .filter { !$0.hasPrefix(".") }.sorted()

  @Test(
    "each card has the commands that repeat its training, of files that are there", arguments: names
  )
  func repeats(name: String) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = [Self.root.path + "/Scripts/retrain.sh", "--print", name]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    var made = Set<String>()
    var trainings = 0
    for command in text.replacingOccurrences(of: "\\\n", with: " ").split(separator: "\n") {
      let words = command.split(separator: " ").map(String.init)
      func values(of option: String) -> [String] {
        words.indices.dropLast().filter { words[$0] == option }.map { words[$0 + 1] }
      }
      if words[0] == "git" {
        #expect(words.count == 5 && words[1] == "show" && words[2].contains(":data/models/"))
        made.insert(words[4])
        continue
      }
      if words[0] == "python" {
        #expect(
          FileManager.default.fileExists(atPath: Self.root.path + "/" + words[1]), "\(command)")
        for file in words.dropFirst(3) where file.hasSuffix(".safetensors") {
          #expect(made.contains(String(file.prefix { $0 != "/" })), "\(file)")
        }
        continue
      }
      #expect(words[0] == "restore", "\(command)")
      for file in values(of: "-c") {
        trainings += 1
        #expect(
          FileManager.default.fileExists(atPath: Self.root.path + "/" + file), "\(file)")
      }
      // Each part starts from what an earlier command made.
      for file in values(of: "--initial-weights") {
        #expect(made.contains(String(file.prefix { $0 != "/" })), "\(file)")
      }
      made.formUnion(values(of: "-o"))
    }
    #expect(trainings > 0)
  }

  @Test("super-resolution takes the mean over all symmetries, unless told otherwise")
  func symmetries() throws {
    let space = try Workspace()
    try space.image("in.nii")
    func voxels(_ name: String, _ options: String...) throws -> [Float] {
      let model = Self.folder.appendingPathComponent("mri-sr-x2").path
      let process = try space.start(
        ["run", "-i", "in.nii", "-o", "\(name).nii", "-m", model] + options)
      let outcome = process.finish()
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(outcome.errors.contains("eight symmetries") == options.isEmpty)
      return try NIfTI.read(space.path("\(name).nii")).volume.voxels
    }
    let byDefault = try voxels("default")
    #expect(try voxels("all", "--tta", "symmetries") == byDefault)
    #expect(try voxels("none", "--tta", "none") != byDefault)
    #expect(try voxels("flips", "--tta", "flip") != byDefault)
  }

  @Test("the models are where the tests look for them")
  func present() { #expect(Self.names.contains("mri-denoise")) }

  @Test(
    "each loads, has the checksum of its card, a card, a licence and how it was made",
    arguments: names)
  func whole(name: String) throws {
    let space = try Workspace()
    let path = Self.folder.appendingPathComponent(name)
    let verified = try space.restore("models", "verify", path.path)
    #expect(verified.status == 0, "\(verified.errors)")
    let listed = try space.restore(
      "models", "list", "--json", environment: ["RESTORE_MODELS": Self.folder.path])
    let entries = try #require(try listed.json()["models"] as? [[String: Any]])
    #expect(entries.contains { $0["name"] as? String == name })
    let card = try String(contentsOf: path.appendingPathComponent("README.md"), encoding: .utf8)
    #expect(card.hasPrefix("# \(name)\n"))
    #expect(card.contains("restore train"), "the card says how to repeat the training")
    let licence = try String(contentsOf: path.appendingPathComponent("LICENSE"), encoding: .utf8)
    #expect(licence.contains("Apache License"))
    // Damaged weights are noticed.
    let copy = space.path(name)
    try FileManager.default.copyItem(atPath: path.path, toPath: copy)
    let weights = URL(fileURLWithPath: copy + "/weights.safetensors")
    var bytes = try Data(contentsOf: weights)
    bytes[bytes.count / 2] ^= 1
    try bytes.write(to: weights)
    let damaged = try space.restore("models", "verify", copy)
    #expect(damaged.status == 78 || damaged.status == 65, "\(damaged.status): \(damaged.errors)")
  }
}
