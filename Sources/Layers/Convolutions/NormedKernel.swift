public import Randomness
public import TensorCore

/// A convolution of any kind and the batch norm behind it; one convolution at inference if the kind has
/// one kernel for all positions.
///
/// Not a module: the two parts stand side by side in state dictionaries, under names that their owner
/// chooses.
public final class NormedKernel: Sendable {
  /// The convolution.
  public let convolution: any ConvolutionLayer
  /// The norm of its output.
  public let norm: BatchNorm

  // Everything that the folded kernel depends on; buffers count too, a density is one.
  private let parameters: [Parameter]
  private let folded = FoldCache<(kernel: Tensor, bias: Tensor)>()

  /// A pair of layers.
  public init(_ convolution: any ConvolutionLayer, _ norm: BatchNorm) {
    self.convolution = convolution
    self.norm = norm
    parameters = (convolution.state + norm.state).compactMap(\.parameterOrBuffer)
  }

  /// A plain convolution without a bias, and its norm; weights are normal with variance
  /// 2 / (kernel area · `outChannels`).
  ///
  /// - Parameters:
  ///   - inChannels: Channels of the input.
  ///   - outChannels: Channels of the output.
  ///   - kernel: Size of the square kernel, odd; the padding keeps the size at stride 1.
  ///   - stride: Steps along both axes.
  ///   - eps: Added to the variance.
  ///   - generator: Draws the weights.
  public convenience init(
    inChannels: Int, outChannels: Int, kernel: Int, stride: Int = 1, eps: Float = 1e-5,
    using generator: inout SeededGenerator
  ) {
    let convolution = Convolution(
      inChannels: inChannels, outChannels: outChannels, kernel: [kernel, kernel],
      stride: [stride, stride], padding: [kernel / 2, kernel / 2], hasBias: false,
      using: &generator)
    let deviation = (2 / Float(kernel * kernel * outChannels)).squareRoot()
    convolution.weight.update { generator.fillNormal($0, standardDeviation: deviation) }
    self.init(convolution, BatchNorm(channels: outChannels, eps: eps))
  }

  /// The two parts under names of a state dictionary.
  public func members(_ convolutionName: String, _ normName: String) -> [Member] {
    [.module(convolutionName, convolution), .module(normName, norm)]
  }

  /// Convolves and normalises `[N, spatial…, in]`.
  ///
  /// - Parameters:
  ///   - x: The images or volumes.
  ///   - activation: `relu` or `none`, applied last.
  /// - Returns: `[N, spatial'…, out]`.
  public func callAsFunction(_ x: Tensor, activation: Activation = .none) -> Tensor {
    guard let layer = convolution as? any KernelConvolution, !norm.isTraining,
      !parameters.contains(where: \.requiresGradient)
    else {
      let y = norm(convolution(x))
      return activation == .relu ? y.relu() : y
    }
    let (kernel, bias) = folded.value(of: parameters) {
      let (scale, shift) = norm.affine
      let kernel = layer.effectiveKernel
      let ones = [Int](repeating: 1, count: kernel.shape.rank - 1)
      let bias = layer.bias.map { $0.tensor * scale + shift } ?? shift
      return (
        (kernel * scale.reshaped(to: Shape([scale.count] + ones))).keptAsParameter,
        bias.keptAsParameter
      )
    }
    return layer.convolved(x, weight: kernel, bias: bias, activation: activation)
  }
}

extension StateEntry {
  /// What is stored under this name, nil for a derived entry.
  fileprivate var parameterOrBuffer: Parameter? {
    switch content {
    case .parameter(let parameter), .buffer(let parameter): parameter
    case .derived: nil
    }
  }
}
