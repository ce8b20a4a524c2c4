public import Randomness
public import TensorCore

/// The values by which a weighted convolution scales the taps of its kernel, from the outermost inwards;
/// the centre is 1.
///
/// A kernel of side `2 · values.count + 1` has the density `α_a · α_b · …` with
/// `α = [values…, 1, reversed values…]` along each axis.
public struct ConvolutionDensity: Codable, Equatable, Sendable {
  /// From the outermost tap to the one beside the centre.
  public var values: [Float]
  /// Whether training changes them.
  public var isTrainable: Bool

  /// A density.
  public init(_ values: [Float], isTrainable: Bool = false) {
    self.values = values
    self.isTrainable = isTrainable
  }

  /// The values that the authors give for a kernel of this side in two dimensions; nil for sides of
  /// which they say nothing.
  ///
  /// Source: Cammarasana, Patanè, documentation of weightedConvolution2.0.
  public static func published(kernel: Int, isTrainable: Bool = false) -> ConvolutionDensity? {
    switch kernel {
    case 1: ConvolutionDensity([], isTrainable: isTrainable)
    case 3: ConvolutionDensity([0.7], isTrainable: isTrainable)
    case 5: ConvolutionDensity([0.2, 0.8], isTrainable: isTrainable)
    case 7:
      ConvolutionDensity(
        isTrainable ? [0.27, 0.17, 0.54] : [0.25, 0.15, 0.55], isTrainable: isTrainable)
    default: nil
    }
  }

  /// The density along one axis, `α`.
  var axis: [Float] { values + [1] + values.reversed() }
}

/// A convolution whose kernel is scaled, tap by tap, by a density: `y = conv(x, W ⊙ Φ)`.
///
/// It can represent what a plain one can; what differs is how it learns. Without gradients the scaled
/// kernel is kept, so that it costs what a plain convolution costs.
///
/// State dictionary: `weight` `[out, in/groups, k…]`, `bias` `[out]` if there is one; with a fixed
/// density the buffers `alfa` `[k]` and `Phi` `[k, …]`, of which `Phi` is used; with a trainable one the
/// parameter `den` `[(k − 1) / 2]`.
///
/// Source: Cammarasana, Patanè, *Optimal Density Functions for Weighted Convolution in Learning
/// Models*, arXiv 2505.24527; *Optimal Weighted Convolution for Classification and Denosing*,
/// arXiv 2505.24558.
public final class WeightedConvolution: KernelConvolution {
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

  private enum Density {
    case fixed(alpha: Parameter, phi: Parameter)
    case trainable(Parameter)
  }

  private let density: Density
  private let axes: Int
  private let folded = FoldCache<Tensor>()

  /// A layer with normal initial weights and zero bias.
  ///
  /// - Parameters:
  ///   - inChannels: Channels of the input, a multiple of `groups`.
  ///   - outChannels: Channels of the output, likewise.
  ///   - density: Its number of values gives the side of the kernel, `2 · count + 1`.
  ///   - axes: Spatial axes, 1 to 3.
  ///   - stride: Steps along all axes.
  ///   - padding: Zeros at both ends, nil for what keeps the size at stride 1.
  ///   - dilation: Distances between taps.
  ///   - groups: The number of groups of channels that do not see each other.
  ///   - hasBias: Whether a bias is added.
  ///   - variance: Of the initial weights, nil for the authors' `2 / (outChannels · kernel^axes)`.
  ///   - generator: Draws the weights.
  public init(
    inChannels: Int, outChannels: Int, density: ConvolutionDensity, axes: Int = 2, stride: Int = 1,
    padding: Int? = nil, dilation: Int = 1, groups: Int = 1, hasBias: Bool = false,
    variance: Float? = nil, using generator: inout SeededGenerator
  ) {
    precondition(
      groups > 0 && inChannels % groups == 0 && outChannels % groups == 0 && (1...3).contains(axes),
      "weighted convolution: \(inChannels) to \(outChannels) channels in \(groups) groups, "
        + "\(axes) axes")
    let kernel = 2 * density.values.count + 1
    func everywhere(_ value: Int) -> [Int] { [Int](repeating: value, count: axes) }
    self.axes = axes
    self.stride = everywhere(stride)
    self.padding = everywhere(padding ?? density.values.count * dilation)
    self.dilation = everywhere(dilation)
    self.groups = groups
    let shape = Shape([outChannels, inChannels / groups] + everywhere(kernel))
    let fanOut = Float(outChannels * shape.dimensions.dropFirst(2).reduce(1, *))
    weight = Parameter(shape) {
      generator.fillNormal($0, standardDeviation: (variance ?? 2 / fanOut).squareRoot())
    }
    bias = hasBias ? Parameter([outChannels], repeating: 0) : nil
    if density.isTrainable {
      let values = density.values
      self.density = .trainable(Parameter([values.count]) { _ = $0.initialize(from: values) })
    } else {
      let alpha = density.axis
      self.density = .fixed(
        alpha: Parameter([kernel], requiresGradient: false) { _ = $0.initialize(from: alpha) },
        phi: Parameter(Shape(everywhere(kernel)), requiresGradient: false) { values in
          for index in values.indices {
            values[index] = Self.product(of: alpha, at: index, axes: axes)
          }
        })
    }
  }

