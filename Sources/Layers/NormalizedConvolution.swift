public import Randomness
public import TensorCore

/// A convolution without a bias and the batch norm behind it, which become one convolution at
/// inference.
///
/// Not a module: the two parts stand side by side in state dictionaries, under names that their owner
/// chooses.
public final class NormalizedConvolution: Sendable {
  /// The convolution, without a bias.
  public let convolution: Convolution
  /// The norm.
  public let norm: BatchNorm

  private let folded = DerivedTensors()

  /// Both parts; weights are normal with variance 2 / (kernel area · `outChannels`).
  ///
  /// - Parameters:
  ///   - inChannels: Channels of the input.
  ///   - outChannels: Channels of the output.
  ///   - kernel: Size of the square kernel, odd; the padding keeps the size at stride 1.
  ///   - stride: Steps along both axes.
  ///   - eps: Added to the variance.
  ///   - generator: Draws the weights.
  public init(
    inChannels: Int, outChannels: Int, kernel: Int, stride: Int = 1, eps: Float = 1e-5,
    using generator: inout SeededGenerator
  ) {
    convolution = Convolution(
      inChannels: inChannels, outChannels: outChannels, kernel: [kernel, kernel],
      stride: [stride, stride], padding: [kernel / 2, kernel / 2], hasBias: false,
      using: &generator)
    norm = BatchNorm(channels: outChannels, eps: eps)
    let deviation = (2 / Float(kernel * kernel * outChannels)).squareRoot()
    convolution.weight.update { generator.fillNormal($0, standardDeviation: deviation) }
  }

  /// The two parts under names of a state dictionary.
  public func members(_ convolutionName: String, _ normName: String) -> [Member] {
    [.module(convolutionName, convolution), .module(normName, norm)]
  }

  /// Convolves and normalises `[N, H, W, C]`.
  ///
  /// - Parameters:
  ///   - x: The images.
  ///   - activation: `relu` or `none`, applied last.
  /// - Returns: `[N, H', W', out]`.
  public func callAsFunction(_ x: Tensor, activation: Activation = .none) -> Tensor {
    let parameters = [convolution.weight, norm.weight, norm.bias]
    if norm.isTraining || parameters.contains(where: \.requiresGradient) {
      let y = norm(convolution(x))
      return activation == .relu ? y.relu() : y
    }
    // The norm's scale goes into the kernel of each output channel, its shift is the bias.
    let both = folded(from: parameters + [norm.runningMean, norm.runningVariance]) {
      let (scale, shift) = norm.affine
      return [convolution.weight.tensor * scale.reshaped(to: [scale.count, 1, 1, 1]), shift]
    }
    return convolution.convolved(x, weight: both[0], bias: both[1], activation: activation)
  }
}
