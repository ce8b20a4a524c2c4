import Layers
import Randomness
import TensorCore

/// Frequency-dynamic convolution.
enum FDConvFamily {
  static let subjects: [any ParitySubject.Type] = [FDConvSubject.self, FDConvBandsSubject.self]
}

extension SubjectConfiguration {
  /// A flag.
  fileprivate mutating func flag(_ key: String) throws(ParityError) -> Bool {
    guard case .bool(let value) = try value(key) else {
      throw .invalidValue(key: key, value: "no flag", rule: "expected true or false")
    }
    return value
  }

  /// One of several texts.
  fileprivate mutating func choice<Choice: RawRepresentable & CaseIterable>(
    _ key: String, _ type: Choice.Type
  ) throws(ParityError) -> Choice where Choice.RawValue == String {
    let text = try value(key).string
    guard let text, let choice = Choice(rawValue: text) else {
      throw .invalidValue(
        key: key, value: text.map { "\"\($0)\"" } ?? "no text",
        rule: "expected one of " + Choice.allCases.map(\.rawValue).joined(separator: ", "))
    }
    return choice
  }

  /// The keys of a band modulation.
  fileprivate mutating func bands() throws(ParityError) -> FrequencyBandConfiguration {
    var bands = FrequencyBandConfiguration()
    bands.divisors = try integers("k_list")
    bands.weighsLowest = try flag("lowfreq_att")
    bands.activation = try choice("act", FrequencyBandConfiguration.Activation.self)
    bands.channelParts = try integer("spatial_group")
    bands.kernel = try integer("spatial_kernel", in: 1...31)
    bands.grid = try integer("grid", in: 2...4096)
    return bands
  }
}

/// Masks of all bands as numbers, `[bands, 1, height, width/2 + 1]`.
private func masks(_ bands: FrequencyBands, height: Int, width: Int) -> Tensor {
  Tensor(
    [bands.divisors.count, 1, height, width / 2 + 1],
    bands.divisors.flatMap { divisor in
      bands.mask(divisor, height: height, width: width).map { $0 ? 1 : 0 }
    })
}

/// `layer.fdconv`: x `[B, I, H, W]` to y.
private struct FDConvSubject: ParitySubject {
  static let name = "layer.fdconv"

  let layer: FDConv
  let bands: FrequencyBandConfiguration
  let inputs: [String: TensorRule]
  var module: (any Module)? { layer }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let inChannels = try configuration.integer("in_channels", in: 1...4096)
    let outChannels = try configuration.integer("out_channels", in: 1...4096)
    let kernel = try configuration.integer("kernel_size", in: 1...31)
    let stride = try configuration.integer("stride", in: 1...31)
    let padding = try configuration.integer("padding", in: 0...64)
    let dilation = try configuration.integer("dilation", in: 1...31)
    let groups = try configuration.integer("groups", in: 1...4096)
    let hasBias = try configuration.flag("bias")
    var options = FDConvConfiguration()
    options.reduction = try configuration.number("reduction")
    options.kernelCount =
      try configuration.value("kernel_num") == .null
      ? nil : try configuration.integer("kernel_num", in: 1...1 << 16)
    options.kernelTemperature = try configuration.number("kernel_temp")
    options.temperature =
      try configuration.value("temp") == .null ? nil : try configuration.number("temp")
    options.attentionMultiplier = try configuration.number("att_multi")
    options.copies = try configuration.integer("param_ratio", in: 1...64)
    options.keptShare = try configuration.number("param_reduction")
    options.channelThreshold = try configuration.integer("use_fdconv_if_c_gt", in: 0...1 << 20)
    options.kernelSizes = try configuration.integers("use_fdconv_if_k_in")
    options.bandKernelSizes = try configuration.integers("use_fbm_if_k_in")
    options.modulatesBandsForStride = try configuration.flag("use_fbm_for_stride")
    options.onlyGroupAttention = try configuration.flag("ksm_only_kernel_att")
    options.usesLocalAttention = try configuration.flag("use_ksm_local")
    options.localActivation = try configuration.choice(
      "ksm_local_act", FDConvConfiguration.Activation.self)
    options.globalActivation = try configuration.choice(
      "ksm_global_act", FDConvConfiguration.Activation.self)
    try configuration.require("convert_param", .bool(true))
    var nested = try configuration.nested("fbm_cfg")
    options.bands = try nested.bands()
    try nested.finish()
    bands = options.bands
    options.layerNormEps = try configuration.number("ln_eps")
    options.batchNormEps = try configuration.number("bn_eps")
    options.batchNormMomentum = try configuration.number("bn_momentum")
    var generator = SeededGenerator(seed: 0)
    do {
      layer = try FDConv(
        inChannels: inChannels, outChannels: outChannels, kernel: [kernel, kernel],
        stride: [stride, stride], padding: [padding, padding], dilation: [dilation, dilation],
        groups: groups, hasBias: hasBias, configuration: options, using: &generator)
    } catch {
      throw .weights(error)
    }
    inputs = ["x": .image("B", .size(inChannels), "H", "W")]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  private func operand(_ operands: [String: Tensor]) -> Tensor {
    guard let x = operands["x"] else { preconditionFailure("\(Self.name): no x") }
    return x
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] { ["y": layer(operand(operands))] }

