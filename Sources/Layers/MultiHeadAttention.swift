public import Randomness
public import TensorCore

/// Softmax attention with several heads, by the packed layout of the reference framework.
///
/// State dictionary: `in_proj_weight` `[3C, C]` (rows of query, key, value), `in_proj_bias` `[3C]`,
/// `out_proj.weight` `[C, C]`, `out_proj.bias` `[C]`.
///
/// Source: Vaswani et al., *Attention Is All You Need*, NeurIPS 2017, §3.2.
public final class MultiHeadAttention: Module {
  /// Channels of queries, keys, values and results.
  public let channels: Int
  /// The number of heads.
  public let heads: Int

  private let inWeight: Parameter
  private let inBias: Parameter
  private let output: Linear
  private let parts = FoldCache<[(weight: Tensor, bias: Tensor)]>()

  /// A layer with initial weights: Xavier's uniform rule for the three maps, biases 0.
  ///
  /// - Parameters:
  ///   - channels: A multiple of `heads`.
  ///   - heads: The number of heads.
  ///   - generator: Draws the weights.
  public init(channels: Int, heads: Int, using generator: inout SeededGenerator) {
    precondition(
      heads > 0 && channels % heads == 0, "attention: \(channels) channels in \(heads) heads")
    self.channels = channels
    self.heads = heads
    let bound = (6 / Float(4 * channels)).squareRoot()
    inWeight = Parameter([3 * channels, channels]) {
      generator.fillUniform($0, low: -bound, high: bound)
    }
    inBias = Parameter([3 * channels], repeating: 0)
    output = Linear(inChannels: channels, outChannels: channels, using: &generator)
    output.bias?.update { $0.update(repeating: 0) }
  }

  /// The packed maps and the map of the result.
  public var members: [Member] {
    [
      .parameter("in_proj_weight", inWeight), .parameter("in_proj_bias", inBias),
      .module("out_proj", output),
    ]
  }

  /// Attends from queries to keys.
  ///
  /// - Parameters:
  ///   - query: `[N, Q, C]`.
  ///   - key: `[N, P, C]`.
  ///   - value: As `key`.
  ///   - mask: Added to the scores before the softmax, `[N, 1 or heads, Q, P]`; nil for none.
  /// - Returns: `[N, Q, C]`.
  public func callAsFunction(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor? = nil
  ) -> Tensor {
    let c = channels
    let maps = parts.value(of: [inWeight, inBias]) {
      (0..<3).map { part in
        let rows = part * c..<(part + 1) * c
        return (
          inWeight.tensor.sliced(axis: 0, rows).keptAsParameter,
          inBias.tensor.sliced(axis: 0, rows).keptAsParameter
        )
      }
    }
    // [N, T, C] to [N, heads, T, C / heads].
    func split(_ x: Tensor, _ part: Int) -> Tensor {
      x.linear(maps[part].weight, bias: maps[part].bias)
        .reshaped(to: [x.shape[0], x.shape[1], heads, c / heads]).permuted([0, 2, 1, 3])
    }
    let scale = 1 / Float(c / heads).squareRoot()
    var scores = split(query, 0).scaled(by: scale).matmul(transposing: split(key, 1))
    if let mask { scores = scores + mask }
    let read = scores.softmax().matmul(split(value, 2))
    return output(read.permuted([0, 2, 1, 3]).reshaped(to: query.shape))
  }
}
