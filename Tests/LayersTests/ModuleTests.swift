import Foundation
import Layers
import TensorCore
import Testing

private final class Inner: Module {
  let weight = Parameter([2, 2]) { $0.initialize(repeating: 1) }
  let mean = Parameter([2], requiresGradient: false) { $0.initialize(repeating: 0) }
  let counter = Parameter([], requiresGradient: false) { $0.initialize(repeating: 0) }
  // Only touched by the test that owns the module.
  nonisolated(unsafe) var isTraining = false

  var members: [Member] {
    [
      .parameter("weight", weight), .buffer("mean", mean),
      .buffer("num_batches_tracked", counter),
      .derived("folded", [2]) { [weight] in Tensor([2], weight.tensor.values.suffix(2)) },
    ]
  }
  func modeChanged(isTraining: Bool) { self.isTraining = isTraining }
}

private final class Outer: Module {
  let bias = Parameter([3]) { $0.initialize(repeating: 0) }
  let stages = [Inner(), Inner()]
  var members: [Member] { [.parameter("body.bias", bias)] + Member.modules("stage", stages) }
}

@Suite("Module")
struct ModuleTests {
  private static let names = [
    "body.bias",
    "stage.0.weight", "stage.0.mean", "stage.0.num_batches_tracked", "stage.0.folded",
    "stage.1.weight", "stage.1.mean", "stage.1.num_batches_tracked", "stage.1.folded",
  ]

  private func full() -> [String: Tensor] {
    [
      "body.bias": Tensor([3], [1, 2, 3]),
      "stage.0.weight": Tensor([2, 2], [4, 5, 6, 7]), "stage.0.mean": Tensor([2], [8, 9]),
      "stage.0.num_batches_tracked": Tensor(10), "stage.0.folded": Tensor([2], [-1, -1]),
      "stage.1.weight": Tensor([2, 2], [11, 12, 13, 14]), "stage.1.mean": Tensor([2], [15, 16]),
      "stage.1.num_batches_tracked": Tensor(17), "stage.1.folded": Tensor([2], [-1, -1]),
    ]
  }

  @Test("names are dotted and in the order of the table")
  func names() {
    let module = Outer()
    #expect(module.state.map(\.name) == Self.names)
    #expect(module.parameters.map(\.name) == ["body.bias", "stage.0.weight", "stage.1.weight"])
  }

  @Test("counts tell stored, trained and deployed values apart")
  func counts() {
    let module = Outer()
    #expect(module.parameterCount(.stored) == 3 + 2 * (4 + 2 + 1 + 2))
    #expect(module.parameterCount(.trained) == 3 + 2 * 4)
    #expect(module.parameterCount(.deployed) == 3 + 2 * (4 + 2 + 1))
  }

  @Test("loading sets parameters and buffers, and derived entries follow the parameters")
  func load() throws {
    let module = Outer()
    try module.load(full())
    #expect(module.bias.tensor.values == [1, 2, 3])
    #expect(module.stages[1].weight.tensor.values == [11, 12, 13, 14])
    #expect(module.stages[0].mean.tensor.values == [8, 9])
    #expect(module.stages[0].counter.tensor.scalar == 10)
    let folded = try #require(module.state.first { $0.name == "stage.0.folded" })
    #expect(folded.tensor.values == [6, 7])
  }

  @Test("derived entries and batch counters may be absent")
  func absent() throws {
    let module = Outer()
    let tensors = full().filter {
      !$0.key.hasSuffix("folded") && !$0.key.hasSuffix("num_batches_tracked")
    }
    try module.load(tensors)
    #expect(module.stages[1].mean.tensor.values == [15, 16])
  }

