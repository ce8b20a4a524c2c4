/// The options of frequency-dynamic convolution; keys are the official names.
public struct FDConvConfiguration: Codable, Equatable, Sendable {
  /// How an attention of a whole kernel is bounded.
  public enum Activation: String, Codable, Sendable, CaseIterable {
    /// Twice the logistic function.
    case sigmoid
    /// 1 + tanh.
    case tanh
  }

  /// Width of the global attention relative to the input channels, at least 16.
  public var reduction = 0.0625
  /// Groups of frequencies, 4 by default and 64 in the published networks; nil for half the output
  /// channels, with a temperature of √(groups · copies).
  public var kernelCount: Int? = 4
  /// The layer is a plain convolution unless more channels than this go in and out.
  public var channelThreshold = 16
  /// The layer is a plain convolution unless its kernel has one of these sides.
  public var kernelSizes = [1, 3]
  /// Sides of kernels before which bands are modulated.
  public var bandKernelSizes = [3]
  /// Whether bands are modulated before every strided layer.
  public var modulatesBandsForStride = false
  /// Divides the logits of the attention to groups.
  public var kernelTemperature = 1.0
  /// Divides the other logits of the global attention; nil for ``kernelTemperature``.
  public var temperature: Double?
  /// The upper bound of attentions with a logistic function.
  public var attentionMultiplier = 2.0
  /// Copies of the spectrum.
  public var copies = 1
  /// The share of coefficients that is kept, those of low frequency.
  public var keptShare = 1.0
  /// Whether only groups of frequencies have a global attention.
  public var onlyGroupAttention = false
  /// Whether every element of the kernel has an attention of its own.
  public var usesLocalAttention = true
  /// The local attention's bound.
  public var localActivation = Activation.sigmoid
  /// The global attention's bound.
  public var globalActivation = Activation.sigmoid
  /// The modulation of the input's frequency bands.
  public var bands = FrequencyBandConfiguration()
  /// Added to the variance by the layer norm of the local attention.
  public var layerNormEps = 1e-5
  /// Added to the variance by the batch norm of the global attention.
  public var batchNormEps = 1e-5
  /// The weight of a new batch in that norm's running averages.
  public var batchNormMomentum = 0.1

  /// The defaults of the official code.
  public init() {}

  private enum CodingKeys: String, CodingKey, CaseIterable {
    case reduction
    case kernelCount = "kernel_num"
    case channelThreshold = "use_fdconv_if_c_gt"
    case kernelSizes = "use_fdconv_if_k_in"
    case bandKernelSizes = "use_fbm_if_k_in"
    case modulatesBandsForStride = "use_fbm_for_stride"
    case kernelTemperature = "kernel_temp"
    case temperature = "temp"
    case attentionMultiplier = "att_multi"
    case copies = "param_ratio"
    case keptShare = "param_reduction"
    case onlyGroupAttention = "ksm_only_kernel_att"
    case usesLocalAttention = "use_ksm_local"
    case localActivation = "ksm_local_act"
    case globalActivation = "ksm_global_act"
    case bands = "fbm_cfg"
    case layerNormEps = "ln_eps"
    case batchNormEps = "bn_eps"
    case batchNormMomentum = "bn_momentum"
  }

  /// The keys of all options.
  static var optionNames: [String] { CodingKeys.allCases.map(\.rawValue) }

  /// Reads the values that are present; others are the official code's.
  ///
  /// Unknown keys are errors.
  public init(from decoder: any Decoder) throws { try self.init(decoder, besides: []) }

