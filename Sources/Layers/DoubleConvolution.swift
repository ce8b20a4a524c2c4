public import Randomness
public import TensorCore

/// Two convolutions that keep the size, each followed by a batch norm and a ReLU.
///
/// State dictionary: `conv.0` and `conv.3` (convolutions), `conv.1` and `conv.4` (norms).
///
/// Source: Ronneberger et al., *U-Net*, MICCAI 2015, with norms as in common implementations.
public final class DoubleConvolution: Module {
  private let first: NormedKernel
  private let second: NormedKernel

  /// Both convolutions, of the kinds that a choice gives for their places.
  ///
  /// - Throws: ``ConvolutionRefusal`` if one of them cannot be of the chosen kind.
  public init(
    _ sites: (ConvolutionSite, ConvolutionSite), _ choice: ConvolutionChoice, normEps: Float = 1e-5,
    normMomentum: Float = 0.1, using generator: inout SeededGenerator
  ) throws(ConvolutionRefusal) {
    func pair(_ site: ConvolutionSite) throws(ConvolutionRefusal) -> NormedKernel {
      NormedKernel(
        try choice.makeLayer(site, using: &generator),
        BatchNorm(channels: site.outChannels, eps: normEps, momentum: normMomentum))
    }
    first = try pair(sites.0)
    second = try pair(sites.1)
  }

  /// The places of the two convolutions of a block.
  public static func sites(
    _ name: String, from inChannels: Int, to outChannels: Int, kernel: Int = 3, axes: Int = 2,
    reduction: Int = 1
  ) -> (ConvolutionSite, ConvolutionSite) {
    func site(_ part: String, _ inChannels: Int) -> ConvolutionSite {
      ConvolutionSite(
        name + part, from: inChannels, to: outChannels, kernel: kernel, axes: axes,
        reduction: reduction)
    }
    return (site("conv.0", inChannels), site("conv.3", outChannels))
  }

  /// The convolutions and norms under the names of the usual sequence.
  public var members: [Member] {
    first.members("conv.0", "conv.1") + second.members("conv.3", "conv.4")
  }

  /// Maps `[N, spatial…, in]` to `[N, spatial…, out]`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    second(first(x, activation: .relu), activation: .relu)
  }
}
