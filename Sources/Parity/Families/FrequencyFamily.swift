import Layers
import Models
import Randomness
import TensorCore

/// FS-RWKV and its parts.
enum FrequencyFamily {
  static let subjects: [any ParitySubject.Type] = [
    HaarSubject.self, ContextShiftSubject.self, WaveletShiftSubject.self, LSConvSubject.self,
    EnhancementSubject.self, FrequencyBlockSubject.self, FSRWKVSubject.self,
    TranslationLossSubject.self,
  ]
}

/// `op.haar_dwt`: x `[B, C, H, W]` to low `[B, C, H', W']` and high `[B, C, 3, H', W']`.
private struct HaarSubject: ParitySubject {
  static let name = "op.haar_dwt"

  let boundary: WaveletBoundary
  let inputs: [String: TensorRule] = ["x": .image("B", "C", "H", "W")]

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    boundary = try configuration.haarBoundary("mode")
    try configuration.require("levels", .number("1"))
    try configuration.require("wavelet", .string("haar"))
  }

  func layout(ofOutput name: String) -> TensorRule.Layout {
    name == "low" ? .channelsSecond : .same
  }

  private func bands(_ x: Tensor) -> Tensor {
    x.waveletDecomposed(by: .haar, boundary: boundary, axes: [1, 2])
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let bands = bands(onlyOperand(operands))
    let image = Shape(Array(bands.shape.dimensions.dropFirst()))
    return [
      "low": bands.sliced(axis: 0, 0..<1).reshaped(to: image),
      "high": bands.sliced(axis: 0, 1..<4).permuted([1, 4, 0, 2, 3]),
    ]
  }

  func expectation(_ name: String, _ operands: [String: Tensor]) -> Tensor? {
    guard name == "inverse" else { return nil }
    return TensorRule.Layout.channelsSecond.exported(
      bands(onlyOperand(operands)).waveletComposed(
        by: .haar, boundary: boundary, axes: [1, 2]))
  }
}

extension SubjectConfiguration {
  /// A mode of the Haar transforms of golden files.
  fileprivate mutating func haarBoundary(_ key: String) throws(ParityError) -> WaveletBoundary {
    switch try value(key).string {
    case "zero": return .zero
    case "symmetric": return .symmetric
    case let other:
      throw .invalidValue(
        key: key, value: other ?? "no text", rule: "expected \"zero\" or \"symmetric\"")
    }
  }

  /// The constants of norms that an enhancement or its parts have.
  fileprivate mutating func norms(withLayerNorm: Bool) throws(ParityError) -> EnhancementNorms {
    var norms = EnhancementNorms()
    norms.groupNormEps = Float(try number("gn_eps"))
    norms.batchNormEps = Float(try number("bn_eps"))
    norms.batchNormMomentum = Float(try number("bn_momentum"))
    if withLayerNorm { norms.layerNormEps = Float(try number("ln_eps")) }
    return norms
  }

  /// Sizes of large and small kernels and groups, with a number of channels that they divide.
  fileprivate mutating func adaptive() throws(ParityError) -> (
    channels: Int, large: Int, small: Int, group: Int
  ) {
    let channels = try integer("channels", in: 2...4096)
    func odd(_ key: String) throws(ParityError) -> Int {
      let size = try integer(key, in: 1...31)
      guard size % 2 == 1 else {
        throw .invalidValue(key: key, value: "\(size)", rule: "expected an odd number")
      }
      return size
    }
    let (large, small) = (try odd("large_kernel"), try odd("small_kernel"))
    let group = try integer("group_channels", in: 1...4096)
    guard channels % group == 0, channels % 2 == 0, channels % min(8, channels) == 0 else {
      throw .invalidValue(
        key: "channels", value: "\(channels)",
        rule: "expected an even multiple of 8 and of group_channels")
    }
    return (channels, large, small, group)
  }
}

/// A scalar parameter and what golden files call it.
private final class ShiftWeights: Module {
  let parameters: [(name: String, parameter: Parameter)]
  let filters: [(name: String, shape: Shape)]

  init(_ names: [String], filters: [(name: String, shape: Shape)] = []) {
    parameters = names.map { ($0, Parameter([], repeating: 0.5)) }
    self.filters = filters
  }

  subscript(index: Int) -> Tensor { parameters[index].parameter.tensor }

  var members: [Member] {
    parameters.map { .parameter($0.name, $0.parameter) }
      + filters.map { filter in
        .derived(filter.name, filter.shape) { Tensor(filter.shape, repeating: 0) }
      }
  }
}

