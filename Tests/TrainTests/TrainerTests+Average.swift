import Foundation
import Layers
import TensorCore
import Testing
import Train

extension TrainerTests {
  @Test("a running mean is of the norms' statistics too, and counts are as they are")
  func averagedStatistics() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var configuration = try configuration(folder, steps: 4)
    configuration.model.arch = "dncnn"
    configuration.model.preset = "light"
    configuration.optim.ema = 0.9
    let trainer = try Trainer(configuration, folder: folder + "/run", resume: false)
    #expect(try trainer.run(shouldStop: { false }, report: { _ in }) == .finished)
    let checkpoints = folder + "/run/checkpoints/"
    let latest = try Safetensors(contentsOf: checkpoints + "latest.safetensors")
    let state = try Safetensors(contentsOf: checkpoints + "state-latest.safetensors")
    func values(_ file: Safetensors, _ name: String) -> [Float]? {
      file.tensor(named: name)?.values
    }
    var seen = Set<String>()
    for entry in latest.entries {
      let (own, mean) = (values(state, "model." + entry.name), values(state, "ema." + entry.name))
      let isCount = entry.name.hasSuffix("num_batches_tracked")
      #expect(values(latest, entry.name) == (isCount ? own : mean), "\(entry.name)")
      if entry.name.hasSuffix("running_mean") || entry.name.hasSuffix("running_var") {
        #expect(own != mean, "\(entry.name)")
        seen.insert(String(entry.name.suffix(4)))
      }
      if isCount { #expect(own == [4] && mean == nil) }
    }
    #expect(seen == ["mean", "_var"])
  }
}
