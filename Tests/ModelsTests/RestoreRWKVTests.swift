import Foundation
import Layers
import Models
import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("Restore-RWKV")
struct RestoreRWKVTests {
  /// A network small enough for tests.
  private static func network(
    recurrences: Int = 2, inChannels: Int = 1, seed: UInt64 = 5
  ) throws -> RestoreRWKV {
    var configuration = RestoreRWKVConfiguration()
    configuration.channels = 4
    configuration.blocks = [1, 1, 1, 1]
    configuration.refinementBlocks = 1
    configuration.recurrences = recurrences
    configuration.inChannels = inChannels
    configuration.outChannels = inChannels
    var generator = SeededGenerator(seed: seed)
    return try RestoreRWKV(configuration, using: &generator)
  }

  @Test("the paper's network has the authors' numbers of parameters and tensors")
  func fullCounts() throws {
    var generator = SeededGenerator(seed: 0)
    let model = try RestoreRWKV(.full, using: &generator)
    #expect(model.parameterCount(.deployed) == 27_846_625)
    #expect(model.parameterCount(.trained) == 27_996_737)
    #expect(model.parameterCount(.stored) == 28_371_137)
    let names = model.state.map(\.name)
    #expect(names.count == 1114)
    #expect(Set(names).count == 1114)
  }

  @Test("the light network has its numbers of parameters and tensors")
  func lightCounts() throws {
    var generator = SeededGenerator(seed: 0)
    let model = try RestoreRWKV(.light, using: &generator)
    #expect(model.parameterCount(.deployed) == 1_155_649)
    #expect(model.parameterCount(.trained) == 1_179_905)
    #expect(model.parameterCount(.stored) == 1_239_905)
    #expect(model.state.count == 814)
  }

  @Test(
    "bands of rows give what the whole image gives",
    arguments: [1, 3, 8, 16, 100], [1, 3])
  func bands(rows: Int, recurrences: Int) throws {
    let model = try Self.network(recurrences: recurrences)
    model.setRequiresGradient(false)
    model.setTraining(false)
    var generator = SeededGenerator(seed: 7)
    let x = Tensor([2, 37, 21, 1]) { generator.fillUniform($0) }
    let whole = model(x)
    let banded = model.restoredInBands(of: rows, x)
    #expect(banded.shape == whole.shape)
    let largest = whole.values.map(abs).max() ?? 0
    for (found, expected) in zip(banded.values, whole.values) {
      #expect(abs(found - expected) <= 1e-6 * largest)
    }
  }

