import Layers
import Models
import Randomness
import TensorCore

/// Weighted and translation-variant convolution, their blocks and the denoisers built of them.
enum ConvolutionFamily {
  static let subjects: [any ParitySubject.Type] = [
    WeightedConvolutionSubject.self, TVConvolutionSubject.self, InvertedResidualSubject.self,
    DoubleConvolutionSubject.self, NAFBlockSubject.self, NAFNetSubject.self, DnCNNSubject.self,
  ]
}

/// An image, volume or sequence with any spatial sizes.
private func imageRule(channels: Int, axes: Int) -> TensorRule {
  let spatial = ["D", "H", "W"].suffix(axes).map { TensorRule.Axis.any($0) }
  return TensorRule(layout: .channelsSecond, axes: [.any("B"), .size(channels)] + spatial)
}

extension SubjectConfiguration {
  fileprivate mutating func text(_ key: String, among known: [String]) throws(ParityError) -> String
  {
    let value = try value(key)
    guard let text = value.string, known.contains(text) else {
      throw .invalidValue(
        key: key, value: value.string ?? "no text",
        rule: "expected one of \(known.joined(separator: ", "))")
    }
    return text
  }

  /// Makes sure that a number has the only value that is supported, however it is written.
  fileprivate mutating func requireNumber(_ key: String, _ fixed: Double) throws(ParityError) {
    let number = try number(key)
    guard number == fixed else {
      throw .invalidValue(key: key, value: "\(number)", rule: "only \(fixed) is supported")
    }
  }

  fileprivate mutating func bool(_ key: String) throws(ParityError) -> Bool {
    guard case .bool(let flag) = try value(key) else {
      throw .invalidValue(key: key, value: "no truth value", rule: "expected true or false")
    }
    return flag
  }

  fileprivate mutating func numbers(_ key: String) throws(ParityError) -> [Float] {
    let array = try value(key).array
    let numbers = (array ?? []).compactMap(\.double)
    guard let array, numbers.count == array.count else {
      throw .invalidValue(key: key, value: "no list of numbers", rule: "expected numbers")
    }
    return numbers.map(Float.init)
  }

  /// The keys `density`, `den` and `kernel_size` of a layer, checked against each other.
  fileprivate mutating func density(kernel: Int) throws(ParityError) -> ConvolutionDensity? {
    switch try text("density", among: ["none", "fixed", "trainable"]) {
    case "none": return nil
    case let kind:
      let values = try numbers("den")
      guard kernel == 2 * values.count + 1 else {
        throw .invalidValue(
          key: "den", value: "\(values.count) values",
          rule: "a kernel of side \(kernel) needs \(kernel / 2)")
      }
      return ConvolutionDensity(values, isTrainable: kind == "trainable")
    }
  }

  /// The density of a network as a choice of convolutions.
  fileprivate mutating func convolutionChoice(
    kernel: Int
  ) throws(ParityError) -> ConvolutionChoice {
    guard let density = try density(kernel: kernel) else { return ConvolutionChoice() }
    var choice = ConvolutionChoice(.weighted)
    choice.density = density.values
    choice.isTrainable = density.isTrainable
    return choice
  }

  /// The sizes that all subjects with a translation-variant convolution have.
  fileprivate mutating func tvConvolutionSizes(
    channels: Int
  ) throws(ParityError) -> TVConvolutionSizes {
    var sizes = TVConvolutionSizes(
      channels: channels, height: try integer("height", in: 1...4096),
      width: try integer("width", in: 1...4096))
    sizes.kernel = try integer("kernel_size", in: 1...31)
    sizes.stride = try integer("stride", in: 1...64)
    sizes.affinityChannels = try integer("posi_chans", in: 1...4096)
    sizes.interChannels = try integer("inter_chans", in: 1...4096)
    sizes.interLayers = try integer("inter_layers", in: 0...64)
    guard sizes.kernel % 2 == 1 else {
      throw .invalidValue(key: "kernel_size", value: "\(sizes.kernel)", rule: "it must be odd")
    }
    return sizes
  }
}

/// `layer.weighted_conv`: x `[B, C, spatial…]` to y.
private struct WeightedConvolutionSubject: ParitySubject {
  static let name = "layer.weighted_conv"

