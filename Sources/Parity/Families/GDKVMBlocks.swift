import Layers
import Models
import TensorCore

/// The blocks of GDKVM.
enum GDKVMBlocks {
  static let subjects: [any ParitySubject.Type] = [
    ChannelAttentionSubject.self, KeyProjectorSubject.self, KPFFSubject.self,
    FeatureFuserSubject.self, PixelFuserSubject.self, MaskUpsampleSubject.self,
    SensoryUpdaterSubject.self, MultiscaleSensoryUpdaterSubject.self,
    ObjectSummarizerSubject.self, QueryTransformerSubject.self,
  ]
}

/// The largest number of channels that a file may ask for.
private let channelRange = 1...4096

/// `block.ca_res`: x `[B, C, h, w]` to y.
private struct ChannelAttentionSubject: ParitySubject {
  static let name = "block.ca_res"

  let block: ChannelAttentionBlock
  let inputs: [String: TensorRule]
  var module: (any Module)? { block }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let inChannels = try configuration.integer("in_channels", in: channelRange)
    let outChannels = try configuration.integer("out_channels", in: channelRange)
    let kernel = ChannelAttentionBlock.attentionKernel(channels: outChannels)
    try configuration.require("attention_kernel", .number("\(kernel)"))
    var generator = initialGenerator()
    block = ChannelAttentionBlock(
      inChannels: inChannels, outChannels: outChannels, using: &generator)
    inputs = ["x": .image("B", .size(inChannels), "h", "w")]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    ["y": block(Operands(operands)["x"])]
  }
}

/// `block.key_projector`: x `[B, C, h, w]` to y.
private struct KeyProjectorSubject: ParitySubject {
  static let name = "block.key_projector"

  let block: KeyProjector
  let inputs: [String: TensorRule]
  var module: (any Module)? { block }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let inChannels = try configuration.integer("in_channels", in: channelRange)
    var generator = initialGenerator()
    block = KeyProjector(
      inChannels: inChannels,
      hiddenChannels: try configuration.integer("hidden_channels", in: channelRange),
      outChannels: try configuration.integer("out_channels", in: channelRange),
      using: &generator)
    inputs = ["x": .image("B", .size(inChannels), "h", "w")]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    ["y": block(Operands(operands)["x"])]
  }
}

/// `block.kpff`: key `[B, K, h, w]` and pixel features `[B, P, h, w]` to y.
private struct KPFFSubject: ParitySubject {
  static let name = "block.kpff"

  let block: KeyPixelFeatureFusion
  let inputs: [String: TensorRule]
  var module: (any Module)? { block }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let key = try configuration.integer("key_channels", in: channelRange)
    let pixel = try configuration.integer("pixel_channels", in: channelRange)
    var generator = initialGenerator()
    block = KeyPixelFeatureFusion(
      keyChannels: key, pixelChannels: pixel,
      hiddenChannels: try configuration.integer("hidden_channels", in: channelRange),
      using: &generator)
    inputs = [
      "key": .image("B", .size(key), "h", "w"), "pixfeat": .image("B", .size(pixel), "h", "w"),
    ]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let o = Operands(operands)
    return ["y": block(key: o["key"], pixels: o["pixfeat"])]
  }
}

/// `block.feature_fuser`: x `[B, X, h, w]` and y `[B, N, Y, h, w]` to y `[B, N, C, h, w]`.
private struct FeatureFuserSubject: ParitySubject {
  static let name = "block.feature_fuser"

  let block: FeatureFuser
  let inputs: [String: TensorRule]
  var module: (any Module)? { block }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let x = try configuration.integer("x_channels", in: channelRange)
    let y = try configuration.integer("y_channels", in: channelRange)
    var generator = initialGenerator()
    block = FeatureFuser(
      frameChannels: x, objectChannels: y,
      outChannels: try configuration.integer("out_channels", in: channelRange),
      using: &generator)
    inputs = [
      "x": .image("B", .size(x), "h", "w"), "y": .same("B", "N", .size(y), "h", "w"),
    ]
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let o = Operands(operands)
    return ["y": Operands.split(block(o["x"], o.objects("y")), batch: o["x"].shape[0])]
  }
}

