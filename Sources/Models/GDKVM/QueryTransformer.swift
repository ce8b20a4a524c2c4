public import Layers
public import Randomness
public import TensorCore

/// Lets a few queries per object talk to the pixels and to one another, and tells the pixels.
///
/// With memory tokens `[sum; area]` and `val = sum / (area + ε)`,
///
///     q = query_init + summary_to_query_init(val);   q_pe = query_emb + summary_to_query_emb(val)
///     pixels = pixel_init_proj(x);                   p_pe = position encoding + pixel_emb_proj(x)
///     L₀ = mask_pred₀(pixels);   for each block: (q, pixels) ← block(q, pixels), L = mask_pred(pixels)
///
/// Half of the queries sees only the object and half only the background, by the latest L; that mask
/// is not differentiated. The maps L are returned for an auxiliary loss.
///
/// State dictionary: `query_init`, `query_emb`, `summary_to_query_{init,emb}`, `pixel_{init,emb}_proj`,
/// `spatial_pe.inv_freq`, `blocks.i`, `mask_pred.i.1`.
///
/// Source: Cheng et al., *Putting the Object Back into Video Object Segmentation*, CVPR 2024, §3.3.
public final class QueryTransformer: Module {
  private let queryInit: Parameter
  private let queryEmbedding: Parameter
  private let summaryInit: Linear
  private let summaryEmbedding: Linear
  private let pixelInit: Convolution
  private let pixelEmbedding: Convolution
  private let encoding: SineEncoding
  private let blocks: [QueryBlock]
  private let masks: [Convolution]
  private let areaEps: Float

  /// A transformer with initial weights.
  ///
  /// - Parameters:
  ///   - channels: Channels of queries and pixels.
  ///   - feedForwardChannels: Hidden channels of the feed-forward layers.
  ///   - blocks: The number of blocks.
  ///   - heads: Heads of every attention.
  ///   - queries: Queries of an object, even.
  ///   - encoding: Of positions, with `channels` channels.
  ///   - areaEps: Added to areas before division.
  ///   - layerNormEps: Added to variances.
  ///   - generator: Draws the weights.
  public init(
    channels: Int, feedForwardChannels: Int, blocks: Int, heads: Int, queries: Int,
    encoding: SineEncoding, areaEps: Float = 1e-4, layerNormEps: Float = 1e-5,
    using generator: inout SeededGenerator
  ) {
    queryInit = .normal([queries, channels], using: &generator)
    queryEmbedding = .normal([queries, channels], using: &generator)
    summaryInit = Linear(inChannels: channels, outChannels: channels, using: &generator)
    summaryEmbedding = Linear(inChannels: channels, outChannels: channels, using: &generator)
    pixelInit = .square(1, channels, channels, using: &generator)
    pixelEmbedding = .square(1, channels, channels, using: &generator)
    self.encoding = encoding
    self.areaEps = areaEps
    self.blocks = (0..<blocks).map { _ in
      QueryBlock(
        channels: channels, feedForwardChannels: feedForwardChannels, heads: heads,
        eps: layerNormEps, using: &generator)
    }
    masks = (0...blocks).map { _ in .square(1, channels, 1, using: &generator) }
  }

  /// Embeddings, maps, blocks and mask predictions.
  public var members: [Member] {
    [
      .parameter("query_init.weight", queryInit), .parameter("query_emb.weight", queryEmbedding),
      .module("summary_to_query_init", summaryInit),
      .module("summary_to_query_emb", summaryEmbedding), .module("pixel_init_proj", pixelInit),
      .module("pixel_emb_proj", pixelEmbedding),
      .derived("spatial_pe.inv_freq", [encoding.channels / 4]) { [encoding] in
        encoding.frequencies
      },
    ] + Member.modules("blocks", blocks)
      + masks.enumerated().map { .module("mask_pred.\($0).1", $1) }
  }

