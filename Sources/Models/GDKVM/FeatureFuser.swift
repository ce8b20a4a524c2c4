public import Layers
public import Randomness
public import TensorCore

/// Joins features of a frame with features of its objects.
///
/// `z = x_transform(x) + y_transform(y)`, the first one repeated for every object, then two CA-res
/// blocks.
///
/// State dictionary: `x_transform`, `y_transform`, `layer1`, `layer2`.
public final class FeatureFuser: Module {
  private let frame: Convolution
  private let object: Convolution
  private let layer1: ChannelAttentionBlock
  private let layer2: ChannelAttentionBlock

  /// A fuser with initial weights.
  public init(
    frameChannels: Int, objectChannels: Int, outChannels: Int,
    using generator: inout SeededGenerator
  ) {
    frame = .square(1, frameChannels, outChannels, using: &generator)
    object = .square(1, objectChannels, outChannels, using: &generator)
    layer1 = ChannelAttentionBlock(
      inChannels: outChannels, outChannels: outChannels, using: &generator)
    layer2 = ChannelAttentionBlock(
      inChannels: outChannels, outChannels: outChannels, using: &generator)
  }

  /// The two maps and the two blocks.
  public var members: [Member] {
    [
      .module("x_transform", frame), .module("y_transform", object), .module("layer1", layer1),
      .module("layer2", layer2),
    ]
  }

  /// Fuses.
  ///
  /// - Parameters:
  ///   - x: Features of frames, `[B, h, w, X]`.
  ///   - y: Features of objects, `[B·N, h, w, Y]`, the objects of one frame side by side.
  /// - Returns: `[B·N, h, w, out]`.
  public func callAsFunction(_ x: Tensor, _ y: Tensor) -> Tensor {
    let sum = frame(x).repeated(toItems: y.shape[0]) + object(y)
    return layer2(layer1(sum))
  }
}

extension Tensor {
  /// Each item of `[B, …]` several times in a row, so that there are `items` of them: what belongs to a
  /// frame, for every object of that frame.
  func repeated(toItems items: Int) -> Tensor {
    let batch = shape[0]
    precondition(
      batch > 0 && items % batch == 0, "repeated: \(shape) to \(items) items")
    if items == batch { return self }
    let rest = Array(shape.dimensions.dropFirst())
    return reshaped(to: Shape([batch, 1] + rest))
      .broadcast(to: Shape([batch, items / batch] + rest)).reshaped(to: Shape([items] + rest))
  }
}