/// `block.pixel_fuser`, with masks and others at the resolution of the features.
private struct PixelFuserSubject: ParitySubject {
  static let name = "block.pixel_fuser"

  let block: PixelFuser
  let inputs: [String: TensorRule]
  var module: (any Module)? { block }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let pixel = try configuration.integer("pixel_channels", in: channelRange)
    let value = try configuration.integer("value_channels", in: channelRange)
    let sensory = try configuration.integer("sensory_channels", in: channelRange)
    var generator = initialGenerator()
    block = PixelFuser(
      pixelChannels: pixel, valueChannels: value,
      outChannels: try configuration.integer("out_channels", in: channelRange),
      sensoryChannels: sensory, using: &generator)
    inputs = [
      "pixfeat": .image("B", .size(pixel), "h", "w"),
      "readout": .same("B", "N", .size(value), "h", "w"),
      "sensory": .same("B", "N", .size(sensory), "h", "w"),
      "masks": .same("B", "N", "h", "w"), "others": .same("B", "N", "h", "w"),
    ]
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let o = Operands(operands)
    func mask(_ name: String) -> Tensor {
      let s = o[name].shape
      return o[name].reshaped(to: [s[0] * s[1], s[2], s[3], 1])
    }
    let y = block(
      pixels: o["pixfeat"], readout: o.objects("readout"), sensory: o.objects("sensory"),
      mask: mask("masks"), others: mask("others"))
    return ["y": Operands.split(y, batch: o["pixfeat"].shape[0])]
  }
}

/// `block.mask_upsample`: x `[B, N, C, h, w]` and skip `[B, C, s·h, s·w]` to y.
private struct MaskUpsampleSubject: ParitySubject {
  static let name = "block.mask_upsample"

  let block: MaskUpsample
  let inputs: [String: TensorRule]
  var module: (any Module)? { block }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let inChannels = try configuration.integer("in_channels", in: channelRange)
    let scale = try configuration.integer("scale", in: 1...64)
    var generator = initialGenerator()
    block = MaskUpsample(
      inChannels: inChannels,
      outChannels: try configuration.integer("out_channels", in: channelRange), scale: scale,
      using: &generator)
    inputs = [
      "x": .same("B", "N", .size(inChannels), "h", "w"),
      "skip": .image(
        "B", .size(inChannels), .scaled("h", by: scale), .scaled("w", by: scale)),
    ]
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let o = Operands(operands)
    let y = block(o.objects("x"), skip: o["skip"])
    return ["y": Operands.split(y, batch: o["skip"].shape[0])]
  }
}

/// `block.sensory_updater`: value and sensory memory `[B, N, ·, h, w]` to the new memory.
private struct SensoryUpdaterSubject: ParitySubject {
  static let name = "block.sensory_updater"

  let block: SensoryUpdater
  let inputs: [String: TensorRule]
  var module: (any Module)? { block }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let value = try configuration.integer("value_channels", in: channelRange)
    let sensory = try configuration.integer("sensory_channels", in: channelRange)
    var generator = initialGenerator()
    block = SensoryUpdater(valueChannels: value, sensoryChannels: sensory, using: &generator)
    inputs = [
      "value": .same("B", "N", .size(value), "h", "w"),
      "sensory": .same("B", "N", .size(sensory), "h", "w"),
    ]
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let o = Operands(operands)
    let y = block(value: o.objects("value"), sensory: o.objects("sensory"))
    return ["y": Operands.split(y, batch: o["value"].shape[0])]
  }
}

/// `block.multiscale_sensory_updater`: decoder features of three resolutions and the sensory memory to
/// the new memory.
private struct MultiscaleSensoryUpdaterSubject: ParitySubject {
  static let name = "block.multiscale_sensory_updater"

