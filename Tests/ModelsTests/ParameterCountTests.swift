import Layers
import Models
import Randomness
import TensorCore
import Testing

@Suite("Sizes of networks")
struct ParameterCountTests {
  @Test(
    "are counted without making them, for every architecture and kind of convolution",
    arguments: [
      ("restore-rwkv", "light"), ("fs-rwkv", "light"), ("gdkvm", "light"), ("unet", "light"),
      ("unet", "light-weighted"), ("tvconv-net", "light"), ("tvconv-net", "dw"),
    ])
  func counts(architecture: String, preset: String) throws {
    let description = try ModelDescription(architecture: architecture, preset: preset)
    try check(description)
  }

  @Test("of dynamic convolutions too", arguments: ["fdconv", "weighted"])
  func convolutions(kind: String) throws {
    try check(
      ModelDescription(architecture: "unet", preset: "light")
        .with(["convolution": .keys(["kind": .text(kind), "fallback": .text("plain")])]))
  }

  private func check(_ description: ModelDescription) throws {
    var generator = SeededGenerator(seed: 1)
    let model = try description.makeModel(using: &generator)
    let all = model.state.reduce(0) { $0 + $1.shape.count }
    let counted = try description.parameterCount()
    // Layers that begin as weighted ones are counted in both forms.
    #expect(counted >= model.parameters.reduce(0) { $0 + $1.parameter.count })
    #expect(counted <= 2 * all + 64, "\(counted) of \(all)")
    // Counting draws nothing and leaves no trace in networks that are made afterwards.
    var again = SeededGenerator(seed: 1)
    let second = try description.makeModel(using: &again)
    #expect(
      zip(model.parameters, second.parameters)
        .allSatisfy { $0.parameter.tensor.values == $1.parameter.tensor.values })
  }

  @Test("beyond the machine's memory are refused before any is taken")
  func tooLarge() throws {
    let description = try ModelDescription(architecture: "dncnn", preset: "light")
      .with(["features": .integer(1024), "kernel_size": .integer(31), "dims": .integer(3)])
    var generator = SeededGenerator(seed: 1)
    let error = try #require(throws: ModelError.self) {
      try description.makeModel(using: &generator)
    }
    guard case .tooLarge("dncnn", let parameters, _, _) = error else {
      Issue.record("\(error)")
      return
    }
    #expect(parameters > 1 << 33 && "\(error)".contains("MiB of memory"))
  }
}
