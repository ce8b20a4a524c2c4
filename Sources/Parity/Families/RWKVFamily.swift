import Layers
import Models
import Randomness
import TensorCore

/// Restore-RWKV and its parts.
enum RWKVFamily {
  static let subjects: [any ParitySubject.Type] = [
    BiWKVSubject.self, OmniShiftSubject.self, RestoreBlockSubject.self, RestoreRWKVSubject.self,
  ]
}

/// `op.bi_wkv`: w, u `[C]`, k, v `[B, T, C]` to y `[B, T, C]`.
private struct BiWKVSubject: ParitySubject {
  static let name = "op.bi_wkv"

  let inputs: [String: TensorRule]

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let channels = try configuration.integer("channels")
    let length = try configuration.integer("length")
    try configuration.require("distance", .string("abs(t-i)-1"))
    try configuration.require("divide_by_length", .bool(false))
    inputs = [
      "w": .same(.size(channels)), "u": .same(.size(channels)),
      "k": .same("B", .size(length), .size(channels)),
      "v": .same("B", .size(length), .size(channels)),
    ]
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    guard let w = operands["w"], let u = operands["u"], let k = operands["k"],
      let v = operands["v"]
    else { preconditionFailure("op.bi_wkv: operands \(operands.keys.sorted())") }
    let row: Shape = [1, w.count]
    return [
      "y": .bidirectionalWKV(
        decay: w.reshaped(to: row), bonus: u.reshaped(to: row), key: k, value: v, height: 1,
        width: k.shape[1])
    ]
  }
}

/// `layer.omni_shift`: x `[B, C, H, W]` to y.
private struct OmniShiftSubject: ParitySubject {
  static let name = "layer.omni_shift"

  let layer: OmniShift
  let inputs: [String: TensorRule]
  var module: (any Module)? { layer }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let channels = try configuration.integer("channels", in: 1...1 << 16)
    try configuration.require("kernels", .array([.number("1"), .number("3"), .number("5")]))
    var generator = initialGenerator()
    layer = OmniShift(channels: channels, using: &generator)
    inputs = ["x": .image("B", .size(channels), "H", "W")]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    ["y": layer(onlyOperand(operands))]
  }

  func expectation(_ name: String, _ operands: [String: Tensor]) -> Tensor? {
    name == "reparam_weight" ? layer.kernel : nil
  }
}

/// `block.restore_rwkv`: x `[B, C, H, W]` to y, and both mixes of the block's input.
private struct RestoreBlockSubject: ParitySubject {
  static let name = "block.restore_rwkv"

  let block: RestoreBlock
  let inputs: [String: TensorRule]
  var module: (any Module)? { block }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let channels = try configuration.integer("channels", in: 1...4096)
    var generator = initialGenerator()
    block = RestoreBlock(
      channels: channels, hiddenRate: try configuration.integer("hidden_rate", in: 1...16),
      recurrences: try configuration.integer("recurrences", in: 1...64),
      layerNormEps: Float(try configuration.number("ln_eps")), using: &generator)
    inputs = ["x": .image("B", .size(channels), "H", "W")]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    ["y": block(onlyOperand(operands))]
  }

  func expectation(_ name: String, _ operands: [String: Tensor]) -> Tensor? {
    let x = onlyOperand(operands)
    let mixed: Tensor? =
      switch name {
      case "spatial_mix_of_ln1": block.spatialMix(block.norm1(x))
      case "channel_mix_of_ln2": block.channelMix(block.norm2(x))
      default: nil
      }
    return mixed?.reshaped(to: [x.shape[0], x.shape[1] * x.shape[2], x.shape[3]])
  }
}

/// `model.restore_rwkv`: x `[B, C, H, W]` to y.
private struct RestoreRWKVSubject: ParitySubject {
  static let name = "model.restore_rwkv"

  let model: RestoreRWKV
  let inputs: [String: TensorRule]
  var module: (any Module)? { model }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    var hyperparameters = RestoreRWKVConfiguration()
    hyperparameters.channels = try configuration.integer("dim")
    hyperparameters.blocks = try configuration.integers("num_blocks")
    hyperparameters.refinementBlocks = try configuration.integer(
      "num_refinement_blocks", in: 0...1 << 24)
    hyperparameters.inChannels = try configuration.integer("in_channels")
    hyperparameters.outChannels = try configuration.integer("out_channels")
    hyperparameters.hiddenRate = try configuration.integer("hidden_rate")
    hyperparameters.recurrences = try configuration.integer("recurrences")
    hyperparameters.layerNormEps = Float(try configuration.number("ln_eps"))
    var generator = initialGenerator()
    do {
      model = try RestoreRWKV(hyperparameters, using: &generator)
    } catch {
      throw .model(error)
    }
    inputs = ["x": .image("B", .size(model.inChannels), "H", "W")]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    ["y": model(onlyOperand(operands))]
  }
}
