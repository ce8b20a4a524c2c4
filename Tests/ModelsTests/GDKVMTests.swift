import Layers
import Models
import Parity
import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("GDKVM")
struct GDKVMTests {
  private static func model(
    _ configuration: GDKVMConfiguration = tiny, seed: UInt64 = 1
  ) throws -> GDKVM {
    var generator = SeededGenerator(seed: seed)
    let model = try GDKVM(configuration, using: &generator)
    model.setRequiresGradient(false)
    return model
  }

  /// Small enough for gradients in a test.
  private static let tiny: GDKVMConfiguration = {
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
    return tiny
  }()

  private func clip(batch: Int = 1, frames: Int = 3, height: Int = 32, width: Int = 48) -> Tensor {
    .random([batch, frames, height, width, 1], .uniform(0..<1), seed: 7)
  }

  @Test("the full configuration has the published number of parameters and entries")
  func count() throws {
    let model = try Self.model(.full)
    #expect(model.parameterCount(.trained) == 35_078_282)
    #expect(model.state.count == 533)
    func part(_ prefix: String) -> Int {
      model.parameters.filter { $0.name.hasPrefix(prefix) }.reduce(0) { $0 + $1.parameter.count }
    }
    let parts = [
      ("image_encoder.", 8_537_024), ("mask_encoder.", 8_814_410), ("key_projector.", 409_920),
      ("pix_projector.", 262_400), ("KPFF.", 213_377), ("mask_decoder.", 4_606_849),
      ("pixel_fuser.", 2_558_218), ("object_transformer.", 9_338_643),
      ("object_summarizer.", 267_280), ("aux_computer.", 66_049), ("b_proj.", 2048),
      ("a_proj.", 2048), ("A_log", 8), ("dt_bias", 8),
    ]
    for (name, expected) in parts { #expect(part(name) == expected, "\(name)") }
    #expect(try Self.model(.light).parameterCount(.trained) < 2_000_000)
  }

  @Test("a clip is its frames one after another, whatever the batch", arguments: [1, 2])
  func stream(objects: Int) throws {
    var configuration = Self.tiny
    configuration.objects = objects
    let model = try Self.model(configuration)
    let clips = clip(batch: 2)
    let whole = model.segmented(clips)
    #expect(whole.frames.count == 3)
    #expect(whole.frames[0].logits.shape == [2, 32, 48, objects + 1])
    for item in 0..<2 {
      var state: GDKVMState?
      for index in 0..<3 {
        let frame = clips.sliced(axis: 0, item..<item + 1).sliced(axis: 1, index..<index + 1)
          .reshaped(to: [1, 32, 48, 1])
        let result = model.step(model.encoded(frame), state: state)
        state = result.state
        let expected = whole.frames[index].logits.sliced(axis: 0, item..<item + 1)
        #expect(Mismatch(result.frame.logits, expected, absolute: 1e-4, relative: 1e-4) == nil)
      }
    }
  }

  @Test("the state does not grow")
  func constantState() throws {
    let model = try Self.model()
    var state: GDKVMState?
    var shapes: Set<[Shape]> = []
    for index in 0..<12 {
      let frame = Tensor.random([1, 32, 32, 1], .uniform(0..<1), seed: UInt64(index))
      state = model.step(model.encoded(frame), state: state).state
      guard let state else { continue }
      shapes.insert([state.memory.shape, state.sensory.shape, state.summary.shape])
    }
    #expect(shapes.count == 1)
  }

  @Test("probabilities of objects and background add up to 1, and a first mask matters")
  func masks() throws {
    let model = try Self.model()
    let clips = clip()
    let plain = model.segmented(clips)
    for frame in plain.frames {
      let probabilities = frame.logits.softmax().sliced(axis: -1, 1..<2)
      #expect(Mismatch(frame.masks, probabilities, absolute: 1e-5) == nil)
    }
    let given = model.segmented(clips, firstMasks: .ones([1, 32, 48, 1]))
    #expect(Mismatch(given.frames[0].logits, plain.frames[0].logits, absolute: 1e-4) != nil)
  }

  @Test("without memory every frame is a first frame")
  func memoryless() throws {
    var configuration = Self.tiny
    configuration.usesMemory = false
    let model = try Self.model(configuration)
    let clips = clip()
    let all = model.segmented(clips)
    let last = clips.sliced(axis: 1, 2..<3)
    #expect(
      Mismatch(all.frames[2].logits, model.segmented(last).frames[0].logits, absolute: 1e-4) == nil)
    let remembering = try Self.model()
    #expect(
      Mismatch(
        remembering.segmented(clips).frames[2].logits, remembering.segmented(last).frames[0].logits,
        absolute: 1e-4)
        != nil)
  }

  @Test("folding norms into convolutions changes nothing")
  func folding() throws {
    let model = try Self.model()
    // Statistics and scales away from 0 and 1.
    var generator = SeededGenerator(seed: 3)
    for entry in model.state where entry.name.contains("bn") {
      switch entry.content {
      case .parameter(let parameter), .buffer(let parameter):
        parameter.update { generator.fillUniform($0, low: 0.5, high: 1.5) }
      case .derived: break
      }
    }
    let folded = model.segmented(clip()).frames[2].logits
    model.setRequiresGradient(true)
    let plain = model.segmented(clip()).frames[2].logits.detached()
    #expect(Mismatch(folded, plain, absolute: 1e-4, relative: 1e-4) == nil)
  }

  @Test("points are drawn where a segmentation is least certain")
  func points() {
    // Certain in the left half, uncertain in the right one.
    let logits = Tensor([1, 8, 8, 2]) { values in
      for pixel in 0..<64 {
        values[2 * pixel] = pixel % 8 < 4 ? -9 : 0.1
        values[2 * pixel + 1] = -values[2 * pixel]
      }
    }
    var generator = SeededGenerator(seed: 1)
    let drawn = PointLoss.points(200, logits: logits, using: &generator).values
    let right = (0..<200).count { drawn[2 * $0] > 0.5 }
    // Three quarters by choice, half of the rest by chance.
    #expect((155...195).contains(right))
    #expect(drawn.allSatisfy { (0..<1).contains($0) })
    var again = SeededGenerator(seed: 1)
    #expect(PointLoss.points(200, logits: logits, using: &again).values == drawn)
  }

  @Test("gradients reach every parameter")
  func gradients() throws {
    let model = try Self.model()
    model.setRequiresGradient(true)
    model.setTraining(true)
    let result = model.segmented(clip(batch: 2), withAuxiliary: true)
    let terms = result.frames.flatMap { frame in
      ([frame.logits] + frame.queryLogits + [frame.sensoryLogits].compactMap(\.self)).map {
        ($0 * Tensor.random($0.shape, seed: 4)).sum()
      }
    }
    let gradients = terms.dropFirst().reduce(terms[0], +).gradients()
    for (name, parameter) in model.parameters {
      let gradient = parameter.gradient(in: gradients)
      #expect(gradient != nil, "\(name)")
      #expect(gradient?.isFinite ?? false, "\(name)")
    }
  }

  @Test("an image is a clip of one frame, of any size")
  func image() throws {
    let model = try Self.model()
    let image = Tensor.random([1, 32, 48, 1], .uniform(0..<1), seed: 3)
    let frame = model.step(model.encoded(image), state: nil).frame
    #expect(Mismatch(model(image), frame.logits, absolute: 1e-5) == nil)
    #expect(model(image.sliced(axis: 1, 0..<27)).shape == [1, 27, 48, 2])
  }

  @Test("multiply-adds are those of the parts, whatever the size")
  func multiplyAdds() throws {
    let model = try Self.model(.full)
    // The image encoder alone: a ResNet-50 at 224 x 224 has 4.1e9, its last stage 0.8e9.
    let whole = model.multiplyAdds(height: 224, width: 224)
    #expect((9_000_000_000...20_000_000_000).contains(whole))
    #expect(whole > 3 * model.multiplyAdds(height: 112, width: 112))
  }

  @Test("invalid sizes are named")
  func invalid() {
    var configuration = GDKVMConfiguration.full
    configuration.heads = 7
    #expect(throws: ModelError.self) { try configuration.validate() }
    configuration = .full
    configuration.queries = 3
    #expect(
      throws: ModelError.invalidValue(
        key: "num_queries", value: "3", architecture: "gdkvm", rule: "it must be even")
    ) { try configuration.validate() }
  }

  @Test(
    "log-odds from logits are those from probabilities, and exact beyond them",
    arguments: [1, 2, 3])
  func logOdds(objects: Int) {
    let logits = Tensor.random([5, 7, objects], .uniform(-4..<4), seed: 2)
    #expect(
      Mismatch(
        Aggregation.logOdds(logits: logits),
        Aggregation.logOdds(probabilities: logits.sigmoid()), absolute: 1e-4) == nil)
    let far = Aggregation.logOdds(logits: Tensor([1, objects], repeating: 12))
    #expect(abs(far.values[1] - 12) < 1e-5)
    let limit = Aggregation.logOdds(logits: Tensor([1, objects], repeating: 50))
    #expect(abs(limit.values[1] - 16.118095) < 1e-5)
    #expect(abs(limit.values[0] + 16.118095) < 1e-5)
  }

  @Test("the area average is the mean of what a pixel touches")
  func area() {
    let image = Tensor([1, 2, 5, 1], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    // Columns 0…1, 1…3 and 3…4 of both rows.
    #expect(
      Mismatch(image.areaAveraged(to: [1, 3]).values, [4, 5.5, 7], absolute: 1e-5) == nil)
    #expect(image.areaAveraged(to: [2, 1]).values == [3, 8])
    #expect(image.areaAveraged(to: [2, 5]).values == image.values)
  }

  @Test("small steps against the gradient lower the loss")
  func descends() throws {
    let model = try Self.model()
    model.setRequiresGradient(true)
    let clips = clip(frames: 2)
    let labels = Tensor([2, 32, 48, 2]) { values in
      for pixel in 0..<2 * 32 * 48 {
        let (row, column) = (pixel / 48 % 32, pixel % 48)
        let isInside = (12..<36).contains(column) && row > 8
        values[2 * pixel] = isInside ? 0 : 1
        values[2 * pixel + 1] = isInside ? 1 : 0
      }
    }
    // The same points throughout: those that training draws follow the logits.
    let points = Tensor.random([2, 400, 2], .uniform(0..<1), seed: 5)
    var losses: [Float] = []
    for _ in 0..<6 {
      let logits = Tensor.concatenate(model.segmented(clips).frames.map(\.logits), axis: 0)
      let (read, truth) = (logits.sampled(at: points), labels.sampled(at: points))
      let loss =
        PointLoss.crossEntropy(logits: read, labels: truth)
        + PointLoss.dice(logits: read, labels: truth)
      losses.append(loss.scalar)
      let gradients = loss.gradients()
      let found = model.parameters.compactMap { entry in
        entry.parameter.gradient(in: gradients).map { (entry.parameter, $0) }
      }
      let norm = Float(found.reduce(0) { $0 + $1.1.sumOfSquares }.squareRoot())
      for (parameter, gradient) in found {
        parameter.update { values in
          gradient.withValues {
            for index in values.indices { values[index] -= 0.02 * $0[index] / norm }
          }
        }
      }
    }
    #expect(losses[5] < losses[0], "\(losses)")
  }
}

