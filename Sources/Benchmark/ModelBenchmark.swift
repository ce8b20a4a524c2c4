import Foundation
import Layers
public import Models
import Randomness
public import TensorCore
import Train

/// A network, inference or training steps, on random images.
public struct ModelBenchmark {
  private let network: any RestorationModel
  private let shape: [Int]
  private let x: Tensor
  private let optimizer: Adam?
  /// The network as one that follows clips, if the batch is a clip.
  private let clip: GDKVM?
  private let runner: ModelRunner?

  /// A network and what it is fed with.
  ///
  /// - Parameters:
  ///   - network: Its mode is set here.
  ///   - shape: Batch, rows and columns.
  ///   - isTraining: Forward, backward and AdamW instead of inference.
  ///   - checkpointsActivations: Whether blocks are computed again in backward instead of remembered.
  ///   - isClip: Whether the batch is the frames of one clip, for a network that follows clips.
  ///   - precision: Of inference.
  ///   - isPlanned: Whether inference goes through a plan; false to compare.
  public init(
    _ network: any RestorationModel, shape: [Int], isTraining: Bool,
    checkpointsActivations: Bool = false, isClip: Bool = false,
    precision: Precision = .float32, isPlanned: Bool = true
  ) {
    precondition(shape.count == 3, "model benchmark: shape \(shape), expected [N, H, W]")
    self.network = network
    self.shape = shape
    network.setRequiresGradient(isTraining)
    network.setTraining(isTraining)
    network.setCheckpointsActivations(checkpointsActivations)
    var generator = SeededGenerator(seed: 0)
    x = Tensor([shape[0], shape[1], shape[2], network.inChannels]) { generator.fillUniform($0) }
    clip = isClip ? network as? GDKVM : nil
    var section = TrainingConfiguration.OptimizerSection()
    section.name = "adamw"
    section.weightDecay = 0.01
    section.clip = 0
    runner = isTraining || !isPlanned || isClip ? nil : ModelRunner(network, precision: precision)
    optimizer = isTraining ? Adam(network.parameters, section) : nil
  }

  /// Floating-point operations of convolutions and linear maps; backward counts twice.
  public var operations: Double {
    2 * Double(network.multiplyAdds(height: shape[1], width: shape[2]) * shape[0])
      * (optimizer == nil ? 1 : 3)
  }

  /// How inference computes; nil for training and without plans.
  public var execution: ModelExecution? { runner?.execution(for: x.shape) }

  /// Bytes that the plan announces; nil without one.
  public var planBytes: Int? { runner?.memoryBytes(for: x.shape) }

  /// One inference or one training step.
  public func step() {
    Engine.shared.perform {
      if let clip, optimizer == nil {
        _ = clip.segmented(x.reshaped(to: Shape([1] + x.shape.dimensions)))
        return
      }
      if let runner {
        _ = runner(x)
        return
      }
      let y = network(x)
      guard let optimizer else { return }
      _ = optimizer.step((y - x).absolute().mean().gradients(), learningRate: 2e-4)
    }
  }

  /// Where the time of one step went, as lines of a table.
  public func profile() -> [String] {
    var profile = OperationProfile()
    let whole = clocked { profile = Engine.shared.profiling(step).profile }
    return profile.entries.map { entry in
      String(format: "%9.1f ms %5d x  ", entry.seconds * 1e3, entry.calls)
        + "\(entry.phase.rawValue) \(entry.kind), \(entry.channels) channels"
    } + [String(format: "%9.1f ms outside operations", (whole - profile.seconds) * 1e3)]
  }

  /// Times steps after one that is not timed, which packs weights and fills the pool.
  ///
  /// - Parameters:
  ///   - runs: Timed steps.
  ///   - shouldStop: Asked before each.
  /// - Returns: Nil if stopped.
  public func timing(runs: Int, shouldStop: () -> Bool = { false }) -> Timing? {
    var seconds: [Double] = []
    for run in 0...runs {
      if shouldStop() { return nil }
      let time = clocked(step)
      if run > 0 { seconds.append(time) }
    }
    return Timing(seconds)
  }
}
