import Layers
import Models
import Randomness
import TensorCore
import Testing

@Suite("Stroke system")
struct StrokeSystemTests {
  private static func volume(_ size: [Int], channels: Int, seed: UInt64 = 4) -> Tensor {
    var generator = SeededGenerator(seed: seed)
    return Tensor([size[0], size[1], size[2], channels]) { values in
      generator.fillNormal(values)
      // Some background, as brains have it.
      for index in values.indices where index / channels % 7 == 0 { values[index] = 0 }
    }
  }

  private static func tiny(
    second: StrokeSecondChannel = .modality, paths: [String]? = nil
  ) throws -> StrokeSystem {
    var configuration = StrokeSystemConfiguration.small
    configuration.path.channels = 4
    configuration.combinerChannels = [5, 3]
    configuration.secondChannel = second
    if let paths { configuration.paths = paths }
    var generator = SeededGenerator(seed: 7)
    let system = try StrokeSystem(configuration, using: &generator)
    system.setTraining(false)
    system.setRequiresGradient(false)
    return system
  }

  @Test("the full system has the published networks' parameters")
  func count() throws {
    var generator = SeededGenerator(seed: 1)
    let system = try StrokeSystem(.full, using: &generator)
    #expect(system.parameterCount(.trained) == 9 * 324_672 + 35_721)
    #expect(system.state.contains { $0.name == "paths.XY_12.anat_encoder.conv0.weight" })
    #expect(system.state.contains { $0.name == "combiner.conv1.weight" })
  }

  @Test(
    "the second stage slab by slab gives what it gives at once, with and without memory to keep maps",
    arguments: [1, 2, 3, 5, 7, 9], [0, 1 << 20])
  func slabs(slab: Int, keptBytes: Int) {
    var generator = SeededGenerator(seed: 2)
    let combiner = StrokeCombiner(inChannels: 6, hidden: (5, 3), using: &generator)
    combiner.setRequiresGradient(false)
    let x = Tensor([1, 7, 6, 5, 6]) { generator.fillNormal($0) }
    let whole = combiner(x)
    var parts: [Tensor] = []
    var next = 0
    combiner.runInSlabs(
      planes: 7, slab: slab, keptBytes: keptBytes, input: { x.sliced(axis: 1, $0) },
      output: { range, logits in
        #expect(range.lowerBound == next && logits.shape[1] == range.count)
        next = range.upperBound
        parts.append(logits)
      })
    let joined = Tensor.concatenate(parts, axis: 1)
    #expect(joined.shape == whole.shape)
    let worst = zip(joined.values, whole.values).map { abs($0 - $1) }.max() ?? .infinity
    #expect(worst < 2e-5, "worst \(worst)")
  }