  let layer: any ConvolutionLayer
  let inputs: [String: TensorRule]
  var module: (any Module)? { layer }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let axes = try configuration.integer("dims", in: 1...3)
    let inChannels = try configuration.integer("in_channels", in: 1...1 << 16)
    let outChannels = try configuration.integer("out_channels", in: 1...1 << 16)
    let kernel = try configuration.integer("kernel_size", in: 1...31)
    let stride = try configuration.integer("stride", in: 1...1024)
    let padding = try configuration.integer("padding", in: 0...1024)
    let dilation = try configuration.integer("dilation", in: 1...1024)
    let groups = try configuration.integer("groups", in: 1...1 << 16)
    let hasBias = try configuration.bool("bias")
    let density = try configuration.density(kernel: kernel)
    guard inChannels % groups == 0, outChannels % groups == 0 else {
      throw .invalidValue(key: "groups", value: "\(groups)", rule: "it must divide the channels")
    }
    var generator = initialGenerator()
    if let density {
      layer = WeightedConvolution(
        inChannels: inChannels, outChannels: outChannels, density: density, axes: axes,
        stride: stride, padding: padding, dilation: dilation, groups: groups, hasBias: hasBias,
        using: &generator)
    } else {
      func everywhere(_ value: Int) -> [Int] { [Int](repeating: value, count: axes) }
      layer = Convolution(
        inChannels: inChannels, outChannels: outChannels, kernel: everywhere(kernel),
        stride: everywhere(stride), padding: everywhere(padding), dilation: everywhere(dilation),
        groups: groups, hasBias: hasBias, using: &generator)
    }
    inputs = ["x": imageRule(channels: inChannels, axes: axes)]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    ["y": layer(onlyOperand(operands))]
  }
}

/// `layer.tvconv`: x `[B, C, H, W]` to y, and the generated kernels.
private struct TVConvolutionSubject: ParitySubject {
  static let name = "layer.tvconv"

  let layer: TVConvolution
  let inputs: [String: TensorRule]
  var module: (any Module)? { layer }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let channels = try configuration.integer("channels", in: 1...1 << 16)
    let sizes = try configuration.tvConvolutionSizes(channels: channels)
    var generator = initialGenerator()
    layer = TVConvolution(
      sizes, hasBias: try configuration.bool("bias"),
      eps: Float(try configuration.number("ln_eps")), using: &generator)
    inputs = ["x": .image("B", .size(channels), "H", "W")]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    ["y": layer(onlyOperand(operands))]
  }

  func expectation(_ name: String, _ operands: [String: Tensor]) -> Tensor? {
    name == "generated_weight" ? layer.kernels.weights.detached().permuted([3, 2, 0, 1]) : nil
  }
}

/// `block.tvconv_inverted_residual`: x `[B, C, H, W]` to y.
private struct InvertedResidualSubject: ParitySubject {
  static let name = "block.tvconv_inverted_residual"

  let block: InvertedResidual
  let inputs: [String: TensorRule]
  var module: (any Module)? { block }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let inChannels = try configuration.integer("in_channels", in: 1...1 << 16)
    let outChannels = try configuration.integer("out_channels", in: 1...1 << 16)
    let ratio = try configuration.number("expand_ratio")
    guard (0.1...64).contains(ratio) else {
      throw .invalidValue(key: "expand_ratio", value: "\(ratio)", rule: "expected 0.1...64")
    }
    // Halves to even, as the authors' language rounds.
    let hidden = Int((Double(inChannels) * ratio).rounded(.toNearestOrEven))
    let sizes = try configuration.tvConvolutionSizes(channels: hidden)
    var generator = initialGenerator()
    block = InvertedResidual(
      inChannels: inChannels, outChannels: outChannels, hidden: hidden, expands: ratio != 1,
      kind: .translationVariant(
        sizes, eps: Float(try configuration.number("ln_eps")),
        hasBias: try configuration.bool("bias")),
      normEps: Float(try configuration.number("bn_eps")),
      normMomentum: Float(try configuration.number("bn_momentum")), using: &generator)
    inputs = ["x": .image("B", .size(inChannels), "H", "W")]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    ["y": block(onlyOperand(operands))]
  }
}

/// `block.double_conv`: x `[B, C, H, W]` to y.
private struct DoubleConvolutionSubject: ParitySubject {
  static let name = "block.double_conv"