  /// Transforms.
  ///
  /// - Parameters:
  ///   - x: Fused pixel features of B · N objects, `[D, h, w, C]`.
  ///   - memory: Tokens and areas, `[D, Q, C + 1]`.
  ///   - objects: N, how many objects compete for each pixel.
  /// - Returns: Pixel features, `[D, h, w, C]`, and logits of masks before and after each block,
  ///   `[D, h, w, 1]` each.
  public func callAsFunction(
    _ x: Tensor, memory: Tensor, objects: Int
  ) -> (pixels: Tensor, logits: [Tensor]) {
    let (items, height, width, channels) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
    let queries = memory.shape[1]
    let tokens: Shape = [items, height * width, channels]
    let value =
      memory.sliced(axis: -1, 0..<channels)
      / (memory.sliced(axis: -1, channels..<channels + 1) + areaEps)
    var query = summaryInit(value) + queryInit.tensor
    let queryPosition = summaryEmbedding(value) + queryEmbedding.tensor
    var pixels = pixelInit(x)
    let pixelPosition = (pixelEmbedding(x) + encoding(height: height, width: width))
      .reshaped(to: tokens)
    var logits = [masks[0](pixels.relu())]
    for (index, block) in blocks.enumerated() {
      let mask = logits[index].detached()
        .reshaped(to: [items / objects, objects, height * width])
        .foregroundMask(queries: queries)
        .reshaped(to: [items, 1, queries, height * width])
      (query, pixels) = block(
        query: query, queryPosition: queryPosition, pixels: pixels, pixelPosition: pixelPosition,
        mask: mask)
      logits.append(masks[index + 1](pixels.relu()))
    }
    return (pixels, logits)
  }
}

/// One block of ``QueryTransformer``: pixels to queries, among queries, feed-forward, queries to pixels.
///
/// The residual of the first two attentions is the *normalised* query; the last one has no norm.
final class QueryBlock: Module {
  private let readFromPixel: MultiHeadAttention
  private let pixelNorm: LayerNorm
  private let selfAttention: MultiHeadAttention
  private let selfNorm: LayerNorm
  private let feedForward: (Linear, Linear)
  private let feedForwardNorm: LayerNorm
  private let readFromQuery: MultiHeadAttention
  private let pixelFeedForward: ChannelAttentionBlock

  init(
    channels: Int, feedForwardChannels: Int, heads: Int, eps: Float,
    using generator: inout SeededGenerator
  ) {
    readFromPixel = MultiHeadAttention(channels: channels, heads: heads, using: &generator)
    pixelNorm = LayerNorm(channels: channels, eps: eps)
    selfAttention = MultiHeadAttention(channels: channels, heads: heads, using: &generator)
    selfNorm = LayerNorm(channels: channels, eps: eps)
    feedForward = (
      Linear(inChannels: channels, outChannels: feedForwardChannels, using: &generator),
      Linear(inChannels: feedForwardChannels, outChannels: channels, using: &generator)
    )
    feedForwardNorm = LayerNorm(channels: channels, eps: eps)
    readFromQuery = MultiHeadAttention(channels: channels, heads: heads, using: &generator)
    pixelFeedForward = ChannelAttentionBlock(
      inChannels: channels, outChannels: channels, using: &generator)
  }

  var members: [Member] {
    [
      .module("read_from_pixel.cross_attn", readFromPixel),
      .module("read_from_pixel.norm", pixelNorm),
      .module("self_attn.self_attn", selfAttention), .module("self_attn.norm", selfNorm),
      .module("ffn.linear1", feedForward.0), .module("ffn.linear2", feedForward.1),
      .module("ffn.norm", feedForwardNorm), .module("read_from_query.cross_attn", readFromQuery),
      .module("pixel_ffn.conv", pixelFeedForward),
    ]
  }

  func callAsFunction(
    query: Tensor, queryPosition: Tensor, pixels: Tensor, pixelPosition: Tensor, mask: Tensor
  ) -> (query: Tensor, pixels: Tensor) {
    let tokens = pixels.reshaped(to: pixelPosition.shape)
    let located = tokens + pixelPosition
    var q = pixelNorm(query)
    q =
      q
      + readFromPixel(query: q + queryPosition, key: located, value: tokens, mask: mask)
    q = selfNorm(q)
    let own = q + queryPosition
    q = q + selfAttention(query: own, key: own, value: q)
    q = q + feedForward.1(feedForward.0(feedForwardNorm(q), activation: .relu))
    let told = tokens + readFromQuery(query: located, key: q + queryPosition, value: q)
    return (q, pixelFeedForward(told.reshaped(to: pixels.shape)))
  }
}