  @Test(
    "parts of slices, planes of the volume and whole slices agree in every path",
    arguments: StrokePath.all, [StrokeSecondChannel.modality, .mirror])
  func stacks(path: StrokePath, second: StrokeSecondChannel) {
    let volume = Self.volume([4, 6, 5], channels: 2)
    let whole = path.normalization.normalized(path.slices(of: volume, second: second))
    let stack = StrokeStack(of: volume, in: path.plane, second: second)
    #expect(stack.normalized(0..<stack.count, by: path.normalization).values == whole.values)
    let part = stack.normalized([2], rows: 1..<3, columns: 2..<4, by: path.normalization)
    let same = whole.sliced([2..<3, 1..<3, 2..<4, 0..<2])
    #expect(part.values == same.values)
    let numbers = Array(0..<volume.count / 2)
    #expect(stack.slices(of: stack.volume(of: numbers)) == numbers)
    let asTensor = Tensor([4, 6, 5, 1], numbers.map(Float.init))
    #expect(
      stack.slices(of: numbers).map(Float.init) == path.plane.slices(of: asTensor).values)
  }

  @Test(
    "the system is the authors' steps one after the other",
    arguments: [StrokeSecondChannel.modality, .mirror])
  func steps(second: StrokeSecondChannel) throws {
    let system = try Self.tiny(second: second)
    let channels = second == .modality ? 2 : 1
    let volume = Self.volume([16, 32, 16], channels: channels)
    let stacks = StrokeStacks(of: volume, for: system)
    let masks = system.networks.indices.map { system.mask(ofPath: $0, stacks) { _ in } }
    var parts: [Tensor] = []
    for (index, path) in StrokePath.all.enumerated() {
      let normalized = path.normalization.normalized(path.slices(of: volume, second: second))
      let logits = system.networks[index].forward(normalized)
      let values = logits.values
      // A plan rounds otherwise: where the classes are as good as equal, either is right.
      let wrong = masks[index].indices.count {
        let margin = values[2 * $0 + 1] - values[2 * $0]
        return abs(margin) > 1e-3 && (margin > 0) != (masks[index][$0] == 1)
      }
      #expect(wrong == 0, "\(path.name)")
      let mask = Tensor(
        Shape(Array(logits.shape.dimensions.dropLast()) + [1]), masks[index].map { Float($0) })
      parts.append(path.assembled(mask: mask, normalized: normalized))
    }
    let joined = Tensor.concatenate(parts, axis: -1)
    let expected = system.combiner(joined.reshaped(to: Shape([1] + joined.shape.dimensions)))
    #expect(masks.contains { $0.contains(1) } && masks.contains { $0.contains(0) })
    #expect(
      system.combinerInput(3..<9, stacks, masks).values
        == joined.sliced(axis: 0, 3..<9).values)
    let logits = system.forward(volume)
    let worst = zip(logits.values, expected.values).map { abs($0 - $1) }.max() ?? .infinity
    #expect(worst < 1e-4, "worst \(worst)")
    var last = 0
    let probability = system.probability(of: volume) { last = $0 }
    #expect(last == system.steps(for: [16, 32, 16]))
    let softmax = expected.softmax().values
    let off = probability.indices.map { abs(probability[$0] - softmax[2 * $0 + 1]) }.max() ?? 1
    #expect(off < 1e-4, "worst \(off)")
  }

  @Test("a path that makes no numbers makes no lesion map, and not an empty one either")
  func notFinite() throws {
    let system = try Self.tiny(second: .mirror)
    let last = try #require(system.networks[3].parameters.last?.parameter)
    last.update { $0.update(repeating: .nan) }
    let volume = Self.volume([16, 16, 16], channels: 1)
    let stacks = StrokeStacks(of: volume, for: system)
    #expect(system.mask(ofPath: 3, stacks) { _ in }.contains(StrokeSystem.notANumber))
    #expect(!system.mask(ofPath: 2, stacks) { _ in }.contains(StrokeSystem.notANumber))
    let probability = system.probability(of: volume) { _ in }
    #expect(probability.allSatisfy { $0.isNaN })
  }

  @Test("a system of one path needs its plane alone")
  func onePath() throws {
    let system = try Self.tiny(paths: ["ZY_3"])
    let volume = Self.volume([16, 16, 16], channels: 2)
    #expect(system.probability(of: volume) { _ in }.count == 16 * 16 * 16)
    #expect(system.combiner.inChannels == 3)
  }

  @Test("a configuration keeps its values, and unknown paths and keys are refused")
  func configuration() throws {
    var configuration = StrokeSystemConfiguration.small
    configuration.paths = ["XY_12", "ZX_3"]
    configuration.secondChannel = .mirror
    let description = try ModelDescription(
      architecture: StrokeSystem.architecture, preset: "small")
    #expect(description.configuration as? StrokeSystemConfiguration == .small)
    configuration.paths = ["XY_12", "XY_12"]
    #expect(throws: ModelError.self) { try configuration.validate() }
    configuration.paths = ["XY_4"]
    #expect(throws: ModelError.self) { try configuration.validate() }
    configuration.paths = []
    #expect(throws: ModelError.self) { try configuration.validate() }
  }
}
