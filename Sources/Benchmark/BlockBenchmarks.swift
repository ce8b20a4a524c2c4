import Layers
import Models
import Randomness
import TensorCore

/// The blocks of the full Restore-RWKV, at the sizes that they have for an image of 256 x 256.
public enum BlockBenchmarks {
  /// Rows and columns, and channels, of each level; the last is the decoder's and the refinement's.
  static let levels = [(256, 48), (128, 96), (64, 192), (32, 384), (256, 96)]

  /// Times all blocks.
  ///
  /// - Parameters:
  ///   - peak: Of the same process and number of threads.
  ///   - isTraining: Forward and backward instead of inference.
  ///   - seconds: About how long each is timed.
  ///   - progress: Told each result as it comes; returns false to stop.
  /// - Returns: One measurement a level.
  public static func run(
    against peak: MachinePeak, isTraining: Bool, seconds: Double = 0.5,
    progress: (TimedWork) -> Bool = { _ in true }
  ) -> [TimedWork] {
    var found: [TimedWork] = []
    for (side, channels) in levels {
      let measurement = Engine.shared.perform {
        measured(side, channels, isTraining, peak, seconds)
      }
      found.append(measurement)
      guard progress(measurement) else { break }
    }
    return found
  }

  private static func measured(
    _ side: Int, _ channels: Int, _ isTraining: Bool, _ peak: MachinePeak, _ seconds: Double
  ) -> TimedWork {
    var generator = SeededGenerator(seed: 0)
    let block = RestoreBlock(
      channels: channels, hiddenRate: 4, recurrences: 2, layerNormEps: 1e-5, using: &generator)
    block.setRequiresGradient(isTraining)
    block.setTraining(isTraining)
    let plain = Tensor([1, side, side, channels]) { generator.fillUniform($0) }
    let x = isTraining ? plain.tracked() : plain
    // Four projections, the feed-forward's nine, two 5x5 shifts; the scan's work is not counted.
    let forward = 2 * Double(side * side) * Double(13 * channels * channels + 50 * channels)
    let times = Subject.times(
      of: [
        Subject {
          let y = block(x)
          if isTraining { _ = Tensor.gradients(of: [y], upstream: [plain]) }
        }
      ], seconds: seconds)
    return TimedWork(
      isTraining ? "block, forward and backward" : "block", "\(side) x \(side) x \(channels)",
      .operations(isTraining ? 3 * forward : forward), times[0], peak: peak)
  }
}