  @Test("all differences are reported at once, and nothing is changed")
  func mismatch() {
    let module = Outer()
    var tensors = full()
    tensors["stage.1.weight"] = nil
    tensors["stage.0.mean"] = nil
    tensors["stage.2.weight"] = Tensor(0)
    tensors["extra"] = Tensor(0)
    tensors["stage.0.weight"] = Tensor([4], [4, 5, 6, 7])
    tensors["stage.0.folded"] = Tensor([1], [0])
    let error = #expect(throws: LayerError.self) { try module.load(tensors) }
    #expect(
      error
        == .stateMismatch(
          missing: ["stage.0.mean", "stage.1.weight"], surplus: ["extra", "stage.2.weight"],
          misshapen: [
            ShapeMismatch(name: "stage.0.folded", expected: [2], found: [1]),
            ShapeMismatch(name: "stage.0.weight", expected: [2, 2], found: [4]),
          ]))
    #expect(
      error?.description == """
        weights do not fit the model:
          missing: stage.0.mean
          missing: stage.1.weight
          surplus: extra
          surplus: stage.2.weight
          shape: stage.0.folded is [1], the model has [2]
          shape: stage.0.weight is [4], the model has [2, 2]
        """)
    #expect(module.bias.tensor.values == [0, 0, 0])
    #expect(module.bias.version == 0)
  }

  @Test("a file that a module wrote loads into another, with and without a prefix")
  func file() throws {
    let source = Outer()
    try source.load(full())
    var writer = SafetensorsWriter()
    writer.add(stateOf: source, prefix: "model.")
    writer.add(Tensor(1), named: "optimiser.step")
    let file = try Safetensors(writer.encoded(), path: "w")
    #expect(file.tensor(named: "model.stage.1.folded")?.values == [13, 14])
    let copy = Outer()
    try copy.load(file, prefix: "model.")
    #expect(copy.state.map(\.tensor.values) == source.state.map(\.tensor.values))
    let error = #expect(throws: LayerError.self) { try copy.load(file) }
    guard case .stateMismatch(let missing, let surplus, let misshapen)? = error else {
      Issue.record("unexpected error \(String(describing: error))")
      return
    }
    // The derived entries and the counters are not missed.
    #expect(missing.count == 5)
    #expect(surplus.count == 10)
    #expect(misshapen.isEmpty)
  }

  @Test("modes and gradients reach every part, and buffers stay as they are")
  func modes() {
    let module = Outer()
    module.setTraining(true)
    #expect(module.stages.map(\.isTraining) == [true, true])
    module.setTraining(false)
    #expect(module.stages.map(\.isTraining) == [false, false])
    module.setRequiresGradient(false)
    #expect(module.parameters.map(\.parameter.tensor.isTracked) == [false, false, false])
    module.setRequiresGradient(true)
    #expect(module.parameters.map(\.parameter.tensor.isTracked) == [true, true, true])
    #expect(!module.stages[0].mean.tensor.isTracked)
  }
}

@Suite("Parameter")
struct ParameterTests {
  @Test("updates are seen by tensors that share the memory, and raise the version")
  func update() {
    let parameter = Parameter([2]) { $0.initialize(repeating: 1) }
    let before = parameter.tensor
    #expect(parameter.version == 0)
    parameter.update { $0[1] = 5 }
    #expect(before.values == [1, 5])
    #expect(parameter.version == 1)
    parameter.load(Tensor([2], [7, 8]))
    #expect(before.values == [7, 8])
    #expect(parameter.version == 2)
  }

  @Test("gradients are found after the requirement was switched off and on again")
  func gradient() {
    let parameter = Parameter([2]) { $0.initialize(repeating: 1) }
    let y = parameter.tensor + parameter.tensor
    parameter.requiresGradient = false
    #expect(!parameter.tensor.isTracked)
    parameter.requiresGradient = true
    let gradients = Tensor.gradients(of: [y], upstream: [Tensor([2], [3, 4])])
    #expect(parameter.gradient(in: gradients)?.values == [6, 8])
  }

  @Test("an error thrown in an update still raises the version")
  func failure() {
    struct Stop: Error {}
    let parameter = Parameter([1]) { $0.initialize(repeating: 1) }
    #expect(throws: Stop.self) {
      try parameter.update { (values) throws(Stop) in
        values[0] = 2
        throw Stop()
      }
    }
    #expect(parameter.version == 1)
    #expect(parameter.tensor.values == [2])
  }
}
