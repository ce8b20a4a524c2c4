import Foundation
import Layers
import Models
import Testing
import Train

extension StrokeTrainerTests {
  @Test(
    "a state that no run can have written is refused, and traps nowhere",
    arguments: [
      ("step", "-1"), ("step", "31"), ("step", "9223372036854775807"), ("stage", "-1"),
      ("stage", "5"), ("seconds", "nan"), ("seconds", "-1"),
    ])
  func states(key: String, value: String) throws {
    let folder = try Self.dataset()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let configuration = Self.configuration(folder) { $0.system.path.channels = 4 }
    let run = folder + "/run"
    let first = try StrokeTrainer(configuration, folder: run, resume: false)
    #expect(try !Self.run(first, steps: 1).isFinished)
    let path = run + "/latest.safetensors"
    let state = try Safetensors(contentsOf: path)
    var metadata = state.metadata
    #expect(metadata.updateValue(value, forKey: key) != nil)
    var writer = SafetensorsWriter(metadata: metadata)
    for entry in state.entries {
      writer.add(try #require(state.tensor(named: entry.name)), named: entry.name)
    }
    try writer.encoded().write(to: URL(fileURLWithPath: path))
    #expect(
      throws: TrainingError.cannotResume(
        folder: run, reason: "latest.safetensors is not the state of such a run")
    ) { try StrokeTrainer(configuration, folder: run, resume: true) }
  }
}