  /// The same among options of something else, `others`.
  init(_ decoder: any Decoder, besides others: [String]) throws {
    let options = try OptionReader<CodingKeys>(decoder, of: "fdconv", besides: others)
    try options.read(.reduction, into: &reduction)
    try options.readOptional(.kernelCount, into: &kernelCount)
    try options.read(.channelThreshold, into: &channelThreshold)
    try options.read(.kernelSizes, into: &kernelSizes)
    try options.read(.bandKernelSizes, into: &bandKernelSizes)
    try options.read(.modulatesBandsForStride, into: &modulatesBandsForStride)
    try options.read(.kernelTemperature, into: &kernelTemperature)
    try options.readOptional(.temperature, into: &temperature)
    try options.read(.attentionMultiplier, into: &attentionMultiplier)
    try options.read(.copies, into: &copies)
    try options.read(.keptShare, into: &keptShare)
    try options.read(.onlyGroupAttention, into: &onlyGroupAttention)
    try options.read(.usesLocalAttention, into: &usesLocalAttention)
    try options.read(.localActivation, into: &localActivation)
    try options.read(.globalActivation, into: &globalActivation)
    try options.read(.bands, into: &bands)
    try options.read(.layerNormEps, into: &layerNormEps)
    try options.read(.batchNormEps, into: &batchNormEps)
    try options.read(.batchNormMomentum, into: &batchNormMomentum)
  }

  /// Writes all values.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(reduction, forKey: .reduction)
    // A missing number of groups would be read as the default one.
    try container.encode(kernelCount, forKey: .kernelCount)
    try container.encode(channelThreshold, forKey: .channelThreshold)
    try container.encode(kernelSizes, forKey: .kernelSizes)
    try container.encode(bandKernelSizes, forKey: .bandKernelSizes)
    try container.encode(modulatesBandsForStride, forKey: .modulatesBandsForStride)
    try container.encode(kernelTemperature, forKey: .kernelTemperature)
    try container.encode(temperature, forKey: .temperature)
    try container.encode(attentionMultiplier, forKey: .attentionMultiplier)
    try container.encode(copies, forKey: .copies)
    try container.encode(keptShare, forKey: .keptShare)
    try container.encode(onlyGroupAttention, forKey: .onlyGroupAttention)
    try container.encode(usesLocalAttention, forKey: .usesLocalAttention)
    try container.encode(localActivation, forKey: .localActivation)
    try container.encode(globalActivation, forKey: .globalActivation)
    try container.encode(bands, forKey: .bands)
    try container.encode(layerNormEps, forKey: .layerNormEps)
    try container.encode(batchNormEps, forKey: .batchNormEps)
    try container.encode(batchNormMomentum, forKey: .batchNormMomentum)
  }

  // MARK: - Rules

  /// Whether a layer of these sizes is a plain convolution by the rules of the official code.
  ///
  /// - Parameters:
  ///   - inChannels: Channels of the input.
  ///   - outChannels: Channels of the output.
  ///   - kernel: Side of the kernel.
  /// - Returns: Whether there are too few channels, or the kernel is not one of those named.
  public func fallsBack(inChannels: Int, outChannels: Int, kernel: Int) -> Bool {
    min(inChannels, outChannels) <= channelThreshold || !kernelSizes.contains(kernel)
  }

  /// The groups of frequencies of a layer.
  public func groups(outChannels: Int) -> Int { kernelCount ?? outChannels / 2 }

  /// The coefficients of each copy that are kept.
  func keptCount(_ coefficients: Int) -> Int {
    keptShare < 1 ? Int(Double(coefficients) * keptShare) : coefficients
  }

  /// The rule that a frequency-dynamic layer of these sizes breaks, nil if there is none.
  ///
  /// - Parameters:
  ///   - inChannels: Channels of the input.
  ///   - outChannels: Channels of the output.
  ///   - kernel: Sides of the kernel, one for each spatial axis.
  ///   - groups: Groups of channels.
  /// - Returns: What must hold, as the rest of a sentence; nil for a layer that falls back.
  public func brokenRule(
    inChannels: Int, outChannels: Int, kernel: [Int], groups: Int
  ) -> String? {
    guard kernel.count == 2 else { return "frequency-dynamic layers are two-dimensional" }
    guard kernel[0] == kernel[1] else { return "its kernel must be square" }
    let k = kernel[0]
    if fallsBack(inChannels: inChannels, outChannels: outChannels, kernel: k) { return nil }
    guard groups == 1 else { return "its groups must be 1, not \(groups)" }
    guard min(inChannels, outChannels) >= 2 else { return "it needs at least 2 channels" }
    guard inChannels * k % 2 == 0 else {
      return "input channels times kernel, \(inChannels) · \(k), must be even"
    }
    guard keptShare > 0, keptShare <= 1 else { return "param_reduction must be in 0...1 and not 0" }
    guard (1...64).contains(copies) else { return "param_ratio must be in 1...64" }
    guard reduction > 0, reduction <= 16 else { return "reduction must be above 0 and up to 16" }
    let count = self.groups(outChannels: outChannels)
    let kept = keptCount(outChannels * k * (inChannels * k / 2 + 1))
    guard count >= 1, kept >= count, kept % count == 0 else {
      return "its \(kept) coefficients must divide into kernel_num = \(count) groups"
    }
    guard kernelTemperature > 0, temperature ?? 1 > 0, attentionMultiplier > 0 else {
      return "temperatures and att_multi must be above 0"
    }
    guard layerNormEps > 0, batchNormEps > 0, (0...1).contains(batchNormMomentum) else {
      return "ln_eps and bn_eps must be above 0, bn_momentum in 0...1"
    }
    return bands.brokenRule(inChannels: inChannels)
  }

  /// Whether bands are modulated before a layer.
  func modulatesBands(kernel: Int, stride: [Int]) -> Bool {
    bandKernelSizes.contains(kernel)
      || (modulatesBandsForStride && stride.contains { $0 > 1 })
  }
}

