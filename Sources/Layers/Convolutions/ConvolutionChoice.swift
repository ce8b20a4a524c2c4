public import Randomness

/// Which kind of convolution a network is built of: one line of its configuration.
///
/// Written as a name, `"weighted"`, or with options, `{"kind": "weighted", "density": [0.7]}`. A layer
/// that cannot be of the chosen kind is refused, unless `fallback` says that it shall be plain.
public struct ConvolutionChoice: Equatable, Sendable {
  /// The kind.
  public var kind = ConvolutionKind.plain
  /// `plain` if layers that cannot be of the kind shall be plain instead of refused.
  public var fallback: ConvolutionKind?
  /// Of `weighted`: the density from the outermost tap inwards, nil for the published values.
  public var density: [Float]?
  /// Of `weighted`: whether the density is trained.
  public var isTrainable = false
  /// Of `fdconv`: the layers' options.
  ///
  /// Without band divisors there is no band modulation, which costs
  /// most on large maps.
  public var fdconv = FDConvConfiguration()
  /// Of `tvconv`: height and width of the images to which the network is bound.
  public var imageSize: [Int]?
  /// Of `tvconv`: the largest map on which kernels are generated, rows or columns.
  public var largestMap = 32
  /// Of `tvconv`: affinity maps.
  public var affinityChannels = 4
  /// Of `tvconv`: channels of the generator.
  public var interChannels = 64
  /// Of `tvconv`: the generator has one block more than this.
  public var interLayers = 3

  /// A kind with its published options.
  public init(_ kind: ConvolutionKind = .plain) { self.kind = kind }

  /// The options of `fdconv` layers as the layers take them.
  var dynamic: FDConvConfiguration {
    var options = fdconv
    if options.bands.divisors.isEmpty { options.bandKernelSizes = [] }
    return options
  }

  /// The images' height and width if the network is bound to them.
  public var boundSize: (height: Int, width: Int)? {
    guard kind == .tvconv, let size = imageSize, size.count == 2 else { return nil }
    return (size[0], size[1])
  }
}

/// A place in a network where a convolution stands, for which a ``ConvolutionChoice`` is made.
public struct ConvolutionSite: Sendable {
  /// The layer's name in the state dictionary.
  public var name: String
  /// Channels of the input.
  public var inChannels: Int
  /// Channels of the output.
  public var outChannels: Int
  /// Side of the kernel, odd; padding keeps the size.
  public var kernel: Int
  /// Spatial axes.
  public var axes = 2
  /// Groups of channels that do not see each other.
  public var groups = 1
  /// Whether a bias is added.
  public var hasBias = true
  /// Height and width of the map as a divisor of the image's: 4 on the third level of a U-Net.
  public var reduction = 1

  /// A site.
  public init(
    _ name: String, from inChannels: Int, to outChannels: Int, kernel: Int = 3, axes: Int = 2,
    groups: Int = 1, hasBias: Bool = true, reduction: Int = 1
  ) {
    self.name = name
    self.inChannels = inChannels
    self.outChannels = outChannels
    self.kernel = kernel
    self.axes = axes
    self.groups = groups
    self.hasBias = hasBias
    self.reduction = reduction
  }
}

/// Why a layer cannot be of the chosen kind.
public struct ConvolutionRefusal: Error, Equatable, Sendable, CustomStringConvertible {
  /// The layer's name.
  public let layer: String
  /// What the kind demands.
  public let rule: String

  /// The layer, the rule and the way out.
  public var description: String {
    "layer \(layer): \(rule) (\"fallback\": \"plain\" makes such layers plain)"
  }
}

extension ConvolutionChoice {
  /// The kind of the layer at a site.
  ///
  /// - Throws: ``ConvolutionRefusal`` if it cannot be of the chosen kind and there is no fallback.
  public func kind(at site: ConvolutionSite) throws(ConvolutionRefusal) -> ConvolutionKind {
    guard let rule = obstacle(at: site) else { return kind }
    guard fallback == .plain else { throw ConvolutionRefusal(layer: site.name, rule: rule) }
    return .plain
  }

