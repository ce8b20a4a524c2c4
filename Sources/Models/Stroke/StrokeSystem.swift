public import Layers
public import Randomness
public import TensorCore

/// The stroke system: a 2D network for each of nine paths, and a 3D network that joins them.
///
///     volume [D0, D1, D2, T1 + FLAIR]
///       for each plane XY, ZX, ZY and each normalisation 12, 3, 123:
///         slices → normalised → StrokePathNetwork → mask; back to the volume's order
///       mask and both normalised channels of all paths, 27 channels → StrokeCombiner → logits
///
/// State dictionary: `paths.XY_12.…` and so on, `combiner.…`.
///
/// Source: as for ``StrokePathNetwork``.
public final class StrokeSystem: RestorationModel {
  /// `stroke-2.5d`.
  public static let architecture = "stroke-2.5d"

  /// The hyperparameters.
  public let configuration: StrokeSystemConfiguration
  /// The networks of the paths, in the order of ``StrokeSystemConfiguration/strokePaths``.
  public let networks: [StrokePathNetwork]
  /// The second stage.
  public let combiner: StrokeCombiner

  /// Networks with initial weights.
  ///
  /// - Parameters:
  ///   - configuration: Checked first.
  ///   - generator: Draws the weights.
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  public init(
    _ configuration: StrokeSystemConfiguration, using generator: inout SeededGenerator
  ) throws(ModelError) {
    try configuration.validate()
    self.configuration = configuration
    var networks: [StrokePathNetwork] = []
    for _ in configuration.paths {
      networks.append(try StrokePathNetwork(configuration.path, using: &generator))
    }
    self.networks = networks
    let hidden = configuration.combinerChannels
    combiner = StrokeCombiner(
      inChannels: 3 * networks.count, hidden: (hidden[0], hidden[1]),
      classes: configuration.path.classes, eps: configuration.instanceNormEps, using: &generator)
  }

  /// The paths and the combiner.
  public var members: [Member] {
    zip(configuration.paths, networks).map { .module("paths.\($0)", $1) }
      + [.module("combiner", combiner)]
  }

  /// 2: T1 and FLAIR; 1 if the mirrored T1 stands beside T1.
  public var inChannels: Int { configuration.secondChannel == .modality ? 2 : 1 }

  /// Background and lesion.
  public var outChannels: Int { configuration.path.classes }

  /// 16, along all three axes of a volume.
  public var sizeMultiple: Int { Self.sizeStep }

  /// What all three sizes of a volume are multiples of.
  public static let sizeStep = 16

  /// Of all convolutions, for one axial slice's share of a volume.
  public func multiplyAdds(height: Int, width: Int) -> Int {
    let hidden = configuration.combinerChannels
    let inputs = combiner.inChannels
    let voxel =
      27 * (inputs * hidden[0] + hidden[0] * hidden[1] + hidden[1] * outChannels)
      + inputs * hidden[1]
    return networks.reduce(height * width * voxel) {
      $0 + $1.multiplyAdds(height: height, width: width)
    }
  }

  /// Maps the axial slices of one volume, `[D0, D1, D2, inChannels]`, to logits
  /// `[D0, D1, D2, classes]`; D0 of any size is continued with zeros.
  public func forward(_ x: Tensor) -> Tensor {
    let planes = x.shape[0]
    guard x.hasValues else {
      // Norms look at values: reading some tells the trace so.
      return x.withValues { _ in .zeros(Shape(x.shape.dimensions.dropLast() + [outChannels])) }
    }
    let missing = (Self.sizeStep - planes % Self.sizeStep) % Self.sizeStep
    let volume = x.padded(before: [0, 0, 0, 0], after: [missing, 0, 0, 0])
    let stacks = StrokeStacks(of: volume, for: self)
    let masks = networks.indices.map { index in mask(ofPath: index, stacks) { _ in } }
    var parts: [Tensor] = []
    runCombiner(stacks, masks) { _, logits in parts.append(logits) }
    let logits = Tensor.concatenate(parts, axis: 1)
    return logits.reshaped(to: Shape(Array(logits.shape.dimensions.dropFirst())))
      .sliced(axis: 0, 0..<planes)
  }
}
