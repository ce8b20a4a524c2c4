import Layers
import Models
import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("Identities of GDKVM's structures")
struct GDKVMIdentityTests {
  private static func model(structures: [String], objects: Int = 3) throws -> GDKVM {
    var tiny = GDKVMConfiguration.light
    tiny.imageEncoderWidth = 8
    tiny.maskEncoderWidth = 8
    tiny.keyChannels = 8
    tiny.valueChannels = 16
    tiny.pixelChannels = 12
    tiny.sensoryChannels = 8
    tiny.embedChannels = 16
    tiny.heads = 2
    tiny.queries = 4
    tiny.feedForwardChannels = 24
    tiny.decoderChannels = [16, 12, 8]
    tiny.objects = objects
    tiny.structures = structures
    var generator = SeededGenerator(seed: 1)
    let model = try GDKVM(tiny, using: &generator)
    model.setRequiresGradient(false)
    return model
  }

  private static let names = ["a", "b", "c"]
  private let clips = Tensor.random([2, 3, 32, 48, 1], .uniform(0..<1), seed: 7)

  /// How far the probabilities of two objects lie apart in the last frame.
  private func distance(_ model: GDKVM, _ a: Int, _ b: Int) -> Float {
    let masks = model.segmented(clips).frames[2].masks
    let difference =
      masks.sliced(axis: -1, a..<a + 1) - masks.sliced(axis: -1, b..<b + 1)
    return difference.values.map(\.magnitude).max() ?? 0
  }

  @Test("without names objects are equal, with names all of them differ")
  func differ() throws {
    let anonymous = try Self.model(structures: [])
    let named = try Self.model(structures: Self.names)
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
      #expect(distance(anonymous, a, b) < 1e-5)
      #expect(distance(named, a, b) > 1e-4)
    }
  }

  @Test("an identity is one vector for each object and touches nothing else")
  func parameters() throws {
    let anonymous = try Self.model(structures: [])
    let named = try Self.model(structures: Self.names)
    #expect(
      named.parameterCount(.trained) == anonymous.parameterCount(.trained) + 3 * 16)
    let entry = try #require(named.parameters.first { $0.name == GDKVM.identityName })
    #expect(entry.parameter.shape == [3, 16])
    // The same draws for everything else, and with identities of 0 the same results.
    entry.parameter.update { $0.update(repeating: 0) }
    let expected = anonymous.segmented(clips).frames[2].logits
    #expect(Mismatch(named.segmented(clips).frames[2].logits, expected, absolute: 1e-5) == nil)
  }

  @Test("every identity gets a gradient of its own, in every clip of a batch")
  func gradient() throws {
    let model = try Self.model(structures: Self.names)
    model.setRequiresGradient(true)
    let entry = try #require(model.parameters.first { $0.name == GDKVM.identityName })
    let logits = Tensor.concatenate(model.segmented(clips).frames.map(\.logits), axis: 0)
    let weights = Tensor.random(logits.shape, seed: 3)
    let gradient = try #require(
      entry.parameter.gradient(in: (logits * weights).sum().gradients()))
    #expect(gradient.isFinite)
    let values = gradient.values
    for object in 0..<3 {
      #expect(values[16 * object..<16 * (object + 1)].contains { abs($0) > 1e-6 })
    }
    #expect(values[0..<16] != values[16..<32])
  }

  @Test("a planned step keeps the identities")
  func plan() throws {
    let model = try Self.model(structures: Self.names)
    model.setTraining(false)
    let frame = Tensor.random([1, 32, 48, 1], .uniform(0..<1), seed: 2)
    let first = model.step(model.encoded(frame), state: nil)
    let plan = try model.stepPlan(frames: frame.shape, state: first.state)
    let expected = model.step(model.encoded(frame), state: first.state).frame.logits
    let found = try plan([frame] + first.state.tensors)
    #expect(Mismatch(found[0], expected, relative: 1e-4) == nil)
  }

  @Test("a first mask of a network without memory counts for the first frame alone")
  func firstMask() throws {
    var configuration = try Self.model(structures: Self.names).configuration
    configuration.usesMemory = false
    var generator = SeededGenerator(seed: 1)
    let model = try GDKVM(configuration, using: &generator)
    model.setRequiresGradient(false)
    let plain = model.segmented(clips)
    let given = model.segmented(clips, firstMasks: .ones([2, 32, 48, 3]))
    #expect(
      Mismatch(given.frames[0].logits, plain.frames[0].logits, absolute: 1e-4) != nil)
    #expect(
      Mismatch(given.frames[2].logits, plain.frames[2].logits, absolute: 1e-6) == nil)
  }

  @Test(
    "names that do not fit the objects are refused", arguments: [["a"], ["a", "a"], ["a", ""]])
  func refused(structures: [String]) {
    #expect(throws: ModelError.self) { try Self.model(structures: structures, objects: 2) }
  }
}