extension Tensor {
  /// `w · shift(x) + (1 − w) · x`.
  fileprivate func contextMixed(_ w: Tensor) -> Tensor {
    contextShifted() * w + self * (1 - w)
  }
}

/// `layer.cts_shift`: x `[B, T, C]` to y.
private struct ContextShiftSubject: ParitySubject {
  static let name = "layer.cts_shift"

  let weights = ShiftWeights(["weight"])
  let height: Int
  let width: Int
  let inputs: [String: TensorRule]
  var module: (any Module)? { weights }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let channels = try configuration.integer("channels", in: 1...1 << 16)
    height = try configuration.integer("height", in: 1...1 << 12)
    width = try configuration.integer("width", in: 1...1 << 12)
    inputs = ["x": .same("B", .size(height * width), .size(channels))]
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let x = onlyOperand(operands)
    let image = x.reshaped(to: [x.shape[0], height, width, x.shape[2]])
    return ["y": image.contextMixed(weights[0]).reshaped(to: x.shape)]
  }
}

/// `layer.dwt_shift`: x `[B, T, C]` to y.
private struct WaveletShiftSubject: ParitySubject {
  static let name = "layer.dwt_shift"

  let weights = ShiftWeights(
    ["weight", "input_shift.weight", "ll_shift.weight"],
    filters: ["dwt.h", "idwt.g"].flatMap { bank in
      ["0", "1"].flatMap { band -> [(name: String, shape: Shape)] in
        [("\(bank)\(band)_col", [1, 1, 2, 1]), ("\(bank)\(band)_row", [1, 1, 1, 2])]
      }
    })
  let height: Int
  let width: Int
  let inputs: [String: TensorRule]
  var module: (any Module)? { weights }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let channels = try configuration.integer("channels", in: 1...1 << 16)
    height = try configuration.integer("height", in: 1...1 << 12)
    width = try configuration.integer("width", in: 1...1 << 12)
    try configuration.require("wavelet", .string("haar"))
    try configuration.require("dwt_mode", .string("zero"))
    try configuration.require("resize", .string("bilinear"))
    try configuration.require("align_corners", .bool(false))
    inputs = ["x": .same("B", .size(height * width), .size(channels))]
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let x = onlyOperand(operands)
    let image = x.reshaped(to: [x.shape[0], height, width, x.shape[2]])
    let shifted = image.waveletShifted(
      input: { $0.contextMixed(weights[1]) }, low: { $0.contextMixed(weights[2]) })
    return ["y": (shifted * weights[0] + image * (1 - weights[0])).reshaped(to: x.shape)]
  }
}

/// `block.lsconv`: x `[B, C, H, W]` to y.
private struct LSConvSubject: ParitySubject {
  static let name = "block.lsconv"

  let layer: LargeSmallConvolution
  let inputs: [String: TensorRule]
  var module: (any Module)? { layer }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let sizes = try configuration.adaptive()
    let norms = try configuration.norms(withLayerNorm: false)
    var generator = initialGenerator()
    layer = LargeSmallConvolution(
      channels: sizes.channels, largeKernel: sizes.large, smallKernel: sizes.small,
      group: sizes.group, norms: norms, using: &generator)
    inputs = ["x": .image("B", .size(sizes.channels), "H", "W")]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    ["y": layer(onlyOperand(operands))]
  }
}

/// `block.sfeb`: x `[B, C, H, W]` to y.
private struct EnhancementSubject: ParitySubject {
  static let name = "block.sfeb"

  let block: FrequencyEnhancement
  let inputs: [String: TensorRule]
  var module: (any Module)? { block }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let sizes = try configuration.adaptive()
    let norms = try configuration.norms(withLayerNorm: true)
    try configuration.require("wavelet", .string("haar"))
    try configuration.require("dwt_mode", .string("symmetric"))
    let kernels = try configuration.integers("kernels")
    guard !kernels.isEmpty, Set(kernels).count == kernels.count,
      kernels.allSatisfy({ (1...31).contains($0) && $0 % 2 == 1 })
    else {
      throw .invalidValue(
        key: "kernels", value: "\(kernels)", rule: "expected different odd numbers")
    }
    var generator = initialGenerator()
    block = FrequencyEnhancement(
      channels: sizes.channels, kernels: kernels, largeKernel: sizes.large,
      smallKernel: sizes.small, group: sizes.group, norms: norms, using: &generator)
    inputs = ["x": .image("B", .size(sizes.channels), "H", "W")]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    ["y": block(onlyOperand(operands))]
  }
}

/// `block.fs_rwkv`: x `[B, C, H, W]` to y.
private struct FrequencyBlockSubject: ParitySubject {
  static let name = "block.fs_rwkv"

