public import Layers
public import Randomness
public import TensorCore

/// DnCNN: a chain of convolutions that predicts the noise of an image, which is then taken away.
///
/// With F = ``DnCNNConfiguration/features`` and depth D:
///
/// | convolution | members | channels | behind it |
/// | --- | --- | --- | --- |
/// | first, with bias | `dncnn.0` | F | ReLU |
/// | D − 2 in the middle | `dncnn.{2+3j}`, norm `dncnn.{3+3j}` | F | batch norm, ReLU |
/// | last | `dncnn.{2+3(D−2)}` | that of the image | |
///
/// Source: Zhang et al., *Beyond a Gaussian Denoiser*, IEEE TIP 26(7), 2017; with weighted convolutions
/// Cammarasana, Patanè, arXiv 2505.24558.
public final class DnCNN: RestorationModel {
  /// `dncnn`.
  public static let architecture = "dncnn"

  /// The hyperparameters.
  public let configuration: DnCNNConfiguration

  private let first: any ConvolutionLayer
  private let middle: [NormedKernel]
  private let last: any ConvolutionLayer

  /// A network with initial weights.
  ///
  /// - Parameters:
  ///   - configuration: Checked first.
  ///   - generator: Draws the weights in the order of the layers.
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  public init(
    _ configuration: DnCNNConfiguration, using generator: inout SeededGenerator
  ) throws(ModelError) {
    try configuration.validate()
    self.configuration = configuration
    // Differs from the authors' code, whose kernels start orthogonal: normal weights for both kinds of
    // convolution, so that networks of one seed differ in the density alone.
    let layers = configuration.sites.map {
      configuration.convolution.layer(at: $0, using: &generator)
    }
    first = layers[0]
    middle = layers.dropFirst().dropLast().map {
      NormedKernel(
        $0,
        BatchNorm(
          channels: configuration.features, eps: configuration.normEps,
          momentum: configuration.normMomentum))
    }
    last = layers[layers.count - 1]
  }

  /// The layers under their positions in the authors' sequence.
  public var members: [Member] {
    var members: [Member] = [.module("dncnn.0", first)]
    for (index, pair) in middle.enumerated() {
      members += pair.members("dncnn.\(2 + 3 * index)", "dncnn.\(3 + 3 * index)")
    }
    return members + [.module("dncnn.\(2 + 3 * middle.count)", last)]
  }

  /// Channels of the image.
  public var inChannels: Int { configuration.imageChannels }

  /// Channels of the image.
  public var outChannels: Int { configuration.imageChannels }

  /// Spatial axes of the images.
  public var spatialAxes: Int { configuration.axes }

  /// 1: any size.
  public var sizeMultiple: Int { 1 }

  /// Those of the convolutions, for one image.
  public func multiplyAdds(height: Int, width: Int) -> Int {
    let area = configuration.kernel * configuration.kernel
    return configuration.sites.reduce(0) {
      $0 + height * width * area * $1.inChannels * $1.outChannels
    }
  }

  /// Maps `[N, spatial…, C]` to the same shape.
  public func forward(_ x: Tensor) -> Tensor {
    let features = middle.reduce(first(x).relu()) { $1($0, activation: .relu) }
    return x - last(features)
  }
}
