import Foundation
import Layers
import Models
import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("Optic disc and cup network")
struct TVConvNetTests {
  @Test(
    "parameters are as many as in the authors' networks",
    arguments: [("full", 36_944_610), ("dw", 6_401_634), ("base", 5_220_834)])
  func parameterCounts(preset: String, count: Int) throws {
    var generator = SeededGenerator(seed: 0)
    let model = try ModelDescription(architecture: "tvconv-net", preset: preset)
      .makeModel(using: &generator)
    #expect(model.parameterCount(.trained) == count)
    let network = try #require(model as? TVConvNet)
    #expect(network.backboneCount == 1_811_712)
    if preset == "full" {
      #expect(model.convolutionCounts[.tvconv] == 3)
      let generators = model.parameters.filter {
        $0.name.contains("weight_layers") || $0.name.contains("posi_map")
      }
      #expect(generators.reduce(0) { $0 + $1.parameter.count } == 30_594_816)
    }
  }

  private static func tiny(
    _ branch: TVConvNetConfiguration.Branch
  ) throws -> TVConvNet {
    var configuration = TVConvNetConfiguration()
    configuration.imageSize = 32
    configuration.headChannels = 8
    configuration.expansion = 1
    configuration.interChannels = 4
    configuration.interLayers = 0
    configuration.branch = branch
    var generator = SeededGenerator(seed: 1)
    return try TVConvNet(configuration, using: &generator)
  }

  @Test(
    "each form maps an image to logits, the same with and without gradients",
    arguments: TVConvNetConfiguration.Branch.allCases)
  func forward(branch: TVConvNetConfiguration.Branch) throws {
    let model = try Self.tiny(branch)
    let x = Tensor.random([2, 32, 32, 3], seed: 2)
    let tracked = model(x)
    #expect(tracked.shape == [2, 32, 32, 2])
    model.setRequiresGradient(false)
    #expect(Mismatch(model(x), tracked.detached(), relative: 1e-3) == nil)
  }

  @Test("one class can be learnt by position alone, which plain convolutions cannot tell")
  func learning() throws {
    let model = try Self.tiny(.translationVariant)
    model.setTraining(true)
    let x = Tensor.random([2, 32, 32, 3], seed: 3)
    let target = Tensor([2, 32, 32, 2]) { values in
      for index in values.indices {
        let (row, column) = (index / 2 / 32 % 32, index / 2 % 32)
        values[index] = (row < 16) == (column < 16) ? 1 : 0
      }
    }
    var losses: [Float] = []
    for _ in 0..<12 {
      let loss = model(x).binaryCrossEntropy(target: target)
      losses.append(loss.scalar)
      let gradients = loss.gradients()
      for (_, parameter) in model.parameters {
        guard let gradient = parameter.gradient(in: gradients) else { continue }
        #expect(gradient.isFinite)
        let norm = Float(gradient.sumOfSquares.squareRoot())
        guard norm > 0 else { continue }
        let rate = 0.02 * Float(parameter.tensor.sumOfSquares.squareRoot() + 0.05) / norm
        parameter.update { values in
          gradient.withValues { for index in values.indices { values[index] -= rate * $0[index] } }
        }
      }
    }
    #expect((losses.last ?? 9) < 0.8 * (losses.first ?? 0))
  }

  @Test("without its generators the network computes the same", arguments: [1, 2])
  func frozen(expansion: Int) throws {
    var configuration = try Self.tiny(.translationVariant).configuration
    configuration.expansion = expansion
    configuration.interLayers = 1
    var generator = SeededGenerator(seed: 4)
    let model = try TVConvNet(configuration, using: &generator)
    // Running statistics and affinity maps that are not those of the start.
    model.setTraining(true)
    for seed in UInt64(0)..<3 { _ = model(Tensor.random([2, 32, 32, 3], seed: seed)) }
    for (name, parameter) in model.parameters where name.hasSuffix("posi_map") {
      parameter.update { for index in $0.indices { $0[index] += Float(index % 7) / 5 } }
    }
    model.setTraining(false)
    model.setRequiresGradient(false)
    let frozen = try model.frozen()
    #expect(frozen.configuration.isFrozen)
    #expect(!frozen.state.contains { $0.name.contains("weight_layers") })
    #expect(frozen.parameterCount(.trained) < model.parameterCount(.trained))
    let x = Tensor.random([2, 32, 32, 3], seed: 9)
    #expect(Mismatch(frozen(x), model(x), relative: 1e-4) == nil)
    #expect(frozen.convolutionCounts[.tvconv] == 3)
    // Nothing is left to freeze, and other heads have nothing.
    #expect(try frozen.frozen() === frozen)
    let depthwise = try Self.tiny(.depthwise)
    #expect(try depthwise.frozen() === depthwise)
    configuration.branch = .depthwise
    configuration.isFrozen = true
    #expect(throws: ModelError.self) { try configuration.validate() }
    let text = try JSONEncoder().encode(frozen.configuration)
    #expect(
      try JSONDecoder().decode(TVConvNetConfiguration.self, from: text) == frozen.configuration)
  }

  @Test("the network says to which size it is bound")
  func bound() throws {
    let size = try #require(try Self.tiny(.depthwise).boundSize)
    #expect(size.height == 32 && size.width == 32)
    var configuration = TVConvNetConfiguration()
    configuration.imageSize = 100
    #expect(throws: ModelError.self) { try configuration.validate() }
  }

  @Test("binary cross-entropy is that of the sigmoid, and finite for any logit")
  func crossEntropy() {
    let logits = Tensor([4], [-2, 0.5, 3, 90])
    let target = Tensor([4], [0, 1, 0.25, 1])
    func term(_ x: Double, _ t: Double) -> Double {
      let p = 1 / (1 + exp(-x))
      return -t * log(p) - (t == 1 ? 0 : (1 - t) * log(1 - p))
    }
    let expected = (term(-2, 0) + term(0.5, 1) + term(3, 0.25) + term(90, 1)) / 4
    let loss = logits.binaryCrossEntropy(target: target).scalar
    #expect(abs(Double(loss) - expected) < 1e-6)
  }
}
