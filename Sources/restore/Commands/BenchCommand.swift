import ArgumentParser
import Foundation
import Inference
import Layers
import Models
import Randomness
import TensorCore

/// `restore bench`: how long a model takes on this machine.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Time, peak memory and throughput on synthetic input.",
    discussion: """
      A model is a bundle, or an architecture with a preset and random weights, as in \
      restore-rwkv:full. The machine's own peak is that of a matrix product measured before and after.
      """)

  @Option(name: .shortAndLong, help: "Bundle, architecture, or architecture:preset.")
  var model = "restore-rwkv:full"

  @Option(name: .long, help: "Batch x height x width.")
  var shape = "1x256x256"

  @Option(name: .long, help: "Timed runs, after one that is not.")
  var runs = 5

  @Flag(name: .long, help: "Time forward and backward instead of inference.")
  var train = false

  @OptionGroup(title: "General") var common: CommonOptions

  private struct Document: Encodable {
    let ok = true
    let model: String
    let shape: [Int]
    let mode: String
    let threads: Int
    let backEnd: String
    let seconds: [Double]
    let medianSeconds: Double
    let quartiles: [Double]
    let gflops: Double
    let peakGFLOPS: Double
    let shareOfPeak: Double
    let peakMemoryBytes: UInt64
  }

  func validate() throws {
    guard sizes != nil else {
      throw ValidationError("--shape \(shape): expected BATCHxHEIGHTxWIDTH, as in 1x256x256")
    }
    guard runs >= 1 else { throw ValidationError("--runs \(runs): at least 1") }
  }

  private var sizes: [Int]? {
    let sizes = shape.split(separator: "x").map { Int($0) }
    guard sizes.count == 3, !sizes.contains(nil) else { return nil }
    let numbers = sizes.compactMap(\.self)
    return numbers.allSatisfy { $0 >= 1 && $0 <= 1 << 20 } ? numbers : nil
  }

  func run() throws {
    common.apply()
    guard let sizes else { return }
    let network = try network()
    network.setRequiresGradient(train)
    network.setTraining(train)
    var generator = SeededGenerator(seed: 0)
    let x = Tensor([sizes[0], sizes[1], sizes[2], network.inChannels]) { buffer in
      generator.fillUniform(buffer)
    }
    let peakBefore = Engine.shared.measuredPeak()
    var seconds: [Double] = []
    for run in 0...runs {
      if Interruption.signal != nil { throw Interruption.failure("run the same command again") }
      let start = ContinuousClock.now
      Engine.shared.perform {
        let y = network(x)
        if train { _ = (y - x).absolute().mean().gradients() }
      }
      let time = start.duration(to: .now)
      if run > 0 {
        seconds.append(
          Double(time.components.seconds) + Double(time.components.attoseconds) * 1e-18)
      }
    }
    let peak = max(peakBefore, Engine.shared.measuredPeak())
    let sorted = seconds.sorted()
    let median = quantile(sorted, 0.5)
    let gflop =
      2e-9 * Double(network.multiplyAdds(height: sizes[1], width: sizes[2]) * sizes[0])
      * (train ? 3 : 1)
    let gflops = gflop / median
    let document = Document(
      model: model, shape: sizes, mode: train ? "train" : "inference",
      threads: Engine.shared.threads, backEnd: Engine.shared.backEnd, seconds: seconds,
      medianSeconds: median, quartiles: [quantile(sorted, 0.25), quantile(sorted, 0.75)],
      gflops: gflops, peakGFLOPS: peak, shareOfPeak: gflops / peak,
      peakMemoryBytes: Memory.peak)
    if common.json { return Console.shared.result(document) }
    let line = String(
      format: "median %.4g s (quartiles %.4g to %.4g), %.0f GFLOP/s = %.0f %% of the measured GEMM "
        + "peak of %.0f", median, document.quartiles[0], document.quartiles[1], gflops,
      100 * gflops / peak, peak)
    Console.shared.result([
      "\(model) \(shape) \(document.mode), \(document.threads) threads, \(document.backEnd)", line,
      "peak memory \(Memory.text(document.peakMemoryBytes))",
    ])
  }

  private func network() throws -> any RestorationModel {
    let parts = model.split(separator: ":").map(String.init)
    if let name = parts.first,
      ModelCatalogue.architectures.contains(where: { $0.architecture == name })
    {
      var generator = SeededGenerator(seed: 0)
      return try ModelDescription(
        architecture: name, preset: parts.count > 1 ? parts[1] : "full"
      ).makeModel(using: &generator)
    }
    return try ModelBundle.find(model).loadModel()
  }

  /// Linear interpolation between order statistics.
  private func quantile(_ sorted: [Double], _ part: Double) -> Double {
    let position = part * Double(sorted.count - 1)
    let low = Int(position)
    let high = min(low + 1, sorted.count - 1)
    return sorted[low] + (position - Double(low)) * (sorted[high] - sorted[low])
  }
}
