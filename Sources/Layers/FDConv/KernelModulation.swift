import Foundation
import Randomness
public import TensorCore

/// `scale · max(x, 0)² + bias` with two learned numbers.
///
/// Source: Yu et al., *MetaFormer Baselines for Vision*, 2022.
public final class StarReLU: Module {
  private let scale = Parameter([1], repeating: 1)
  private let bias = Parameter([1], repeating: 0)

  /// A layer with scale 1 and bias 0.
  public init() {}

  /// Scale and bias.
  public var members: [Member] { [.parameter("scale", scale), .parameter("bias", bias)] }

  /// Applies the function to each element.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    x.reluSquared() * scale.tensor + bias.tensor
  }
}

/// Attentions of a kernel's input channels, filters, taps and groups of frequencies (KSM global).
///
/// State dictionary: `fc.weight`, `bn.…`, `relu.…`, and `weight` and `bias` of `channel_fc`,
/// `filter_fc`, `spatial_fc` and `kernel_fc`, as far as they are there. Source: arXiv 2503.18783.
public final class GlobalKernelModulation: Module {
  /// The factors of each sample; nil where a factor is 1.
  public struct Attention: Sendable {
    /// `[B, I]`.
    public let channel: Tensor?
    /// `[B, O]`.
    public let filter: Tensor?
    /// `[B, k²]`.
    public let spatial: Tensor?
    /// `[B, copies · groups]`, with a mean of about 1 / (copies · groups).
    public let kernel: Tensor
  }

  private let reduce: Convolution
  private let norm: BatchNorm
  private let activation = StarReLU()
  private let channel: Convolution?
  private let filter: Convolution?
  private let spatial: Convolution?
  private let kernel: Convolution?
  private let options: FDConvConfiguration
  private let groups: Int

  init(
    inChannels: Int, outChannels: Int, kernel size: Int, groups: Int,
    _ options: FDConvConfiguration, using generator: inout SeededGenerator
  ) {
    self.options = options
    self.groups = groups
    let width = max(Int(Double(inChannels) * options.reduction), 16)
    func layer(_ inputs: Int, _ outputs: Int, hasBias: Bool, deviation: Float) -> Convolution {
      let layer = Convolution(
        inChannels: inputs, outChannels: outputs, kernel: [1, 1], hasBias: hasBias,
        using: &generator)
      layer.weight.fillNormal(deviation: deviation, using: &generator)
      layer.bias?.update { $0.update(repeating: 0) }
      return layer
    }
    reduce = layer(inChannels, width, hasBias: false, deviation: (2 / Float(width)).squareRoot())
    norm = BatchNorm(
      channels: width, eps: Float(options.batchNormEps),
      momentum: Float(options.batchNormMomentum))
    let isWhole = !options.onlyGroupAttention
    channel = isWhole ? layer(width, inChannels, hasBias: true, deviation: 1e-6) : nil
    // The official code means to start this one near 1 too, but does not.
    filter =
      isWhole
      ? layer(
        width, outChannels, hasBias: true, deviation: (2 / Float(outChannels)).squareRoot()) : nil
    spatial =
      isWhole && size > 1 ? layer(width, size * size, hasBias: true, deviation: 1e-6) : nil
    kernel = groups > 1 ? layer(width, groups, hasBias: true, deviation: 1e-6) : nil
  }

  /// The reduction and the layers of the attentions that are there.
  public var members: [Member] {
    let heads = [
      ("channel_fc", channel), ("filter_fc", filter), ("spatial_fc", spatial),
      ("kernel_fc", kernel),
    ]
    return [.module("fc", reduce), .module("bn", norm), .module("relu", activation)]
      + heads.compactMap { name, layer in layer.map { .module(name, $0) } }
  }

  /// Sets all attentions to exactly 1 (those of groups to 1 / groups).
  func neutralize() {
    for layer in [channel, filter, spatial, kernel].compactMap(\.self) {
      layer.weight.update { $0.update(repeating: 0) }
      layer.bias?.update { $0.update(repeating: 0) }
    }
  }

