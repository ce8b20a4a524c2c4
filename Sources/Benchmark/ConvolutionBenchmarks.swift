import Layers
import Models
import Randomness
import TensorCore

/// Translation-variant and weighted convolution layers, at sizes at which they are used.
public enum ConvolutionBenchmarks {
  /// Batches, sides of the map and channels of translation-variant layers: those of the optic disc
  /// network's head, and one on a larger map.
  static let translationVariant = [(1, 16, 1920), (4, 16, 1920), (16, 16, 1920), (16, 32, 64)]

  /// Sides and channels of weighted layers.
  static let weighted = [(256, 32), (256, 64), (64, 256)]

  /// Times all layers; a weighted one by turns with the plain one.
  ///
  /// - Parameters:
  ///   - peak: Of the same process and number of threads.
  ///   - isTraining: Forward and backward instead of inference.
  ///   - seconds: About how long each is timed.
  ///   - progress: Told each result as it comes; returns false to stop.
  /// - Returns: One measurement a layer and size.
  public static func run(
    against peak: MachinePeak, isTraining: Bool, seconds: Double = 1,
    progress: (TimedWork) -> Bool = { _ in true }
  ) -> [TimedWork] {
    let cases =
      translationVariant.map { size in
        { translationVariantLayer(size.0, size.1, size.2, isTraining, peak, seconds) }
      }
      + weighted.map { size in { weightedLayer(size.0, size.1, isTraining, peak, seconds) } }
    var found: [TimedWork] = []
    for measured in cases {
      let measurement = Engine.shared.perform { measured() }
      found.append(measurement)
      guard progress(measurement) else { break }
    }
    return found
  }

  private static func subject(
    _ layer: any ConvolutionLayer, _ shape: Shape, isTraining: Bool
  ) -> Subject {
    var generator = SeededGenerator(seed: 1)
    layer.setRequiresGradient(isTraining)
    layer.setTraining(isTraining)
    let plain = Tensor(shape) { generator.fillUniform($0) }
    let x = isTraining ? plain.tracked() : plain
    let upstream = isTraining ? Tensor.ones(layer(plain).shape) : plain
    return Subject {
      let y = layer(x)
      if isTraining { _ = Tensor.gradients(of: [y], upstream: [upstream]) }
    }
  }

  private static func title(_ kind: String, _ isTraining: Bool) -> String {
    isTraining ? "\(kind), forward and backward" : kind
  }

  private static func translationVariantLayer(
    _ batch: Int, _ side: Int, _ channels: Int, _ isTraining: Bool, _ peak: MachinePeak,
    _ seconds: Double
  ) -> TimedWork {
    var generator = SeededGenerator(seed: 0)
    let sizes = TVConvolutionSizes(channels: channels, height: side, width: side)
    let layer = TVConvolution(sizes, using: &generator)
    let shape: Shape = [batch, side, side, channels]
    let times = Subject.times(of: [subject(layer, shape, isTraining: isTraining)], seconds: seconds)
    // Applying the kernels, and in training the generator too.
    let positions = side * side
    let generatorWork =
      positions * 9
      * (sizes.affinityChannels * sizes.interChannels
        + sizes.interLayers * sizes.interChannels * sizes.interChannels
        + sizes.interChannels * channels * 9)
    let forward = 2 * Double(9 * shape.count + (isTraining ? generatorWork : 0))
    return TimedWork(
      title("tvconv", isTraining), "\(batch) x \(side) x \(side) x \(channels)",
      .operations(isTraining ? 3 * forward : forward), times[0], peak: peak)
  }

  private static func weightedLayer(
    _ side: Int, _ channels: Int, _ isTraining: Bool, _ peak: MachinePeak, _ seconds: Double
  ) -> TimedWork {
    var generator = SeededGenerator(seed: 0)
    let layer = WeightedConvolution(
      inChannels: channels, outChannels: channels, density: ConvolutionDensity([0.7]),
      using: &generator)
    let shape: Shape = [1, side, side, channels]
    let times = Subject.times(
      of: [
        subject(layer, shape, isTraining: isTraining),
        subject(layer.foldedConvolution(), shape, isTraining: isTraining),
      ], seconds: seconds, rounds: 21)
    let forward = 2 * Double(9 * shape.count * channels)
    return TimedWork(
      title("weighted 3x3", isTraining), "\(side) x \(side) x \(channels)",
      .operations(isTraining ? 3 * forward : forward), times[0], peak: peak,
      opponent: ("plain", times[1]))
  }
}
