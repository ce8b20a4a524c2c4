import Foundation
import Models
import Randomness
import Testing

@Suite("Model descriptions")
struct ConfigurationTests {
  private func decode(_ text: String) throws -> ModelDescription {
    try JSONDecoder().decode(ModelDescription.self, from: Data(text.utf8))
  }

  @Test("values that are given are read, others are the paper's")
  func decoding() throws {
    let description = try decode(
      """
      {"arch": "restore-rwkv", "hyperparameters": {"dim": 24, "num_blocks": [1, 2, 3, 4],
       "num_refinement_blocks": 0, "in_channels": 2, "out_channels": 2, "hidden_rate": 3,
       "recurrences": 1, "ln_eps": 1e-6}}
      """)
    var expected = RestoreRWKVConfiguration()
    expected.channels = 24
    expected.blocks = [1, 2, 3, 4]
    expected.refinementBlocks = 0
    expected.inChannels = 2
    expected.outChannels = 2
    expected.hiddenRate = 3
    expected.recurrences = 1
    expected.layerNormEps = 1e-6
    #expect(description.configuration as? RestoreRWKVConfiguration == expected)
    let paper = try decode("{\"arch\": \"restore-rwkv\", \"hyperparameters\": {}}")
    #expect(paper.configuration as? RestoreRWKVConfiguration == .full)
  }

  @Test("a preset's name stands for its values")
  func preset() throws {
    let description = try decode(
      "{\"arch\": \"restore-rwkv\", \"hyperparameters\": \"light\"}")
    #expect(description.configuration as? RestoreRWKVConfiguration == .light)
    let same = try ModelDescription(architecture: "restore-rwkv", preset: "light")
    #expect(same.configuration as? RestoreRWKVConfiguration == .light)
  }

  @Test("what is written reads back the same, with every key")
  func roundTrip() throws {
    let description = try ModelDescription(architecture: "restore-rwkv", preset: "light")
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let data = try encoder.encode(description)
    #expect(
      String(decoding: data, as: UTF8.self)
        == "{\"arch\":\"restore-rwkv\",\"hyperparameters\":{\"dim\":12,\"hidden_rate\":4,"
        + "\"in_channels\":1,\"ln_eps\":1e-05,\"num_blocks\":[4,4,4,4],"
        + "\"num_refinement_blocks\":4,\"out_channels\":1,\"recurrences\":2,\"shift\":\"omni\"}}")
    let again = try JSONDecoder().decode(ModelDescription.self, from: data)
    #expect(again.configuration as? RestoreRWKVConfiguration == .light)
    var generator = SeededGenerator(seed: 0)
    let model = try again.makeModel(using: &generator)
    #expect(model.configuration as? RestoreRWKVConfiguration == .light)
    #expect(model.sizeMultiple == 8)
  }

  @Test("wrong names are refused with the nearest right one")
  func names() {
    #expect(
      throws: ModelError.unknownArchitecture(
        "restore-rwvk", known: ModelCatalogue.architectures.map { $0.architecture },
        nearest: "restore-rwkv")
    ) { try decode("{\"arch\": \"restore-rwvk\", \"hyperparameters\": {}}") }
    #expect(
      throws: ModelError.unknownPreset(
        "tiny", architecture: "restore-rwkv", known: ["full", "light"])
    ) { try decode("{\"arch\": \"restore-rwkv\", \"hyperparameters\": \"tiny\"}") }
    let error = #expect(throws: ModelError.self) {
      try decode("{\"arch\": \"restore-rwkv\", \"hyperparameters\": {\"hiddn_rate\": 4}}")
    }
    #expect(
      error?.description
        == "restore-rwkv has no hyperparameter \"hiddn_rate\" (did you mean \"hidden_rate\"?)")
    #expect(
      throws: ModelError.unknownKey("colour", architecture: "restore-rwkv", nearest: nil)
    ) { try decode("{\"arch\": \"restore-rwkv\", \"hyperparameters\": {\"colour\": 4}}") }
  }

  @Test(
    "values that no network can have are refused by their key",
    arguments: [
      ("dim", "0"), ("dim", "7"), ("dim", "1000000000"), ("num_blocks", "[1,1,1]"),
      ("num_blocks", "[1,1,1,-1]"), ("num_blocks", "[1,1,1,1000]"),
      ("num_refinement_blocks", "-1"), ("in_channels", "0"), ("out_channels", "0"),
      ("in_channels", "2"), ("hidden_rate", "0"), ("recurrences", "-1"), ("ln_eps", "0"),
      ("ln_eps", "-1"),
    ])
  func validation(key: String, value: String) throws {
    let error = #expect(throws: ModelError.self) {
      try decode("{\"arch\": \"restore-rwkv\", \"hyperparameters\": {\"\(key)\": \(value)}}")
    }
    guard case .invalidValue(let found, _, let architecture, _)? = error else {
      Issue.record("unexpected error \(String(describing: error))")
      return
    }
    // Two input channels make the output's channels wrong.
    #expect(found == (key == "in_channels" && value == "2" ? "out_channels" : key))
    #expect(architecture == "restore-rwkv")
  }

  @Test("the paper's and the light configuration are valid")
  func presets() throws {
    for (_, configuration) in RestoreRWKVConfiguration.presets { try configuration.validate() }
  }
}