  /// The rule that the layer at a site would break, nil if there is none.
  private func obstacle(at site: ConvolutionSite) -> String? {
    switch kind {
    case .plain: return nil
    case .weighted:
      if let density, density.count != site.kernel / 2 {
        return "a kernel of side \(site.kernel) needs \(site.kernel / 2) density values, "
          + "there are \(density.count)"
      }
      if density == nil && ConvolutionDensity.published(kernel: site.kernel) == nil {
        return "no density is published for a kernel of side \(site.kernel); state one"
      }
      return nil
    case .fdconv:
      if site.axes != 2 { return "an fdconv is two-dimensional, the layer has \(site.axes) axes" }
      if site.groups != 1 { return "an fdconv has one group, the layer \(site.groups)" }
      if dynamic.fallsBack(
        inChannels: site.inChannels, outChannels: site.outChannels, kernel: site.kernel)
      {
        let sides = dynamic.kernelSizes.map(String.init).joined(separator: " or ")
        return "an fdconv needs more than \(dynamic.channelThreshold) channels and side \(sides), "
          + "the layer maps \(site.inChannels) to \(site.outChannels) with side \(site.kernel)"
      }
      let kernel = [site.kernel, site.kernel]
      if let rule = dynamic.brokenRule(
        inChannels: site.inChannels, outChannels: site.outChannels, kernel: kernel, groups: 1)
      {
        return "an fdconv of \(site.inChannels) to \(site.outChannels) channels: \(rule)"
      }
      return nil
    case .tvconv:
      if site.axes != 2 { return "a tvconv is two-dimensional, the layer has \(site.axes) axes" }
      if site.inChannels != site.outChannels {
        return "a tvconv keeps its channels, the layer maps \(site.inChannels) to "
          + "\(site.outChannels)"
      }
      guard let size = boundSize else {
        return "a tvconv has a map of fixed size, but \"image_size\": [height, width] is not given"
      }
      guard size.height % site.reduction == 0, size.width % site.reduction == 0 else {
        return "a tvconv has a map of fixed size, but \(size.height)x\(size.width) is not a "
          + "multiple of \(site.reduction)"
      }
      let map = (height: size.height / site.reduction, width: size.width / site.reduction)
      if max(map.height, map.width) > largestMap {
        return "its map of \(map.height)x\(map.width) is larger than \"largest_map\": \(largestMap)"
      }
      return nil
    }
  }

  /// The layer at a site.
  ///
  /// Plain and weighted layers draw the same normal weights (variance 2 / fan-in) and have zero biases,
  /// so that networks of one seed differ in the density alone. By the number of outputs, as the authors
  /// of weighted convolution do it, the last layer of a network for grey images would start with an
  /// output far larger than the image.
  ///
  /// - Throws: ``ConvolutionRefusal`` if it cannot be of the chosen kind and there is no fallback.
  public func makeLayer(
    _ site: ConvolutionSite, using generator: inout SeededGenerator
  ) throws(ConvolutionRefusal) -> any ConvolutionLayer {
    switch try kind(at: site) {
    case .plain:
      let density = ConvolutionDensity([Float](repeating: 1, count: site.kernel / 2))
      return weighted(site, density, using: &generator).foldedConvolution()
    case .weighted:
      let published = ConvolutionDensity.published(kernel: site.kernel, isTrainable: isTrainable)
      return weighted(
        site, ConvolutionDensity(density ?? published?.values ?? [], isTrainable: isTrainable),
        using: &generator)
    case .fdconv:
      do throws(LayerError) {
        return try FDConv(
          inChannels: site.inChannels, outChannels: site.outChannels,
          kernel: [site.kernel, site.kernel], padding: [site.kernel / 2, site.kernel / 2],
          hasBias: site.hasBias, configuration: dynamic, using: &generator)
      } catch {
        throw ConvolutionRefusal(layer: site.name, rule: "\(error)")
      }
    case .tvconv:
      guard let size = boundSize else { preconditionFailure("tvconv: no map") }
      var sizes = TVConvolutionSizes(
        channels: site.outChannels, height: size.height / site.reduction,
        width: size.width / site.reduction)
      sizes.kernel = site.kernel
      sizes.affinityChannels = affinityChannels
      sizes.interChannels = interChannels
      sizes.interLayers = interLayers
      return TVConvolution(sizes, hasBias: site.hasBias, using: &generator)
    }
  }

  private func weighted(
    _ site: ConvolutionSite, _ density: ConvolutionDensity,
    using generator: inout SeededGenerator
  ) -> WeightedConvolution {
    let area = (0..<site.axes).reduce(1) { area, _ in area * site.kernel }
    return WeightedConvolution(
      inChannels: site.inChannels, outChannels: site.outChannels, density: density,
      axes: site.axes, groups: site.groups, hasBias: site.hasBias,
      variance: 2 / Float(area * site.inChannels / site.groups), using: &generator)
  }