  let block: MultiscaleSensoryUpdater
  let inputs: [String: TensorRule]
  var module: (any Module)? { block }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let v16 = try configuration.integer("v16_channels", in: channelRange)
    let v8 = try configuration.integer("v8_channels", in: channelRange)
    let v4 = try configuration.integer("v4_channels", in: channelRange)
    let sensory = try configuration.integer("sensory_channels", in: channelRange)
    var generator = initialGenerator()
    block = MultiscaleSensoryUpdater(
      channels: [v16, v8, v4],
      middleChannels: try configuration.integer("mid_channels", in: channelRange),
      sensoryChannels: sensory, using: &generator)
    inputs = [
      "sensory": .same("B", "N", .size(sensory), "h", "w"),
      "v16": .same("B", "N", .size(v16), "h", "w"),
      "v8": .same("B", "N", .size(v8), .scaled("h", by: 2), .scaled("w", by: 2)),
      "v4": .same("B", "N", .size(v4), .scaled("h", by: 4), .scaled("w", by: 4)),
    ]
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let o = Operands(operands)
    let y = block(
      v16: o.objects("v16"), v8: o.objects("v8"), v4: o.objects("v4"),
      sensory: o.objects("sensory"))
    return ["y": Operands.split(y, batch: o["sensory"].shape[0])]
  }
}

/// `block.object_summarizer`: a soft mask `[B, N, H, W]` and a value `[B, N, V, h, w]` to tokens
/// `[B, N, Q, E + 1]`.
private struct ObjectSummarizerSubject: ParitySubject {
  static let name = "block.object_summarizer"

  let block: ObjectSummarizer
  let inputs: [String: TensorRule]
  var module: (any Module)? { block }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let value = try configuration.integer("value_channels", in: channelRange)
    let embed = try configuration.integer("embed_channels", in: channelRange)
    try configuration.require("position_encoding", .bool(true))
    var generator = initialGenerator()
    block = ObjectSummarizer(
      valueChannels: value, embedChannels: embed,
      summaries: try configuration.evenInteger("num_summaries"),
      encoding: try configuration.sineEncoding(channels: embed), using: &generator)
    inputs = [
      "value": .same("B", "N", .size(value), "h", "w"),
      "mask": .same("B", "N", "H", "W"),
    ]
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let o = Operands(operands)
    let value = o.objects("value")
    let mask = o["mask"]
    let (batch, objects) = (mask.shape[0], mask.shape[1])
    let small = mask.reshaped(to: [batch * objects, mask.shape[2], mask.shape[3], 1])
      .areaAveraged(to: [value.shape[1], value.shape[2]])
    let tokens = block(mask: small, value: value)
    return [
      "y": tokens.reshaped(to: [batch, objects, tokens.shape[1], tokens.shape[2]])
    ]
  }
}

/// `block.query_transformer`: pixel features `[B, N, E, h, w]` and tokens `[B, N, Q, E + 1]` to pixel
/// features.
private struct QueryTransformerSubject: ParitySubject {
  static let name = "block.query_transformer"

  let block: QueryTransformer
  let inputs: [String: TensorRule]
  var module: (any Module)? { block }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let embed = try configuration.integer("embed_channels", in: channelRange)
    let queries = try configuration.evenInteger("num_queries")
    let heads = try configuration.integer("num_heads", in: channelRange)
    guard embed % heads == 0 else {
      throw .invalidValue(
        key: "embed_channels", value: "\(embed)", rule: "expected a multiple of \(heads) heads")
    }
    var generator = initialGenerator()
    block = QueryTransformer(
      channels: embed, feedForwardChannels: try configuration.integer("ff_channels"),
      blocks: try configuration.integer("num_blocks", in: 1...64), heads: heads,
      queries: queries, encoding: try configuration.sineEncoding(channels: embed),
      areaEps: Float(try configuration.number("area_eps")), using: &generator)
    inputs = [
      "pixel": .same("B", "N", .size(embed), "h", "w"),
      "memory": .same("B", "N", .size(queries), .size(embed + 1)),
    ]
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let o = Operands(operands)
    let memory = o["memory"]
    let s = memory.shape
    let (pixels, _) = block(
      o.objects("pixel"), memory: memory.reshaped(to: [s[0] * s[1], s[2], s[3]]), objects: s[1])
    return ["y": Operands.split(pixels, batch: s[0])]
  }
}

extension SubjectConfiguration {
  /// An even number of at least 2.
  fileprivate mutating func evenInteger(_ key: String) throws(ParityError) -> Int {
    let integer = try integer(key, in: 2...4096)
    guard integer % 2 == 0 else {
      throw .invalidValue(key: key, value: "\(integer)", rule: "expected an even number")
    }
    return integer
  }
}
