public import Randomness
public import TensorCore

/// Reweights the frequency bands of a feature map at every position (FBM).
///
/// Bands are what neighbouring low-pass filters of the whole map leave; a convolution of the map itself
/// computes their weights. The filters act on the whole map, which they continue periodically: a tile
/// gives other results than the image that it was cut from.
///
/// State dictionary: `freq_weight_conv_list.{b}.weight`, `.bias`, one for each band.
///
/// Source: Chen et al., *Frequency Dynamic Convolution for Dense Image Prediction*, CVPR 2025,
/// arXiv 2503.18783, and its code.
public final class FrequencyBandModulation: Module {
  /// The options.
  public let configuration: FrequencyBandConfiguration
  /// The low-pass filters.
  public let bands: FrequencyBands

  private let convolutions: [Convolution]
  private let parts: Int
  /// For each tap and band a kernel that is 1 at the tap, `[taps · bands, 1, k, k]`.
  private let moves: Tensor
  private let joined = FoldCache<(weight: Tensor, bias: Tensor)>()

  /// A layer whose weights are near 1 everywhere.
  ///
  /// - Parameters:
  ///   - channels: Channels of input and output.
  ///   - configuration: The options.
  ///   - generator: Draws the convolutions' weights.
  /// - Throws: ``LayerError/invalidLayer(layer:rule:)``.
  public init(
    channels: Int, configuration: FrequencyBandConfiguration = FrequencyBandConfiguration(),
    using generator: inout SeededGenerator
  ) throws(LayerError) {
    if let rule = configuration.brokenRule(inChannels: channels) {
      throw .invalidLayer(layer: "frequency band modulation", rule: rule)
    }
    self.configuration = configuration
    bands = FrequencyBands(divisors: configuration.divisors, grid: configuration.grid)
    let parts = configuration.parts(inChannels: channels)
    self.parts = parts
    let (side, count) = (
      configuration.kernel, configuration.divisors.count + (configuration.weighsLowest ? 1 : 0)
    )
    let taps = side * side
    moves = Tensor([taps * count, 1, side, side]) { values in
      values.initialize(repeating: 0)
      for tap in 0..<taps {
        for band in 0..<count { values[(tap * count + band) * taps + tap] = 1 }
      }
    }.asParameter(tracked: false)
    convolutions = (0..<configuration.divisors.count + (configuration.weighsLowest ? 1 : 0)).map {
      _ in
      let convolution = Convolution(
        inChannels: channels, outChannels: parts,
        kernel: [configuration.kernel, configuration.kernel],
        padding: [configuration.kernel / 2, configuration.kernel / 2], groups: parts,
        using: &generator)
      convolution.weight.fillNormal(deviation: 1e-6, using: &generator)
      convolution.bias?.update { $0.update(repeating: 0) }
      return convolution
    }
  }

  /// The convolutions that compute weights.
  public var members: [Member] { Member.modules("freq_weight_conv_list", convolutions) }

  /// Sets all weights to exactly 1.
  func neutralize() {
    for convolution in convolutions { convolution.weight.update { $0.update(repeating: 0) } }
    for convolution in convolutions { convolution.bias?.update { $0.update(repeating: 0) } }
  }

  /// Modulates `[N, H, W, C]`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    guard !convolutions.isEmpty else { return x }
    return x.bandModulated(
      by: bands, weights: weights(x), groups: parts, weighsLowest: configuration.weighsLowest)
  }

  /// `[N, H, W, bands · parts]`.
  private func weights(_ x: Tensor) -> Tensor {
    let logits = logits(x)
    switch configuration.activation {
    case .sigmoid: return logits.sigmoid().scaled(by: 2)
    case .tanh: return logits.hyperbolicTangent().scaled(by: 1, adding: 1)
    case .softmax:
      let split = Shape(Array(logits.shape.dimensions.dropLast()) + [convolutions.count, parts])
      return logits.reshaped(to: split).softmax().scaled(by: Float(parts))
        .reshaped(to: logits.shape)
    }
  }

  private func logits(_ x: Tensor) -> Tensor {
    guard parts == 1 else { return .concatenate(convolutions.map { $0(x) }, axis: -1) }
    // All bands together, with few results at each position: a matrix product makes what each tap
    // contributes, and each contribution is then moved to where it belongs.
    let weights = convolutions.map(\.weight)
    let biases = convolutions.compactMap(\.bias)
    let taps = configuration.kernel * configuration.kernel
    let (weight, bias) = joined.value(of: weights + biases) {
      let kernels = Tensor.concatenate(weights.map(\.tensor), axis: 0)
      let weight = kernels.permuted([2, 3, 0, 1])
        .reshaped(to: [taps * convolutions.count, x.shape.channels])
      let bias = Tensor.concatenate(biases.map(\.tensor), axis: 0)
      return (weight.keptAsParameter, bias.keptAsParameter)
    }
    let moved = x.linear(weight).depthwiseConvolved(with: moves)
    let split = Shape(Array(x.shape.dimensions.dropLast()) + [taps, convolutions.count])
    return moved.reshaped(to: split).sum(axes: [-2]) + bias
  }
}