  /// Checks the options that do not depend on a layer.
  ///
  /// - Returns: What is wrong, nil if nothing is.
  public var flaw: String? {
    if let fallback, fallback != .plain { return "the only fallback is \"plain\"" }
    if let density, !density.allSatisfy(\.isFinite) { return "density values must be finite" }
    if kind != .weighted && (density != nil || isTrainable) {
      return "\"density\" and \"trainable\" belong to \"weighted\""
    }
    if kind != .tvconv && imageSize != nil { return "\"image_size\" belongs to \"tvconv\"" }
    if let imageSize, imageSize.count != 2 || !imageSize.allSatisfy((1...1 << 14).contains) {
      return "\"image_size\" must be [height, width]"
    }
    guard (1...4096).contains(fdconv.kernelCount ?? 1),
      fdconv.bands.divisors.allSatisfy((2...1024).contains)
    else {
      return "\"kernel_num\" or \"k_list\" is out of bounds"
    }
    guard (1...128).contains(largestMap) else { return "\"largest_map\" must be in 1...128" }
    guard (1...64).contains(affinityChannels), (1...1024).contains(interChannels),
      (0...16).contains(interLayers)
    else { return "the sizes of the generator are out of bounds" }
    return nil
  }
}

extension ConvolutionChoice: Codable {
  private enum CodingKeys: String, CodingKey, CaseIterable {
    case kind, fallback, density
    case bandDivisors = "k_list"
    case isTrainable = "trainable"
    case imageSize = "image_size"
    case largestMap = "largest_map"
    case affinityChannels = "posi_chans"
    case interChannels = "inter_chans"
    case interLayers = "inter_layers"
  }

  /// Reads a name or an object with options; unknown names and keys are errors.
  public init(from decoder: any Decoder) throws {
    func flawed(_ text: String) -> DecodingError {
      .dataCorrupted(
        DecodingError.Context(codingPath: decoder.codingPath, debugDescription: text))
    }
    func kind(_ name: String) throws -> ConvolutionKind {
      if let kind = ConvolutionKind(rawValue: name) { return kind }
      let known = ConvolutionKind.allCases.map(\.rawValue).joined(separator: ", ")
      throw flawed("unknown convolution \"\(name)\"; known: \(known)")
    }
    if let name = try? decoder.singleValueContainer().decode(String.self) {
      self.init(try kind(name))
      return
    }
    // Options of fdconv stand beside the others.
    let dynamic = FDConvConfiguration.optionNames
    let all = try OptionReader<CodingKeys>(decoder, of: "convolution", besides: dynamic)
    guard let name = try all.value(.kind, as: String.self) else {
      throw flawed("convolution has no \"kind\"")
    }
    self.init(try kind(name))
    if self.kind == .fdconv {
      fdconv = try FDConvConfiguration(decoder, besides: CodingKeys.allCases.map(\.rawValue))
      try all.read(.bandDivisors, into: &fdconv.bands.divisors)
    } else {
      _ = try OptionReader<CodingKeys>(decoder, of: "convolution \"\(name)\"")
    }
    fallback = try all.value(.fallback, as: String.self).map(kind)
    density = try all.value(.density, as: [Float].self)
    try all.read(.isTrainable, into: &isTrainable)
    imageSize = try all.value(.imageSize, as: [Int].self)
    try all.read(.largestMap, into: &largestMap)
    try all.read(.affinityChannels, into: &affinityChannels)
    try all.read(.interChannels, into: &interChannels)
    try all.read(.interLayers, into: &interLayers)
  }

  /// Writes the options that belong to the kind.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(kind, forKey: .kind)
    try container.encodeIfPresent(fallback, forKey: .fallback)
    switch kind {
    case .plain: break
    case .weighted:
      try container.encodeIfPresent(density, forKey: .density)
      try container.encode(isTrainable, forKey: .isTrainable)
    case .fdconv: try fdconv.encode(to: encoder)
    case .tvconv:
      try container.encodeIfPresent(imageSize, forKey: .imageSize)
      try container.encode(largestMap, forKey: .largestMap)
      try container.encode(affinityChannels, forKey: .affinityChannels)
      try container.encode(interChannels, forKey: .interChannels)
      try container.encode(interLayers, forKey: .interLayers)
    }
  }
}