@Suite("GDKVM parity")
struct GDKVMParityTests {
  @Test(
    "the golden files of this family pass",
    arguments: [
      "op.gated_delta_rule__batch", "op.gated_delta_rule__t1", "op.gated_delta_rule__t37",
      "op.frame_gated_delta_rule__v1", "op.frame_gated_delta_rule__v2",
      "op.aggregate__two_objects", "op.point_sample__bilinear", "op.sine_encoding_2d__16_5x4",
      "block.ca_res__projected", "block.ca_res__same", "block.key_projector__small",
      "block.feature_fuser__two_objects", "block.mask_upsample__two_objects",
      "block.multiscale_sensory_updater__two_objects", "block.sensory_updater__two_objects",
      "block.object_summarizer__small", "block.pixel_fuser__two_objects",
      "block.query_transformer__small", "block.kpff__reduced_hidden", "model.gdkvm__e2e_v1",
      "model.gdkvm__e2e_v2", "loss.point_cross_entropy__two_frames",
      "loss.point_dice__two_frames", "metric.ejection_fraction__single_view",
    ])
  func goldens(name: String) throws {
    let result = ParityRunner.run(try Golden.path(name))
    #expect(result.outcome == .passed, "\(result.lines.joined(separator: "\n"))")
    #expect(name.hasPrefix(result.subject ?? "?"))
  }

