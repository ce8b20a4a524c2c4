import Layers
import Models
import Randomness
import TensorCore
import TestSupport
import Testing

/// Every model of the catalogue, without a line for each of them.
@Suite("Plans of models")
struct ModelPlanTests {
  /// The stroke system's norms look at values, so it runs without a plan; its networks have theirs.
  private static let planned = ModelCatalogue.architectures.map { $0.architecture }
    .filter { $0 != StrokeSystem.architecture }

  @Test("a network that looks at values runs without a plan, and says why")
  func withoutPlan() throws {
    let model = try model(StrokeSystem.architecture)
    let shape: Shape = [16, 16, 16, model.inChannels]
    guard case .eager(let reason) = ModelRunner(model).execution(for: shape) else {
      Issue.record("the stroke system has a plan: test it with the others")
      return
    }
    #expect("\(reason)".contains("values"))
    #expect(Self.planned.contains(StrokePathNetwork.architecture))
  }

  /// The smallest preset of a kind of network, with no parameter at a value that hides it.
  private func model(_ architecture: String) throws -> any RestorationModel {
    var generator = SeededGenerator(seed: 5)
    let type = try ModelCatalogue.architecture(named: architecture)
    let model = try ModelDescription(architecture: architecture, preset: type.smallPreset)
      .makeModel(using: &generator)
    model.setTraining(false)
    model.setRequiresGradient(false)
    for entry in model.state {
      switch entry.content {
      // Norms' weights and variances begin as ones, biases and means as zeros.
      case .parameter(let parameter), .buffer(let parameter):
        parameter.update { values in
          for index in values.indices {
            values[index] = values[index] * (1 + 0.3 * generator.nextUniform())
            if values[index] == 0 { values[index] = 0.1 * generator.nextUniform() }
          }
        }
      case .derived: break
      }
    }
    return model
  }

  /// A size that the network takes as it is, and one that it does not, if it takes any.
  private func sizes(_ model: any RestorationModel) -> [(Int, Int)] {
    if let bound = model.boundSize { return [(bound.height, bound.width)] }
    let multiple = max(8, model.sizeMultiple)
    return [(2 * multiple, 3 * multiple), (2 * multiple - 3, 2 * multiple + 1)]
  }

  @Test(
    "a plan gives what the network gives, on whole and odd sizes",
    arguments: planned)
  func equality(_ architecture: String) throws {
    let model = try model(architecture)
    for (height, width) in sizes(model) {
      let x = Tensor.random(
        [1, height, width, model.inChannels], .uniform(0..<1), seed: UInt64(height))
      let plan = try model.plan(for: x.shape)
      let expected = model(x)
      #expect(Mismatch(try plan(x), expected, relative: 1e-5) == nil)
      let plain = try InferencePlan(x.shape, rewrites: false) { model($0) }
      #expect(Mismatch(try plain(x), expected, relative: 1e-6) == nil)
      #expect(ModelRunner(model).execution(for: x.shape) == .planned)
      guard let banded = model as? any BandedModel else { continue }
      let bands = try banded.planInBands(of: 5, for: x.shape)
      #expect(Mismatch(try bands(x), expected, relative: 1e-5) == nil)
      #expect(bands.kinds.count > plan.kinds.count)
    }
  }

  @Test(
    "a change of any parameter reaches the plan",
    arguments: planned)
  func changes(_ architecture: String) throws {
    let model = try model(architecture)
    let (height, width) = sizes(model)[0]
    let shape: Shape = [1, height, width, model.inChannels]
    let plan = try model.plan(for: shape)
    #expect(plan.isCurrent)
    for (name, parameter) in model.parameters.shuffled().prefix(6) {
      let before = parameter.version
      parameter.update { $0[0] += 0.25 }
      #expect(parameter.version > before)
      #expect(!plan.isCurrent, "\(name)")
      _ = try plan(Tensor(shape, repeating: 0.5))
      #expect(plan.isCurrent, "\(name)")
    }
  }
}

extension RestorationModel {
  /// The name of a light preset; the paper's own comes first.
  fileprivate static var smallPreset: String {
    let names = Configuration.presets.map(\.name)
    return names.first { ["light", "small"].contains($0) } ?? names.last ?? ""
  }
}
