public import TensorCore

/// The kinds of convolutions that networks can be built of.
public enum ConvolutionKind: String, Codable, Sendable, CaseIterable {
  /// One kernel for all positions.
  case plain
  /// A plain one whose kernel is scaled by a density of its taps.
  case weighted
  /// One with a kernel that depends on the image, mixed from parts of a spectrum.
  case fdconv
  /// A depthwise one with a kernel of its own at every position.
  case tvconv
}

/// A layer that maps `[N, spatial…, in]` to `[N, spatial'…, out]` by a convolution of some kind.
public protocol ConvolutionLayer: Module {
  /// What the layer really does, whatever it was asked for.
  var kind: ConvolutionKind { get }

  /// Convolves `[N, spatial…, in]`.
  func callAsFunction(_ x: Tensor) -> Tensor
}

/// A layer with one kernel for all positions, into which a norm behind it can be folded.
public protocol KernelConvolution: ConvolutionLayer {
  /// The kernel that meets the input, `[out, in / groups, k…]`; depends on parameters alone.
  var effectiveKernel: Tensor { get }

  /// Added to each output channel, `[out]`, nil for a layer without one.
  var bias: Parameter? { get }

  /// Convolves with another kernel and bias of the same shapes.
  func convolved(
    _ x: Tensor, weight: Tensor, bias: Tensor?, activation: Activation
  ) -> Tensor
}

extension Convolution: KernelConvolution {
  /// Plain.
  public var kind: ConvolutionKind { .plain }

  /// The weight.
  public var effectiveKernel: Tensor { weight.tensor }
}

extension FDConv: ConvolutionLayer {
  /// Plain if the layer fell back to a plain convolution.
  public var kind: ConvolutionKind { isPlain ? .plain : .fdconv }
}

extension Module {
  /// How many convolutions of each kind there are in this module and its parts.
  ///
  /// What a convolution is made of (a generator of weights, for example) is part of it and not counted.
  public var convolutionCounts: [ConvolutionKind: Int] {
    if let layer = self as? any ConvolutionLayer { return [layer.kind: 1] }
    var counts: [ConvolutionKind: Int] = [:]
    for case .module(_, let part) in members {
      counts.merge(part.convolutionCounts) { $0 + $1 }
    }
    return counts
  }
}