  @Test(
    "a changed result fails alone",
    arguments: [
      ("op.gated_delta_rule__t37", "output.state"),
      ("op.gated_delta_rule__batch", "grad.input.alpha"),
      ("op.frame_gated_delta_rule__v2", "expect.beta"),
      ("block.query_transformer__small", "grad.param.query_init.weight"),
      ("block.object_summarizer__small", "grad.input.mask"),
    ])
  func changed(name: String, tensor: String) throws {
    var golden = try Golden(name)
    let largest = try #require(golden[tensor]).values.map(\.magnitude).max() ?? 0
    try golden.change(tensor) { $0 + 0.01 * largest }
    let result = ParityRunner.run(try golden.file())
    #expect(result.comparisons.filter { !$0.passed }.map(\.tensor) == [tensor])
  }

  @Test("v1 and v2 are told apart")
  func variants() throws {
    var golden = try Golden("op.frame_gated_delta_rule__v2")
    try golden.replace("\"v2\"", with: "\"v1\"", in: "config")
    #expect(ParityRunner.run(try golden.file()).outcome == .failed)
    try golden.replace("\"v1\"", with: "\"v3\"", in: "config")
    #expect(
      ParityRunner.run(try golden.file()).message
        == "config \"variant\" is \"v3\", expected v2 or v1")
  }
}