  private static func product(of alpha: [Float], at index: Int, axes: Int) -> Float {
    var (rest, product) = (index, Float(1))
    for _ in 0..<axes {
      product *= alpha[rest % alpha.count]
      rest /= alpha.count
    }
    return product
  }

  /// Weighted.
  public var kind: ConvolutionKind { .weighted }

  /// The weight, the bias and the density.
  public var members: [Member] {
    var members: [Member] = [.parameter("weight", weight)]
    if let bias { members.append(.parameter("bias", bias)) }
    switch density {
    case .fixed(let alpha, let phi): members += [.buffer("alfa", alpha), .buffer("Phi", phi)]
    case .trainable(let values): members.append(.parameter("den", values))
    }
    return members
  }

  /// What a plain convolution needs.
  public var deployedCount: Int { weight.count + (bias?.count ?? 0) }

  /// The density of all taps, `[k, …]`.
  public var phi: Tensor {
    switch density {
    case .fixed(_, let phi): return phi.tensor
    case .trainable(let values):
      let count = values.count
      let mirrored = Array(0...count) + (0..<count).reversed()
      let alpha =
        count == 0
        ? .ones([1])
        : Tensor.concatenate([values.tensor, .ones([1])], axis: 0).gathered(mirrored, axis: 0)
      return (1..<axes).reduce(alpha) { product, _ in
        product.reshaped(to: Shape(product.shape.dimensions + [1])) * alpha
      }
    }
  }

  /// The kernel scaled by the density; kept while no gradients are required.
  public var effectiveKernel: Tensor {
    let density: Parameter =
      switch density {
      case .fixed(_, let phi): phi
      case .trainable(let values): values
      }
    return folded.value(of: [weight, density]) {
      let kernel = weight.tensor * phi
      return kernel.keptAsParameter
    }
  }

  /// A plain convolution with the scaled kernel, which computes the same.
  ///
  /// - Returns: A new layer; it does not follow later changes of this one.
  public func foldedConvolution() -> Convolution {
    var generator = SeededGenerator(seed: 0)
    let plain = Convolution(
      inChannels: weight.shape[1] * groups, outChannels: weight.shape[0],
      kernel: Array(weight.shape.dimensions.dropFirst(2)), stride: stride, padding: padding,
      dilation: dilation, groups: groups, hasBias: bias != nil, using: &generator)
    guard !Parameter.isCounting else { return plain }
    plain.weight.load(effectiveKernel.detached())
    if let bias { plain.bias?.load(bias.tensor.detached()) }
    return plain
  }

  /// Convolves `[N, spatial…, in]` to `[N, spatial'…, out]`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    convolved(x, weight: effectiveKernel, bias: bias?.tensor, activation: .none)
  }

  /// Convolves with another kernel and bias, and applies `relu` or nothing to the result.
  public func convolved(
    _ x: Tensor, weight: Tensor, bias: Tensor?, activation: Activation
  ) -> Tensor {
    precondition(
      activation == .none || activation == .relu, "weighted convolution: activation \(activation)")
    let y = x.convolved(
      with: weight, bias: bias, stride: stride, padding: padding, dilation: dilation,
      groups: groups)
    return activation == .relu ? y.relu() : y
  }
}