  @Test("names are the authors', in the order of their program")
  func names() throws {
    let model = try Self.network()
    let names = model.state.map(\.name)
    #expect(
      names.prefix(27)
        == [
          "patch_embed.weight", "patch_embed.bias",
          "encoder_level1.0.gamma1", "encoder_level1.0.gamma2",
          "encoder_level1.0.ln1.weight", "encoder_level1.0.ln1.bias",
          "encoder_level1.0.ln2.weight", "encoder_level1.0.ln2.bias",
          "encoder_level1.0.att.spatial_decay", "encoder_level1.0.att.spatial_first",
          "encoder_level1.0.att.omni_shift.alpha",
          "encoder_level1.0.att.omni_shift.conv1x1.weight",
          "encoder_level1.0.att.omni_shift.conv3x3.weight",
          "encoder_level1.0.att.omni_shift.conv5x5.weight",
          "encoder_level1.0.att.omni_shift.conv5x5_reparam.weight",
          "encoder_level1.0.att.key.weight", "encoder_level1.0.att.value.weight",
          "encoder_level1.0.att.receptance.weight", "encoder_level1.0.att.output.weight",
          "encoder_level1.0.ffn.omni_shift.alpha",
          "encoder_level1.0.ffn.omni_shift.conv1x1.weight",
          "encoder_level1.0.ffn.omni_shift.conv3x3.weight",
          "encoder_level1.0.ffn.omni_shift.conv5x5.weight",
          "encoder_level1.0.ffn.omni_shift.conv5x5_reparam.weight",
          "encoder_level1.0.ffn.key.weight", "encoder_level1.0.ffn.receptance.weight",
          "encoder_level1.0.ffn.value.weight",
        ])
    let stages = names.map { String($0.prefix { $0 != "." }) }.reduce(into: [String]()) {
      if $0.last != $1 { $0.append($1) }
    }
    #expect(
      stages
        == [
          "patch_embed", "encoder_level1", "down1_2", "encoder_level2", "down2_3",
          "encoder_level3", "down3_4", "latent", "up4_3", "reduce_chan_level3", "decoder_level3",
          "up3_2", "reduce_chan_level2", "decoder_level2", "up2_1", "decoder_level1",
          "refinement", "output",
        ])
  }

  @Test("a checkpoint of the authors' network loads by name, and nothing is left over")
  func loading() throws {
    let path = try #require(
      Bundle.module.path(
        forResource: "model.restore_rwkv__tiny", ofType: "safetensors", inDirectory: "Goldens"))
    let file = try Safetensors(contentsOf: path)
    var configuration = RestoreRWKVConfiguration()
    configuration.channels = 8
    configuration.blocks = [1, 1, 1, 1]
    configuration.refinementBlocks = 1
    var generator = SeededGenerator(seed: 0)
    let model = try RestoreRWKV(configuration, using: &generator)
    try model.load(file, prefix: "param.")
    for entry in model.state {
      if case .derived = entry.content { continue }
      #expect(entry.tensor.values == file.tensor(named: "param." + entry.name)?.values)
    }
    let other = try Self.network()
    let error = #expect(throws: LayerError.self) { try other.load(file, prefix: "param.") }
    guard case .stateMismatch(let missing, let surplus, let misshapen)? = error else {
      Issue.record("unexpected error \(String(describing: error))")
      return
    }
    #expect(missing.isEmpty)
    #expect(surplus.isEmpty)
    // All but the 16 branch weights of the shifts and the bias of the output.
    #expect(misshapen.count == 214 - 16 - 1)
  }

  // MARK: - Sizes

  @Test("sizes that are multiples of 8 are not padded: the same bits as the bare network")
  func multiples() throws {
    let model = try Self.network()
    model.setRequiresGradient(false)
    let x = Tensor.random([1, 16, 24, 1], seed: 1)
    #expect(model(x).values == model.forward(x).values)
  }

  @Test(
    "other sizes are continued by reflection at the bottom and right, and cut back",
    arguments: [(13, 10), (8, 9), (17, 16), (3, 5), (1, 1), (1, 30)])
  func padding(height: Int, width: Int) throws {
    let model = try Self.network()
    model.setRequiresGradient(false)
    let x = Tensor.random([2, height, width, 1], seed: 1)
    let (rows, columns) = ((height + 7) / 8 * 8, (width + 7) / 8 * 8)
    func reflected(_ index: Int, _ count: Int) -> Int {
      // Walks back and forth between the two ends.
      var (position, step) = (0, 1)
      for _ in 0..<index where count > 1 {
        if position + step < 0 || position + step >= count { step = -step }
        position += step
      }
      return position
    }
    let values = x.values
    let padded = Tensor([2, rows, columns, 1]) { elements in
      for index in elements.indices {
        let (image, row, column) = (
          index / (rows * columns), index / columns % rows, index % columns
        )
        elements[index] =
          values[
            (image * height + reflected(row, height)) * width + reflected(column, width)]
      }
    }
    let expected = model.forward(padded).sliced(axis: 1, 0..<height).sliced(axis: 2, 0..<width)
    let y = model(x)
    #expect(y.shape == x.shape)
    #expect(Mismatch(y, expected, relative: 1e-6) == nil)
  }

  @Test("the reflection repeats neither end")
  func reflection() {
    #expect((0..<9).map { reflectedIndex($0, count: 3) } == [0, 1, 2, 1, 0, 1, 2, 1, 0])
    #expect((0..<4).map { reflectedIndex($0, count: 1) } == [0, 0, 0, 0])
  }

  @Test("a batch of two gives what two batches of one give")
  func batch() throws {
    let model = try Self.network()
    model.setRequiresGradient(false)
    let x = Tensor.random([2, 16, 8, 1], seed: 1)
    let y = model(x)
    for image in 0..<2 {
      let alone = model(x.sliced(axis: 0, image..<image + 1))
      #expect(Mismatch(y.sliced(axis: 0, image..<image + 1), alone, relative: 1e-6) == nil)
    }
  }

  @Test("several channels go in and come out")
  func channels() throws {
    let model = try Self.network(inChannels: 3)
    #expect(model(Tensor.random([1, 8, 8, 3], seed: 1)).shape == [1, 8, 8, 3])
    #expect(model.inChannels == 3)
  }

  // MARK: - Behaviour

  @Test("results are the same with and without gradients, and none is remembered without")
  func tracking() throws {
    let model = try Self.network()
    let x = Tensor.random([1, 8, 16, 1], seed: 1)
    let tracked = model(x)
    #expect(tracked.isTracked)
    model.setRequiresGradient(false)
    let plain = model(x)
    #expect(!plain.isTracked)
    #expect(plain.values == tracked.values)
  }

  @Test("the same seed gives the same network, another seed another")
  func seeds() throws {
    let x = Tensor.random([1, 8, 8, 1], seed: 1)
    let first = try Self.network()(x)
    #expect(try Self.network()(x).values == first.values)
    #expect(try Self.network(seed: 6)(x).values != first.values)
  }

  @Test("any number of recurrences has its rows of decay and bonus, all of which act")
  func recurrences() throws {
    for count in [1, 3, 4] {
      let model = try Self.network(recurrences: count)
      // Three tokens or more at the deepest level: two have no distance for the decay to act on.
      let loss = model(Tensor.random([1, 16, 24, 1], seed: 1)).squared().mean()
      let gradients = loss.gradients()
      for (name, parameter) in model.parameters where name.contains("spatial_") {
        #expect(parameter.shape[0] == count)
        let gradient = parameter.gradient(in: gradients)?.values ?? []
        #expect(gradient.count == parameter.count)
        for row in 0..<count {
          let part = gradient.dropFirst(row * parameter.shape[1]).prefix(parameter.shape[1])
          #expect(part.contains { $0 != 0 }, "\(name), row \(row) of \(count)")
        }
      }
    }
  }

  @Test("ten steps of plain gradient descent lower the loss, every one of them")
  func descent() throws {
    let model = try Self.network()
    let x = Tensor.random([2, 16, 16, 1], .uniform(0..<1), seed: 1)
    let target = Tensor.random([2, 16, 16, 1], .uniform(0..<1), seed: 2)
    var losses: [Float] = []
    for _ in 0..<10 {
      let loss = (model(x) - target).squared().mean()
      losses.append(loss.scalar)
      let gradients = loss.gradients()
      for (_, parameter) in model.parameters {
        guard let gradient = parameter.gradient(in: gradients) else { continue }
        parameter.update { values in
          gradient.withValues { gradient in
            for index in values.indices { values[index] -= 0.02 * gradient[index] }
          }
        }
      }
    }
    for (before, after) in zip(losses, losses.dropFirst()) { #expect(after < before) }
    #expect((losses.last ?? .nan) < 0.9 * losses[0])
  }

  private func small(
    _ change: (inout RestoreRWKVConfiguration) -> Void
  ) throws -> RestoreRWKV {
    var configuration = RestoreRWKVConfiguration()
    (configuration.channels, configuration.blocks) = (4, [1, 1, 1, 1])
    configuration.refinementBlocks = 1
    change(&configuration)
    var generator = SeededGenerator(seed: 5)
    return try RestoreRWKV(configuration, using: &generator)
  }

  @Test(
    "without attention, with another shift or with a stack of slices it trains, and plans and bands agree",
    arguments: [(0, TokenShiftKind.omni, 1), (1, .none, 1), (2, .uniform, 1), (2, .omni, 3)])
  func variants(recurrences: Int, shift: TokenShiftKind, slices: Int) throws {
    let model = try small {
      $0.recurrences = recurrences
      $0.shift = shift
      ($0.inChannels, $0.outChannels) = (slices, 1)
    }
    let x = Tensor.random([1, 16, 24, slices], seed: 4)
    let gradients = model(x).squared().mean().gradients()
    for entry in model.state {
      guard case .parameter(let parameter) = entry.content else { continue }
      #expect(gradients[parameter.tensor] != nil, "\(entry.name) has no gradient")
    }
    model.setRequiresGradient(false)
    let expected = model(x)
    #expect(expected.shape == [1, 16, 24, 1])
    #expect(Mismatch(try model.plan(for: x.shape)(x), expected, relative: 1e-5) == nil)
    #expect(Mismatch(model.restoredInBands(of: 5, x), expected, relative: 1e-5) == nil)
    let read = try JSONDecoder().decode(
      ModelDescription.self, from: JSONEncoder().encode(ModelDescription(model)))
    #expect(read.configuration as? RestoreRWKVConfiguration == model.configuration)
  }

  @Test("a token far away counts with attention alone, a neighbour with a shift alone")
  func reach() throws {
    for (recurrences, shift) in [(0, TokenShiftKind.none), (0, .uniform), (1, .none)] {
      var generator = SeededGenerator(seed: 6)
      let mix = SpatialMix(
        channels: 4, recurrences: recurrences, shift: shift, using: &generator)
      let x = Tensor.random([1, 8, 8, 4], seed: 7)
      var values = x.values
      for channel in 0..<4 { values[channel] += 1 }
      let changes = zip(mix(Tensor(x.shape, values)).values, mix(x).values).map { abs($0 - $1) }
      // The first token was changed.
      #expect(changes[0..<4].contains { $0 > 1e-4 })
      #expect(changes[4..<8].contains { $0 > 1e-7 } == (recurrences > 0 || shift == .uniform))
      #expect(changes[252...].contains { $0 > 1e-9 } == (recurrences > 0))
    }
  }

  @Test("an even number of slices has no middle, and hyperparameters are changed by their keys")
  func changes() throws {
    #expect(throws: ModelError.self) { try small { ($0.inChannels, $0.outChannels) = (4, 1) } }
    let light = try ModelDescription(architecture: "restore-rwkv", preset: "light")
    let changed = try light.with([
      "recurrences": .integer(1), "shift": .text("none"),
      "num_blocks": .list([.integer(1), .integer(2), .integer(1), .integer(2)]),
    ])
    var expected = RestoreRWKVConfiguration.light
    (expected.recurrences, expected.shift, expected.blocks) = (1, .none, [1, 2, 1, 2])
    #expect(changed.configuration as? RestoreRWKVConfiguration == expected)
    #expect(
      throws: ModelError.unknownKey(
        "recurrence", architecture: "restore-rwkv", nearest: "recurrences")
    ) { try light.with(["recurrence": .integer(1)]) }
    #expect(throws: ModelError.self) { try light.with(["dim": .text("many")]) }
    #expect(throws: ModelError.self) { try light.with(["dim": .integer(3)]) }
  }
}