  func expectation(_ name: String, _ operands: [String: Tensor]) -> Tensor? {
    let x = operand(operands)
    let (batch, k) = (x.shape[0], layer.kernel)
    let attention = layer.attention(x)
    switch name {
    case "KSM_Global.channel":
      return attention?.channel?.reshaped(to: [batch, 1, 1, layer.inChannels, 1, 1])
    case "KSM_Global.filter":
      return attention?.filter?.reshaped(to: [batch, 1, layer.outChannels, 1, 1, 1])
    case "KSM_Global.spatial":
      return attention?.spatial?.reshaped(to: [batch, 1, 1, 1, k, k])
    case "KSM_Global.kernel":
      return attention.map { $0.kernel.reshaped(to: [batch, $0.kernel.shape[1], 1, 1, 1, 1]) }
    case "KSM_Local":
      return layer.localLogits(x).map {
        $0.reshaped(to: [batch, 1, layer.inChannels, layer.outChannels * k * k])
      }
    case "fdw_spatial_weight": return layer.spatialKernels(x)
    case "FBM": return layer.bandModulation.map { TensorRule.Layout.channelsSecond.exported($0(x)) }
    case "indices":
      guard let order = layer.coefficientOrder else { return nil }
      let copies = layer.configuration.copies
      let groups = layer.configuration.groups(outChannels: layer.outChannels)
      let table = order.rows + order.columns
      return Tensor(
        [copies, 2, groups, order.rows.count / groups],
        (0..<copies).flatMap { _ in table.map(Float.init) })
    case "fbm_masks_64x33":
      return masks(
        FrequencyBands(divisors: bands.divisors, grid: bands.grid), height: bands.grid,
        width: bands.grid)
    default: return nil
    }
  }
}

/// `layer.fdconv_fbm`: x `[B, C, H, W]` to y.
private struct FDConvBandsSubject: ParitySubject {
  static let name = "layer.fdconv_fbm"

  let layer: FrequencyBandModulation
  let inputs: [String: TensorRule]
  var module: (any Module)? { layer }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let channels = try configuration.integer("in_channels", in: 1...4096)
    var generator = SeededGenerator(seed: 0)
    let options = try configuration.bands()
    do {
      layer = try FrequencyBandModulation(
        channels: channels, configuration: options, using: &generator)
    } catch {
      throw .weights(error)
    }
    inputs = ["x": .image("B", .size(channels), "H", "W")]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    guard let x = operands["x"] else { preconditionFailure("\(Self.name): no x") }
    return ["y": layer(x)]
  }

  func expectation(_ name: String, _ operands: [String: Tensor]) -> Tensor? {
    guard let x = operands["x"] else { return nil }
    let grid = layer.configuration.grid
    return switch name {
    case "fbm_masks_64x33": masks(layer.bands, height: grid, width: grid)
    case "fbm_masks_resized": masks(layer.bands, height: x.shape[1], width: x.shape[2])
    default: nil
    }
  }
}