  let block: FrequencyBlock
  let inputs: [String: TensorRule]
  var module: (any Module)? { block }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let channels = try configuration.integer("channels", in: 1...4096)
    try configuration.require("key_norm", .bool(false))
    try configuration.require("wavelet", .string("haar"))
    try configuration.require("dwt_mode", .string("zero"))
    try configuration.require("shift_weight", .number("0.5"))
    let position = LevelPosition(
      index: try configuration.integer("layer_id", in: 0...1 << 16),
      of: try configuration.integer("n_layer", in: 1...1 << 16))
    var generator = initialGenerator()
    block = FrequencyBlock(
      channels: channels, hiddenRate: try configuration.integer("hidden_rate", in: 1...16),
      layerNormEps: Float(try configuration.number("ln_eps")), position: position,
      using: &generator)
    inputs = ["x": .image("B", .size(channels), "H", "W")]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    ["y": block(onlyOperand(operands))]
  }
}

/// `model.fs_rwkv`: x `[B, C, H, W]` to y.
private struct FSRWKVSubject: ParitySubject {
  static let name = "model.fs_rwkv"

  let model: FSRWKV
  let inputs: [String: TensorRule]
  var module: (any Module)? { model }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    var hyperparameters = FSRWKVConfiguration()
    hyperparameters.channels = try configuration.integer("dim")
    hyperparameters.blocks = try configuration.integers("num_blocks")
    hyperparameters.refinementBlocks = try configuration.integer(
      "num_refinement_blocks", in: 0...1 << 24)
    hyperparameters.inChannels = try configuration.integer("in_channels")
    hyperparameters.outChannels = try configuration.integer("out_channels")
    hyperparameters.hiddenRate = try configuration.integer("hidden_rate")
    try configuration.require("recurrences", .number("1"))
    try configuration.require("wavelet", .string("haar"))
    try configuration.require("shift_dwt_mode", .string("zero"))
    try configuration.require("sfeb_dwt_mode", .string("symmetric"))
    try configuration.require("shift_weight", .number("0.5"))
    let norms = try configuration.norms(withLayerNorm: true)
    hyperparameters.layerNormEps = norms.layerNormEps
    hyperparameters.groupNormEps = norms.groupNormEps
    hyperparameters.batchNormEps = norms.batchNormEps
    hyperparameters.batchNormMomentum = norms.batchNormMomentum
    var generator = initialGenerator()
    do {
      model = try FSRWKV(hyperparameters, using: &generator)
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

/// `loss.fs_rwkv`: x and target `[B, 1, H, W]` to y.
private struct TranslationLossSubject: ParitySubject {
  static let name = "loss.fs_rwkv"

  let loss: TranslationLoss
  let inputs: [String: TensorRule] = ["x": .image("B", "C", "H", "W")]
  let target: TensorRule? = .image("B", "C", "H", "W")

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    var loss = TranslationLoss()
    loss.smoothBeta = Float(try configuration.number("smooth_l1_beta"))
    loss.similarityWeight = Float(try configuration.number("lambda_ssim"))
    loss.edgeWeight = Float(try configuration.number("lambda_edge"))
    loss.edgeEps = Float(try configuration.number("edge_eps"))
    loss.similarity.window = try configuration.integer("window", in: 1...63)
    loss.similarity.sigma = try configuration.number("sigma")
    loss.similarity.dataRange = try configuration.number("data_range")
    loss.similarity.k1 = try configuration.number("k1")
    loss.similarity.k2 = try configuration.number("k2")
    loss.similarity.crop = try configuration.integer("crop", in: 0...1024)
    guard loss.similarity.window % 2 == 1, loss.smoothBeta > 0, loss.similarity.sigma > 0,
      loss.similarity.crop >= loss.similarity.window / 2
    else {
      throw .invalidValue(
        key: "window", value: "\(loss.similarity.window)",
        rule: "expected an odd window, crop from half of it on, smooth_l1_beta and sigma above 0")
    }
    self.loss = loss
  }

  private func operands(_ operands: [String: Tensor]) -> (Tensor, Tensor) {
    guard let target = operands["target"] else { preconditionFailure("\(Self.name): no target") }
    return (onlyOperand(operands), target)
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let (x, target) = self.operands(operands)
    return ["y": loss(x, target)]
  }

  func expectation(_ name: String, _ operands: [String: Tensor]) -> Tensor? {
    let (x, target) = self.operands(operands)
    let terms = loss.terms(x, target)
    return switch name {
    case "smooth_l1": terms.smoothL1
    case "ssim": terms.similarity
    case "edge": terms.edge
    default: nil
    }
  }
}
