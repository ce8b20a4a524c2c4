public import Randomness
public import TensorCore

/// A convolution of images `[N, H, W, C]`, volumes `[N, D, H, W, C]` or sequences `[N, L, C]`.
///
/// State dictionary: `weight` `[out, in/groups, k…]`, `bias` `[out]` if there is one.
public final class Convolution: Module {
  /// `[out, in/groups, k…]`.
  public let weight: Parameter
  /// `[out]`, nil for a layer without one.
  public let bias: Parameter?
  /// Steps along each spatial axis.
  public let stride: [Int]
  /// Zeros added at both ends of each spatial axis.
  public let padding: [Int]
  /// Distances between taps along each spatial axis.
  public let dilation: [Int]
  /// The number of groups of channels that do not see each other.
  public let groups: Int

  /// A layer with initial values uniform within ±1/√fan-in, fan-in = `inChannels/groups` times the
  /// kernel's area.
  ///
  /// - Parameters:
  ///   - inChannels: Channels of the input, a multiple of `groups`.
  ///   - outChannels: Channels of the output, a multiple of `groups`.
  ///   - kernel: Size of the kernel along each spatial axis; as many as there are axes.
  ///   - stride: Steps, nil for 1.
  ///   - padding: Zeros at both ends, nil for none.
  ///   - dilation: Distances between taps, nil for 1.
  ///   - groups: The number of groups of channels that do not see each other.
  ///   - hasBias: Whether a bias is added.
  ///   - generator: Draws the weights, then the bias.
  public init(
    inChannels: Int, outChannels: Int, kernel: [Int], stride: [Int]? = nil, padding: [Int]? = nil,
    dilation: [Int]? = nil, groups: Int = 1, hasBias: Bool = true,
    using generator: inout SeededGenerator
  ) {
    precondition(
      groups > 0 && inChannels % groups == 0 && outChannels % groups == 0,
      "convolution: \(inChannels) to \(outChannels) channels in \(groups) groups")
    self.stride = stride ?? kernel.map { _ in 1 }
    self.padding = padding ?? kernel.map { _ in 0 }
    self.dilation = dilation ?? kernel.map { _ in 1 }
    self.groups = groups
    let shape = Shape([outChannels, inChannels / groups] + kernel)
    let fanIn = shape.count / outChannels
    weight = .uniform(shape, fanIn: fanIn, using: &generator)
    bias = hasBias ? .uniform([outChannels], fanIn: fanIn, using: &generator) : nil
    isPointwise =
      kernel.allSatisfy { $0 == 1 } && self.padding.allSatisfy { $0 == 0 } && groups == 1
  }

  /// Whether the layer is a linear map of the channels (of every `stride`-th position), which the matrix
  /// kernels do faster.
  private let isPointwise: Bool

  /// The weight and the bias.
  public var members: [Member] {
    [.parameter("weight", weight)] + (bias.map { [.parameter("bias", $0)] } ?? [])
  }

  /// Convolves `[N, spatial…, in]` to `[N, spatial'…, out]`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    convolved(x, weight: weight.tensor, bias: bias?.tensor)
  }

  /// Convolves with other values than the layer's own, such as folded ones, and applies `relu` or
  /// nothing to the result.
  public func convolved(
    _ x: Tensor, weight: Tensor, bias: Tensor?, activation: Activation = .none
  ) -> Tensor {
    if isPointwise {
      let matrix = weight.reshaped(to: [weight.shape[0], weight.shape[1]])
      var used = x
      for (axis, step) in stride.enumerated() where step > 1 {
        let positions = Array(Swift.stride(from: 0, to: x.shape[axis + 1], by: step))
        used = used.gathered(positions, axis: axis + 1)
      }
      return used.linear(matrix, bias: bias, activation: activation)
    }
    precondition(
      activation == .none || activation == .relu, "convolution: activation \(activation)")
    let y = x.convolved(
      with: weight, bias: bias, stride: stride, padding: padding, dilation: dilation,
      groups: groups)
    return activation == .relu ? y.relu() : y
  }
}
