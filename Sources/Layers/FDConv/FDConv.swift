public import Randomness
public import TensorCore

/// Frequency-dynamic convolution: a two-dimensional convolution whose kernel depends on the sample.
///
/// The kernel is stored as Fourier coefficients in disjoint groups of frequencies, which an attention
/// scales for each sample; further attentions scale its channels, filters, taps and elements, and the
/// bands of the input are reweighted first. Small layers are plain convolutions, by the rule of the
/// official code (``isPlain``).
///
/// Training needs a batch of at least 2, because the attention has a batch norm over samples.
/// State dictionary: `dft_weight`, `bias`, `KSM_Global.…`, `KSM_Local.…`, `FBM.…`; `weight` and `bias`
/// if the layer is plain.
///
/// Source: Chen et al., *Frequency Dynamic Convolution for Dense Image Prediction*, CVPR 2025,
/// arXiv 2503.18783; where paper and code disagree, the code.
public final class FDConv: Module {
  /// What a layer is made of that is not plain.
  private struct Dynamic: Sendable {
    let spectrum: Parameter
    let bias: Parameter?
    let global: GlobalKernelModulation
    let local: LocalKernelModulation?
    let bands: FrequencyBandModulation?
    let order: SpectrumOrder
    let groups: SpectrumGroups
    /// Flat indices of the coefficients by rising frequency.
    let indices: [Int32]
  }

  private enum Form: Sendable {
    case plain(Convolution)
    case dynamic(Dynamic)
  }

  /// The options.
  public let configuration: FDConvConfiguration
  /// Channels of the input.
  public let inChannels: Int
  /// Channels of the output.
  public let outChannels: Int
  /// Side of the kernel.
  public let kernel: Int
  /// Steps along each axis.
  public let stride: [Int]
  /// Zeros at both ends of each axis.
  public let padding: [Int]
  /// Distances between taps along each axis.
  public let dilation: [Int]

  private let form: Form

  /// Whether the layer is a plain convolution.
  public var isPlain: Bool {
    if case .plain = form { true } else { false }
  }

  /// A layer with initial weights: near the plain convolution whose kernel is drawn first, but not equal
  /// to it, because the attention to filters does not start at 1.
  ///
  /// - Parameters:
  ///   - inChannels: Channels of the input.
  ///   - outChannels: Channels of the output.
  ///   - kernel: Sides of the kernel, equal.
  ///   - stride: Steps, nil for 1.
  ///   - padding: Zeros at both ends, nil for none.
  ///   - dilation: Distances between taps, nil for 1.
  ///   - groups: Groups of channels; only plain layers can have more than 1.
  ///   - hasBias: Whether a bias is added.
  ///   - configuration: The options.
  ///   - order: Flat indices of the coefficients by rising frequency, nil to compute them; ties are
  ///     ordered differently by some versions of the official code.
  ///   - generator: Draws the kernel and the bias, then the attentions.
  /// - Throws: ``LayerError/invalidLayer(layer:rule:)``.
  public init(
    inChannels: Int, outChannels: Int, kernel: [Int], stride: [Int]? = nil,
    padding: [Int]? = nil, dilation: [Int]? = nil, groups: Int = 1, hasBias: Bool = true,
    configuration: FDConvConfiguration = FDConvConfiguration(), order: [Int32]? = nil,
    using generator: inout SeededGenerator
  ) throws(LayerError) {
    func fail(_ rule: String) -> LayerError {
      let size = kernel.map(String.init).joined(separator: "×")
      return .invalidLayer(
        layer: "frequency-dynamic convolution \(inChannels) → \(outChannels), \(size)", rule: rule)
    }
    if let rule = configuration.brokenRule(
      inChannels: inChannels, outChannels: outChannels, kernel: kernel, groups: groups)
    {
      throw fail(rule)
    }
    guard groups >= 1, inChannels % groups == 0, outChannels % groups == 0 else {
      throw fail("its channels must divide into \(groups) groups")
    }
    self.configuration = configuration
    self.inChannels = inChannels
    self.outChannels = outChannels
    self.kernel = kernel[0]
    self.stride = stride ?? [1, 1]
    self.padding = padding ?? [0, 0]
    self.dilation = dilation ?? [1, 1]
    let plain = Convolution(
      inChannels: inChannels, outChannels: outChannels, kernel: kernel, stride: stride,
      padding: padding, dilation: dilation, groups: groups, hasBias: hasBias, using: &generator)
    if configuration.fallsBack(
      inChannels: inChannels, outChannels: outChannels, kernel: kernel[0])
    {
      form = .plain(plain)
      return
    }
    let (rows, width) = (outChannels * kernel[0], inChannels * kernel[0])
    let spectrumOrder = SpectrumOrder.ofSignal(rows: rows, width: width)
    if let order, order.sorted() != spectrumOrder.order.sorted() {
      throw fail("the order of its coefficients must name each of them once")
    }
    let count = configuration.groups(outChannels: outChannels)
    let kept = configuration.keptCount(spectrumOrder.order.count)
    let indices = order ?? spectrumOrder.order
    form = .dynamic(
      Dynamic(
        spectrum: Parameter(
          configuration.keptShare < 1
            ? [configuration.copies, kept, 2]
            : [configuration.copies, rows, spectrumOrder.columns, 2], repeating: 0),
        bias: plain.bias,
        global: GlobalKernelModulation(
          inChannels: inChannels, outChannels: outChannels, kernel: kernel[0],
          groups: count * configuration.copies, configuration, using: &generator),
        local: configuration.usesLocalAttention
          ? LocalKernelModulation(
            inChannels: inChannels, outChannels: outChannels, kernel: kernel[0],
            layerNormEps: configuration.layerNormEps) : nil,
        bands: configuration.modulatesBands(kernel: kernel[0], stride: self.stride)
          ? try FrequencyBandModulation(
            channels: inChannels, configuration: configuration.bands, using: &generator) : nil,
        order: spectrumOrder,
        groups: SpectrumGroups(indices, kept: kept, count: count), indices: indices))
    if !Parameter.isCounting {
      setSpectrum(ofKernel: plain.weight.tensor.detached(), share: 1)
    }
  }

