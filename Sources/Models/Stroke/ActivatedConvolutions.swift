import Layers
import Randomness
import TensorCore

/// R(n): n times ReLU, 3×3 convolution without bias, batch norm; features are norms, not activations.
///
/// State dictionary: the authors' sequence, `1` and `2` for the first convolution and norm, `4` and `5`
/// for the second, and so on.
final class ActivatedConvolutions: Module {
  private let convolutions: [Convolution]
  private let norms: [BatchNorm]

  /// A block with initial weights.
  ///
  /// - Parameters:
  ///   - count: n.
  ///   - configuration: Channels and the constants of the norms.
  ///   - generator: Draws the weights.
  init(
    count: Int, _ configuration: StrokeConfiguration, using generator: inout SeededGenerator
  ) {
    let channels = configuration.channels
    convolutions = (0..<count).map { _ in
      .stroke(inChannels: channels, outChannels: channels, using: &generator)
    }
    norms = (0..<count).map { _ in .stroke(configuration) }
  }

  /// Convolutions and norms under their places in the authors' sequence.
  var members: [Member] {
    zip(convolutions, norms).enumerated().flatMap { index, pair -> [Member] in
      [.module("\(3 * index + 1)", pair.0), .module("\(3 * index + 2)", pair.1)]
    }
  }

  /// Maps `[N, H, W, C]` to the same shape.
  func callAsFunction(_ x: Tensor) -> Tensor {
    zip(convolutions, norms).reduce(x) { x, layers in layers.1(layers.0(x.relu())) }
  }
}

extension Convolution {
  /// A 3×3 convolution without bias as the stroke networks have it, Kaiming normal over the fan-out.
  static func stroke(
    inChannels: Int, outChannels: Int, using generator: inout SeededGenerator
  ) -> Convolution {
    let convolution = Convolution(
      inChannels: inChannels, outChannels: outChannels, kernel: [3, 3], padding: [1, 1],
      hasBias: false, using: &generator)
    convolution.weight.drawKaimingNormal(fanOut: outChannels * 9, using: &generator)
    return convolution
  }
}

extension BatchNorm {
  /// A norm with the constants of a stroke network.
  static func stroke(_ configuration: StrokeConfiguration) -> BatchNorm {
    BatchNorm(
      channels: configuration.channels, eps: configuration.batchNormEps,
      momentum: configuration.batchNormMomentum)
  }
}

extension Parameter {
  /// Draws from the normal distribution with variance 2 / fan-out.
  ///
  /// Source: He et al., *Delving Deep into Rectifiers*, ICCV 2015, §2.2, in the fan-out form.
  func drawKaimingNormal(fanOut: Int, using generator: inout SeededGenerator) {
    let deviation = (2 / Float(fanOut)).squareRoot()
    update { values in
      generator.fillNormal(values)
      for index in values.indices { values[index] *= deviation }
    }
  }
}