/// The options of frequency band modulation; keys are the official names.
public struct FrequencyBandConfiguration: Codable, Equatable, Sendable {
  /// How a band's weight is bounded.
  public enum Activation: String, Codable, Sendable, CaseIterable {
    /// Twice the logistic function.
    case sigmoid
    /// 1 + tanh.
    case tanh
    /// Softmax over the parts of the channels, times their number.
    case softmax
  }

  /// Divisors q of the bands' limits 0.5 / q cycles a pixel, from high to low limits.
  public var divisors = [2, 4, 8]
  /// Whether the lowest band has a weight too.
  public var weighsLowest = false
  /// The bound of weights.
  public var activation = Activation.sigmoid
  /// Parts of the channels with weights of their own; more than 64 means one for each channel.
  public var channelParts = 1
  /// Side of the convolution that computes weights, odd.
  public var kernel = 3
  /// Rows of the grid on which masks are made.
  public var grid = 64

  /// The defaults of the official code.
  public init() {}

  private enum CodingKeys: String, CodingKey, CaseIterable {
    case divisors = "k_list"
    case weighsLowest = "lowfreq_att"
    case activation = "act"
    case channelParts = "spatial_group"
    case kernel = "spatial_kernel"
    case grid
  }

  /// Reads the values that are present; others are the official code's.
  ///
  /// Unknown keys are errors.
  public init(from decoder: any Decoder) throws {
    let options = try OptionReader<CodingKeys>(decoder, of: "fbm_cfg of fdconv")
    try options.read(.divisors, into: &divisors)
    try options.read(.weighsLowest, into: &weighsLowest)
    try options.read(.activation, into: &activation)
    try options.read(.channelParts, into: &channelParts)
    try options.read(.kernel, into: &kernel)
    try options.read(.grid, into: &grid)
  }

  /// The parts of the channels of a layer.
  func parts(inChannels: Int) -> Int { channelParts > 64 ? inChannels : channelParts }

  /// The rule that a modulation of this many channels breaks, nil if there is none.
  public func brokenRule(inChannels: Int) -> String? {
    let parts = parts(inChannels: inChannels)
    guard parts >= 1, inChannels % parts == 0 else {
      return "\(inChannels) channels must divide into spatial_group = \(parts) parts"
    }
    guard (1...31).contains(kernel), kernel % 2 == 1 else {
      return "spatial_kernel must be odd, 1 to 31"
    }
    guard divisors.allSatisfy({ $0 >= 1 }) else {
      return "every entry of k_list must be at least 1"
    }
    guard grid >= 2, grid % 2 == 0, grid <= 4096 else {
      return "the grid must be even and in 2...4096"
    }
    return nil
  }
}