  /// Spectrum, bias, attentions and band modulation, or the plain convolution's weights.
  public var members: [Member] {
    switch form {
    case .plain(let convolution): return convolution.members
    case .dynamic(let parts):
      var members: [Member] = [.parameter("dft_weight", parts.spectrum)]
      if let bias = parts.bias { members.append(.parameter("bias", bias)) }
      members.append(.module("KSM_Global", parts.global))
      if let local = parts.local { members.append(.module("KSM_Local", local)) }
      if let bands = parts.bands { members.append(.module("FBM", bands)) }
      return members
    }
  }

  /// Convolves `[N, H, W, in]` to `[N, H', W', out]`.
  ///
  /// Sizes are those of a plain convolution. In training N is at least 2.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    switch form {
    case .plain(let convolution): return convolution(x)
    case .dynamic(let parts):
      precondition(
        x.shape.rank == 4 && x.shape.channels == inChannels,
        "frequency-dynamic convolution: \(x.shape), expected [N, H, W, \(inChannels)]")
      let mean = x.mean(axes: [1, 2])
      let attention = parts.global(mean)
      let local = parts.local.map { layer in
        let (weight, descriptor) = layer.parts(mean)
        return (weight: weight, descriptor: descriptor, activation: localActivation)
      }
      let kernels = spatialKernels(parts, attention.kernel).assembledKernels(
        kernel: kernel, local: local, channel: attention.channel, filter: attention.filter,
        spatial: attention.spatial)
      return (parts.bands?(x) ?? x).convolvedBySample(
        with: kernels, bias: parts.bias?.tensor, stride: stride, padding: padding,
        dilation: dilation)
    }
  }

  private var localActivation: AttentionActivation {
    switch configuration.localActivation {
    case .sigmoid: .sigmoid(multiplier: Float(configuration.attentionMultiplier))
    case .tanh: .tanh
    }
  }

  /// Half the smaller number of channels, by which stored coefficients are divided.
  private var divisor: Int { min(inChannels, outChannels) / 2 }

  /// Kernels before attentions in space, `[B, O·k, I·k]`.
  private func spatialKernels(_ parts: Dynamic, _ attention: Tensor) -> Tensor {
    let width = inChannels * kernel
    var spectrum = parts.spectrum.tensor
    var alpha = Float(divisor * parts.groups.count * configuration.copies)
    if configuration.keptShare < 1 {
      let kept = spectrum.shape[1]
      spectrum = spectrum.scatterAdded(
        parts.indices.prefix(kept).map(Int.init), axis: 1, count: parts.indices.count
      ).reshaped(to: [configuration.copies, parts.order.rows, parts.order.columns, 2])
      // The official code leaves the factor out here.
      alpha = 1
    }
    return spectrum.disjointSpectrum(
      attention: attention, groups: parts.groups, alpha: alpha, width: width)
  }

  // MARK: - Conversion

  /// Takes the kernel and the bias of a plain convolution; the attentions stay as they are.
  ///
  /// - Parameters:
  ///   - convolution: Of the same sizes, with one group.
  ///   - isNeutral: Whether to set all attentions to 1 as well, so that the layer gives the same output
  ///     as the convolution until it is trained. Without it the official converter is followed.
  /// - Throws: ``LayerError/invalidLayer(layer:rule:)`` if sizes differ, or if only a part of the
  ///   coefficients is kept.
  public func load(converting convolution: Convolution, isNeutral: Bool = true) throws(LayerError) {
    func fail(_ rule: String) -> LayerError {
      .invalidLayer(layer: "conversion of a convolution", rule: rule)
    }
    switch form {
    case .plain(let own):
      guard own.weight.shape == convolution.weight.shape,
        own.bias?.shape == convolution.bias?.shape
      else { throw fail("weights must be \(own.weight.shape), not \(convolution.weight.shape)") }
      own.weight.load(convolution.weight.tensor)
      if let bias = convolution.bias { own.bias?.load(bias.tensor) }
    case .dynamic(let parts):
      let expected: Shape = [outChannels, inChannels, kernel, kernel]
      guard convolution.weight.shape == expected, parts.bias?.shape == convolution.bias?.shape
      else {
        throw fail("weights must be \(expected), not \(convolution.weight.shape), and biases alike")
      }
      guard configuration.keptShare == 1 else {
        throw fail("all coefficients must be kept (param_reduction 1)")
      }
      // Each copy contributes once, so copies share the kernel where the output must be equal.
      setSpectrum(
        ofKernel: convolution.weight.tensor.detached(),
        share: isNeutral ? 1 / Float(configuration.copies) : 1)
      if let bias = convolution.bias { parts.bias?.load(bias.tensor) }
      guard isNeutral else { return }
      parts.global.neutralize()
      parts.local?.neutralize()
      parts.bands?.neutralize()
    }
  }

  /// Stores the coefficients of a kernel `[O, I, k, k]` in every copy.
  private func setSpectrum(ofKernel weight: Tensor, share: Float) {
    guard case .dynamic(let parts) = form else { return }
    let (rows, width) = (outChannels * kernel, inChannels * kernel)
    let spectrum = weight.permuted([0, 2, 1, 3]).reshaped(to: [1, rows, width, 1]).rfft()
      .scaled(by: share / Float(divisor))
    let values = spectrum.values
    let kept = parts.spectrum.count / configuration.copies / 2
    parts.spectrum.update { target in
      for copy in 0..<configuration.copies {
        for position in 0..<kept {
          let source = configuration.keptShare < 1 ? Int(parts.indices[position]) : position
          for part in 0..<2 {
            target[2 * (copy * kept + position) + part] = values[2 * source + part]
          }
        }
      }
    }
  }

  // MARK: - Intermediate values, for comparison with the official code

  /// Rows and columns of the coefficients by rising frequency, those that are kept; nil if the layer is
  /// plain.
  package var coefficientOrder: (rows: [Int], columns: [Int])? {
    guard case .dynamic(let parts) = form else { return nil }
    let kept = parts.indices.prefix(configuration.keptCount(parts.indices.count)).map(Int.init)
    return (
      kept.map { $0 / parts.order.columns }, kept.map { $0 % parts.order.columns }
    )
  }

  /// The attentions of a batch; nil if the layer is plain.
  package func attention(_ x: Tensor) -> GlobalKernelModulation.Attention? {
    guard case .dynamic(let parts) = form else { return nil }
    return parts.global(x.mean(axes: [1, 2]))
  }

  /// The local attention's logits, `[B, I, O · k²]`; nil if there are none.
  package func localLogits(_ x: Tensor) -> Tensor? {
    guard case .dynamic(let parts) = form else { return nil }
    return parts.local?.logits(x.mean(axes: [1, 2]))
  }

  /// Kernels before attentions in space, `[B, O·k, I·k]`; nil if the layer is plain.
  package func spatialKernels(_ x: Tensor) -> Tensor? {
    guard case .dynamic(let parts) = form else { return nil }
    return spatialKernels(parts, parts.global(x.mean(axes: [1, 2])).kernel)
  }

  /// The band modulation; nil if there is none.
  package var bandModulation: FrequencyBandModulation? {
    guard case .dynamic(let parts) = form else { return nil }
    return parts.bands
  }
}