  let block: DoubleConvolution
  let inputs: [String: TensorRule]
  var module: (any Module)? { block }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let inChannels = try configuration.integer("in_channels", in: 1...1 << 16)
    let outChannels = try configuration.integer("out_channels", in: 1...1 << 16)
    let kernel = try configuration.integer("kernel_size", in: 1...31)
    guard kernel % 2 == 1 else {
      throw .invalidValue(key: "kernel_size", value: "\(kernel)", rule: "it must be odd")
    }
    let (eps, momentum) = (
      try configuration.number("bn_eps"), try configuration.number("bn_momentum")
    )
    var generator = initialGenerator()
    do throws(ConvolutionRefusal) {
      block = try DoubleConvolution(
        DoubleConvolution.sites("", from: inChannels, to: outChannels, kernel: kernel),
        ConvolutionChoice(), normEps: Float(eps), normMomentum: Float(momentum), using: &generator)
    } catch {
      throw .invalidValue(key: "kernel_size", value: "\(kernel)", rule: "\(error)")
    }
    inputs = ["x": .image("B", .size(inChannels), "H", "W")]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    ["y": block(onlyOperand(operands))]
  }
}

/// `block.nafnet`: x `[B, C, H, W]` to y.
private struct NAFBlockSubject: ParitySubject {
  static let name = "block.nafnet"

  let block: NAFBlock
  let inputs: [String: TensorRule]
  var module: (any Module)? { block }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let channels = try configuration.integer("channels", in: 1...1 << 16)
    try configuration.requireNumber("dropout", 0)
    var generator = initialGenerator()
    block = NAFBlock(
      channels: channels, depthwiseExpansion: try configuration.integer("dw_expand", in: 1...64),
      feedForwardExpansion: try configuration.integer("ffn_expand", in: 1...64),
      convolution: try configuration.convolutionChoice(kernel: 3),
      eps: Float(try configuration.number("ln_eps")), using: &generator)
    inputs = ["x": .image("B", .size(channels), "H", "W")]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    ["y": block(onlyOperand(operands))]
  }
}

/// `model.nafnet`: x `[B, C, H, W]` to y.
private struct NAFNetSubject: ParitySubject {
  static let name = "model.nafnet"

  let model: NAFNet
  let inputs: [String: TensorRule]
  var module: (any Module)? { model }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    var hyperparameters = NAFNetConfiguration()
    hyperparameters.imageChannels = try configuration.integer("img_channel")
    hyperparameters.width = try configuration.integer("width")
    hyperparameters.middleBlocks = try configuration.integer("middle_blk_num", in: 0...1 << 24)
    hyperparameters.encoderBlocks = try configuration.integers("enc_blk_nums")
    hyperparameters.decoderBlocks = try configuration.integers("dec_blk_nums")
    hyperparameters.depthwiseExpansion = try configuration.integer("dw_expand")
    hyperparameters.feedForwardExpansion = try configuration.integer("ffn_expand")
    hyperparameters.convolution = try configuration.convolutionChoice(kernel: 3)
    hyperparameters.layerNormEps = Float(try configuration.number("ln_eps"))
    try configuration.requireNumber("dropout", 0)
    var generator = initialGenerator()
    do throws(ModelError) {
      model = try NAFNet(hyperparameters, using: &generator)
    } catch {
      throw .model(error)
    }
    inputs = ["x": .image("B", .size(model.inChannels), "H", "W")]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    ["y": model.forward(onlyOperand(operands))]
  }
}

/// `model.dncnn`: x `[B, C, spatial…]` to y.
private struct DnCNNSubject: ParitySubject {
  static let name = "model.dncnn"

  let model: DnCNN
  let inputs: [String: TensorRule]
  var module: (any Module)? { model }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    var hyperparameters = DnCNNConfiguration()
    hyperparameters.axes = try configuration.integer("dims")
    hyperparameters.depth = try configuration.integer("depth")
    hyperparameters.features = try configuration.integer("features")
    hyperparameters.imageChannels = try configuration.integer("image_channels")
    hyperparameters.kernel = try configuration.integer("kernel_size")
    try configuration.requireNumber("padding", Double(hyperparameters.kernel / 2))
    hyperparameters.convolution = try configuration.convolutionChoice(
      kernel: hyperparameters.kernel)
    hyperparameters.normEps = Float(try configuration.number("bn_eps"))
    hyperparameters.normMomentum = Float(try configuration.number("bn_momentum"))
    var generator = initialGenerator()
    do throws(ModelError) {
      model = try DnCNN(hyperparameters, using: &generator)
    } catch {
      throw .model(error)
    }
    inputs = ["x": imageRule(channels: model.inChannels, axes: hyperparameters.axes)]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    ["y": model.forward(onlyOperand(operands))]
  }
}