  /// The attentions for mean features `[B, I]`.
  public func callAsFunction(_ mean: Tensor) -> Attention {
    let hidden = activation(norm(mean.linear(reduce.matrix)))
    let kernelTemperature =
      options.kernelCount == nil ? Double(groups).squareRoot() : options.kernelTemperature
    let temperature = options.temperature ?? kernelTemperature
    func head(_ layer: Convolution?, _ temperature: Double, _ multiplier: Double) -> Tensor? {
      guard let layer else { return nil }
      let logits = hidden.linear(layer.matrix, bias: layer.bias?.tensor)
      let scaled = temperature == 1 ? logits : logits.scaled(by: Float(1 / temperature))
      switch options.globalActivation {
      case .sigmoid: return scaled.sigmoid().scaled(by: Float(multiplier))
      case .tanh: return scaled.hyperbolicTangent().scaled(by: 1, adding: 1)
      }
    }
    return Attention(
      channel: head(channel, temperature, options.attentionMultiplier),
      filter: head(filter, temperature, options.attentionMultiplier),
      spatial: head(spatial, temperature, options.attentionMultiplier),
      kernel: head(kernel, kernelTemperature, 2)?.scaled(by: 1 / Float(groups))
        ?? .ones([mean.shape[0], 1]))
  }
}

/// An attention for every element of a kernel (KSM local): a 1-D convolution along the normalised
/// channel means.
///
/// State dictionary: `conv.weight` `[O · k², 1, taps]`, `norm.weight`, `norm.bias`. Source: arXiv
/// 2503.18783.
public final class LocalKernelModulation: Module {
  private let weight: Parameter
  private let norm: LayerNorm
  private let taps: Int

  init(inChannels: Int, outChannels: Int, kernel: Int, layerNormEps: Double) {
    taps = Self.taps(inChannels: inChannels)
    weight = Parameter([outChannels * kernel * kernel, 1, taps], repeating: 1e-6)
    norm = LayerNorm(channels: inChannels, eps: Float(layerNormEps))
  }

  /// The length of the convolution: 3 below 64 channels, 5 below 1024, 7 below 16384.
  static func taps(inChannels: Int) -> Int {
    let half = (log2(Double(inChannels)) / 2 + 0.5).rounded(.toNearestOrEven)
    return Int(half) / 2 * 2 + 1
  }

  /// The convolution and the norm.
  public var members: [Member] { [.parameter("conv.weight", weight), .module("norm", norm)] }

  /// Sets all attentions to exactly 1.
  func neutralize() { weight.update { $0.update(repeating: 0) } }

  /// The weights `[O · k², taps]`, and the normalised means `[B, I]`.
  func parts(_ mean: Tensor) -> (weight: Tensor, descriptor: Tensor) {
    (weight.tensor.reshaped(to: [weight.shape[0], taps]), norm(mean))
  }

  /// The logits themselves, `[B, I, O · k²]`; the layer does not need them as a tensor.
  package func logits(_ mean: Tensor) -> Tensor {
    let (weight, descriptor) = parts(mean)
    let inputs = descriptor.shape[1]
    let edge = (taps - 1) / 2
    let padded = descriptor.padded(before: [0, edge], after: [0, edge])
    let windows = Tensor.stack(
      (0..<taps).map { padded.sliced(axis: 1, $0..<$0 + inputs) }, axis: -1)
    return windows.linear(weight)
  }
}

extension Convolution {
  /// The weight of a 1×1 convolution as a matrix, `[out, in]`.
  var matrix: Tensor { weight.tensor.reshaped(to: [weight.shape[0], weight.shape[1]]) }
}

extension Parameter {
  /// Draws all values anew from a normal distribution around 0.
  func fillNormal(deviation: Float, using generator: inout SeededGenerator) {
    update { values in
      for index in values.indices { values[index] = deviation * generator.nextNormal() }
    }
  }
}
