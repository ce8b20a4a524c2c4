public import Layers
public import Randomness
public import TensorCore

/// Condenses a value map to a few tokens per object: the object memory.
///
///     v = input_proj(value) + position encoding
///     features = feature_pred(v);   weights = σ(weights_pred(v)) · m
///     token q = [Σ weights_q · features ; Σ weights_q]
///
/// where m is the object's mask for the first half of the tokens and 1 − mask for the second half.
///
/// State dictionary: `pos_enc.inv_freq`, `input_proj`, `feature_pred.{0,2}`, `weights_pred.{0,2}`.
public final class ObjectSummarizer: Module {
  private let encoding: SineEncoding
  private let input: Linear
  private let features: (Linear, Linear)
  private let weights: (Linear, Linear)
  private let summaries: Int

  /// A summarizer with initial weights.
  ///
  /// - Parameters:
  ///   - valueChannels: Channels of a value.
  ///   - embedChannels: Channels of a token, without the area.
  ///   - summaries: The number of tokens, even.
  ///   - encoding: Of positions, with `embedChannels` channels.
  ///   - generator: Draws the weights.
  public init(
    valueChannels: Int, embedChannels: Int, summaries: Int, encoding: SineEncoding,
    using generator: inout SeededGenerator
  ) {
    precondition(summaries % 2 == 0, "object summarizer: \(summaries) tokens is odd")
    func linear(_ inChannels: Int, _ outChannels: Int) -> Linear {
      Linear(inChannels: inChannels, outChannels: outChannels, using: &generator)
    }
    self.encoding = encoding
    self.summaries = summaries
    input = linear(valueChannels, embedChannels)
    features = (linear(embedChannels, embedChannels), linear(embedChannels, embedChannels))
    weights = (linear(embedChannels, embedChannels), linear(embedChannels, summaries))
  }

  /// The frequencies of the encoding and the linear maps.
  public var members: [Member] {
    [
      .derived("pos_enc.inv_freq", [encoding.channels / 4]) { [encoding] in
        encoding.frequencies
      },
      .module("input_proj", input), .module("feature_pred.0", features.0),
      .module("feature_pred.2", features.1), .module("weights_pred.0", weights.0),
      .module("weights_pred.2", weights.1),
    ]
  }

  /// Summarizes.
  ///
  /// - Parameters:
  ///   - mask: Soft masks at the resolution of the values, `[D, h, w, 1]`.
  ///   - value: `[D, h, w, V]`.
  /// - Returns: Tokens and, in the last channel, their areas, `[D, Q, E + 1]`.
  public func callAsFunction(mask: Tensor, value: Tensor) -> Tensor {
    let (items, height, width) = (value.shape[0], value.shape[1], value.shape[2])
    let pixels = height * width
    let v = input(value) + encoding(height: height, width: width)
    let feature = features.1(features.0(v, activation: .relu))
      .reshaped(to: [items, pixels, encoding.channels])
    let half: Shape = [items, height, width, summaries / 2]
    let part = Tensor.concatenate(
      [mask.broadcast(to: half), (1 - mask).broadcast(to: half)], axis: -1)
    let weight = (weights.1(weights.0(v, activation: .relu), activation: .sigmoid) * part)
      .reshaped(to: [items, pixels, summaries])
    let sums = weight.transposed().matmul(feature)
    let areas = weight.sum(axes: [1]).reshaped(to: [items, summaries, 1])
    return .concatenate([sums, areas], axis: -1)
  }
}
