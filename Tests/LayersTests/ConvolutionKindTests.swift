import Foundation
import Layers
import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("Kinds of convolutions")
struct ConvolutionKindTests {
  private static func generator() -> SeededGenerator { SeededGenerator(seed: 5) }

  // MARK: - Weighted

  @Test("the density multiplies along the axes and is 1 at the centre")
  func density() {
    var generator = Self.generator()
    let density = ConvolutionDensity([0.25, 0.5])
    let flat = WeightedConvolution(
      inChannels: 1, outChannels: 1, density: density, using: &generator)
    let row: [Float] = [0.25, 0.5, 1, 0.5, 0.25]
    #expect(flat.phi.values == row.flatMap { a in row.map { a * $0 } })
    let cube = WeightedConvolution(
      inChannels: 1, outChannels: 1, density: ConvolutionDensity([0.5], isTrainable: true), axes: 3,
      using: &generator)
    let short: [Float] = [0.5, 1, 0.5]
    #expect(
      cube.phi.detached().values
        == short.flatMap { a in short.flatMap { b in short.map { a * b * $0 } } })
    #expect(flat.state.map(\.name) == ["weight", "alfa", "Phi"])
    #expect(cube.state.map(\.name) == ["weight", "den"])
    let point = WeightedConvolution(
      inChannels: 2, outChannels: 2, density: ConvolutionDensity([], isTrainable: true),
      using: &generator)
    #expect(point.phi.values == [1])
  }

  @Test(
    "the folded convolution computes the same bits, in one to three dimensions",
    arguments: [1, 2, 3], [false, true])
  func folding(axes: Int, isTrainable: Bool) {
    var generator = Self.generator()
    let layer = WeightedConvolution(
      inChannels: 4, outChannels: 6, density: ConvolutionDensity([0.7], isTrainable: isTrainable),
      axes: axes, groups: 2, hasBias: true, using: &generator)
    layer.setRequiresGradient(false)
    let x = Tensor.random(Shape([2] + [7, 6, 5].prefix(axes) + [4]), seed: 3)
    let folded = layer.foldedConvolution()
    folded.setRequiresGradient(false)
    #expect(layer(x).values == folded(x).values)
    #expect(layer.deployedCount == folded.parameterCount(.stored))
    // The kept kernel follows the parameters.
    layer.weight.update { $0[0] += 1 }
    #expect(layer(x).values != folded(x).values)
    #expect(layer(x).values == layer.foldedConvolution()(x).values)
  }

  @Test("a density of ones is the plain convolution")
  func ones() {
    var generator = Self.generator()
    let layer = WeightedConvolution(
      inChannels: 3, outChannels: 2, density: ConvolutionDensity([1, 1]), using: &generator)
    let x = Tensor.random([1, 6, 5, 3], seed: 1)
    let expected = x.convolved(with: layer.weight.tensor.detached(), padding: [2])
    #expect(layer(x).values == expected.values)
  }

  // MARK: - Translation-variant

  static let tvSizes: [TVConvolutionSizes] = [1, 2].map { stride in
    var sizes = TVConvolutionSizes(channels: 5, height: 4, width: 3)
    sizes.stride = stride
    sizes.interChannels = 6
    sizes.interLayers = 1
    return sizes
  }

  @Test("kept kernels and frozen layers compute what the generator does", arguments: tvSizes)
  func frozen(sizes: TVConvolutionSizes) {
    var generator = Self.generator()
    let layer = TVConvolution(sizes, hasBias: true, using: &generator)
    layer.affinity.load(Tensor.random(layer.affinity.shape, seed: 2))
    let x = Tensor.random(
      [2, 4 * sizes.stride - sizes.stride + 1, 3 * sizes.stride, 5], seed: 3)
    let trained = layer(x).detached()
    layer.setRequiresGradient(false)
    #expect(layer(x).values == trained.values)
    #expect(layer(x).values == trained.values)
    let norm = BatchNorm(channels: 5)
    norm.runningMean.load(Tensor.random([5], seed: 4))
    norm.runningVariance.load(Tensor.random([5], .uniform(0.5..<2), seed: 5))
    norm.weight.load(Tensor.random([5], seed: 6))
    norm.setRequiresGradient(false)
    #expect(Mismatch(layer.frozen()(x), trained, relative: 1e-5) == nil)
    #expect(Mismatch(layer.frozen(folding: norm)(x), norm(trained), relative: 1e-4) == nil)
    #expect(layer.deployedCount == 4 * 3 * 5 * 10)
    #expect(layer.frozen().parameterCount(.stored) == layer.deployedCount)
    // A change of a parameter is seen.
    layer.affinity.update { $0[0] += 1 }
    #expect(layer(x).values != trained.values)
  }

  @Test("stride 2 accepts both sizes that give the map, and no other")
  func accepted() {
    let sizes = Self.tvSizes[1]
    let rows = (1...12).filter { sizes.accepts(height: $0, width: 5) }
    #expect(rows == [7, 8])
  }

  @Test("a translation-variant layer has the names and sizes of its authors' state dictionary")
  func names() {
    var generator = Self.generator()
    let layer = TVConvolution(Self.tvSizes[0], hasBias: true, using: &generator)
    let expected = [
      "posi_map", "TVConv_k", "TVConv_k_square", "stride", "channels", "h", "w",
      "weight_layers.0.0.weight", "weight_layers.0.1.weight", "weight_layers.0.1.bias",
      "weight_layers.1.0.weight", "weight_layers.1.1.weight", "weight_layers.1.1.bias",
      "weight_layers.2.weight", "bias_layers.0.0.weight", "bias_layers.0.1.weight",
      "bias_layers.0.1.bias", "bias_layers.1.0.weight", "bias_layers.1.1.weight",
      "bias_layers.1.1.bias", "bias_layers.2.weight",
    ]
    #expect(layer.state.map(\.name) == expected)
    #expect(layer.state.first { $0.name == "weight_layers.2.weight" }?.shape == [45, 6, 3, 3])
    #expect(layer.state.first { $0.name == "TVConv_k_square" }?.tensor.scalar == 9)
  }

  @Test("sizes in a state dictionary must be those of the layer, or be absent")
  func sizesAgree() throws {
    var generator = Self.generator()
    let layer = TVConvolution(Self.tvSizes[0], using: &generator)
    var state = Dictionary(uniqueKeysWithValues: layer.state.map { ($0.name, $0.tensor) })
    try layer.load(state)
    state["stride"] = Tensor(2)
    #expect(throws: LayerError.self) { try layer.load(state) }
    state["stride"] = nil
    try layer.load(state)
  }

  // MARK: - The choice

  @Test("a norm behind a convolution is folded into it at inference", arguments: [false, true])
  func normed(isWeighted: Bool) throws {
    var generator = Self.generator()
    let choice = ConvolutionChoice(isWeighted ? .weighted : .plain)
    let layer = try choice.makeLayer(ConvolutionSite("a", from: 3, to: 4), using: &generator)
    let norm = BatchNorm(channels: 4)
    norm.runningMean.load(Tensor.random([4], seed: 4))
    norm.runningVariance.load(Tensor.random([4], .uniform(0.5..<2), seed: 5))
    let pair = NormedKernel(layer, norm)
    let x = Tensor.random([2, 6, 5, 3], seed: 1)
    let apart = norm(layer(x)).relu()
    #expect(Mismatch(pair(x, activation: .relu), apart, relative: 1e-5) == nil)
    for part in [layer as any Module, norm] { part.setRequiresGradient(false) }
    #expect(Mismatch(pair(x, activation: .relu), apart, relative: 1e-5) == nil)
    #expect(pair(x, activation: .relu).isTracked == false)
  }

  @Test("plain and weighted layers of one seed have the same weights")
  func sameWeights() throws {
    var (first, second) = (Self.generator(), Self.generator())
    let site = ConvolutionSite("a", from: 3, to: 4)
    let plain = try ConvolutionChoice(.plain).makeLayer(site, using: &first)
    let weighted = try ConvolutionChoice(.weighted).makeLayer(site, using: &second)
    let weights = [plain, weighted].map { $0.parameters.first { $0.name == "weight" } }
    #expect(weights[0]?.parameter.tensor.values == weights[1]?.parameter.tensor.values)
    #expect(weights[0] != nil && first == second)
  }

  @Test(
    "a layer that cannot be of the kind is refused by name and rule, or plain if so written",
    arguments: [
      (#"{"kind": "tvconv"}"#, 8, 8, 3, 2, 1, "fixed size"),
      (#"{"kind": "tvconv", "image_size": [32, 32]}"#, 8, 4, 3, 2, 1, "keeps its channels"),
      (#"{"kind": "tvconv", "image_size": [64, 64]}"#, 8, 8, 3, 2, 1, "largest_map"),
      (#"{"kind": "tvconv", "image_size": [36, 36]}"#, 8, 8, 3, 2, 8, "not a multiple"),
      (#"{"kind": "tvconv", "image_size": [16, 16]}"#, 8, 8, 3, 3, 1, "two-dimensional"),
      (#"{"kind": "weighted", "density": [0.7]}"#, 8, 8, 5, 2, 1, "needs 2 density values"),
      (#"{"kind": "weighted"}"#, 8, 8, 9, 2, 1, "no density is published"),
      (#"{"kind": "fdconv"}"#, 16, 32, 3, 2, 1, "more than 16 channels"),
      (#"{"kind": "fdconv"}"#, 32, 32, 5, 2, 1, "side 1 or 3"),
      (#"{"kind": "fdconv"}"#, 32, 32, 3, 3, 1, "two-dimensional"),
      (#"{"kind": "fdconv", "kernel_num": 5}"#, 32, 32, 3, 2, 1, "32 to 32 channels"),
    ])
  func refusal(
    text: String, from: Int, to: Int, kernel: Int, axes: Int, reduction: Int, words: String
  ) throws {
    var choice = try JSONDecoder().decode(ConvolutionChoice.self, from: Data(text.utf8))
    let site = ConvolutionSite(
      "encoder.2.conv.3", from: from, to: to, kernel: kernel, axes: axes, reduction: reduction)
    var generator = Self.generator()
    do {
      _ = try choice.makeLayer(site, using: &generator)
      Issue.record("not refused")
    } catch {
      #expect(error.layer == "encoder.2.conv.3")
      #expect("\(error)".contains(words) && "\(error)".contains("encoder.2.conv.3"))
    }
    choice.fallback = .plain
    let layer = try choice.makeLayer(site, using: &generator)
    #expect(layer.kind == .plain)
    #expect(layer.convolutionCounts == [.plain: 1])
  }

  @Test("choices are read as a name or with options, and written so that they are read again")
  func coding() throws {
    func read(_ text: String) throws -> ConvolutionChoice {
      try JSONDecoder().decode(ConvolutionChoice.self, from: Data(text.utf8))
    }
    #expect(try read(#""weighted""#) == ConvolutionChoice(.weighted))
    let full = try read(
      #"{"kind": "tvconv", "image_size": [64, 48], "inter_chans": 16, "fallback": "plain"}"#)
    #expect(full.imageSize == [64, 48] && full.interChannels == 16 && full.fallback == .plain)
    #expect(full.boundSize.map { [$0.height, $0.width] } == [64, 48])
    let again = try JSONDecoder().decode(
      ConvolutionChoice.self, from: JSONEncoder().encode(full))
    #expect(again == full)
    // As a decoder that converts keys sees them.
    let converting = JSONDecoder()
    converting.keyDecodingStrategy = .convertFromSnakeCase
    #expect(try converting.decode(ConvolutionChoice.self, from: JSONEncoder().encode(full)) == full)
    let text = #"{"kind": "fdconv", "kernel_num": 8, "k_list": [2]}"#
    let dynamic = try converting.decode(ConvolutionChoice.self, from: Data(text.utf8))
    #expect(dynamic.fdconv.kernelCount == 8 && dynamic.fdconv.bands.divisors == [2])
    let options = """
      {"kind": "fdconv", "kernel_num": null, "ksm_local_act": "tanh", "use_fbm_for_stride": true,
       "bn_eps": 0.001, "fbm_cfg": {"spatial_group": 2, "act": "softmax"}}
      """
    for decoder in [JSONDecoder(), converting] {
      let choice = try decoder.decode(ConvolutionChoice.self, from: Data(options.utf8))
      #expect(choice.fdconv.kernelCount == nil && choice.fdconv.localActivation == .tanh)
      #expect(choice.fdconv.modulatesBandsForStride && choice.fdconv.batchNormEps == 0.001)
      #expect(choice.fdconv.bands.channelParts == 2 && choice.fdconv.bands.activation == .softmax)
      #expect(choice.fdconv.bands.divisors == [2, 4, 8])
      #expect(
        try decoder.decode(ConvolutionChoice.self, from: JSONEncoder().encode(choice)) == choice)
    }
    for (text, words) in [
      (#"{"kind": "fdconv", "kernel_number": 8}"#, ["fdconv", "kernel_number", "kernel_num,"]),
      (#"{"kind": "fdconv", "fbm_cfg": {"groups": 2}}"#, ["fbm_cfg of fdconv", "\"groups\""]),
      (#"{"kind": "weighted", "kernel_num": 8}"#, ["weighted", "kernel_num"]),
    ] {
      do {
        _ = try read(text)
        Issue.record("no error for \(text)")
      } catch DecodingError.dataCorrupted(let context) {
        for word in words { #expect(context.debugDescription.contains(word)) }
      }
    }
    for text in [
      #""wieghted""#, #"{"kind": "plain", "colour": 1}"#, #"{"fallback": "plain"}"#,
    ] {
      #expect(throws: DecodingError.self) { try read(text) }
    }
    #expect(try read(#"{"kind": "weighted", "fallback": "tvconv"}"#).flaw != nil)
    #expect(try read(#"{"kind": "plain", "density": [1]}"#).flaw != nil)
    #expect(full.flaw == nil)
  }
}
