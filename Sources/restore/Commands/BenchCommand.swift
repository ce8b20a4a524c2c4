import ArgumentParser
import Benchmark
import Foundation
import Inference
import Models
import Randomness
import TensorCore

/// `restore bench`: how long things take on this machine.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Time, peak memory and throughput on synthetic input.",
    discussion: """
      A model is a bundle, or an architecture with a preset and random weights, as in \
      restore-rwkv:full. --ops and --blocks time its parts instead. What the machine can do at most \
      (multiply-adds in registers, the memory triad) is measured in the same process, with the same \
      threads and instruction set.
      """)

  @Option(name: .shortAndLong, help: "Bundle, architecture, or architecture:preset.")
  var model = "restore-rwkv:full"

  @Option(name: .long, help: "Batch x height x width.")
  var shape = "1x256x256"

  @Option(name: .long, help: "Timed runs of a model, after one that is not.")
  var runs = 5

  @Flag(name: .long, help: "Time training steps: forward, backward and AdamW.")
  var train = false

  @Flag(name: .long, help: "With --train: compute blocks again in backward, for less memory.")
  var checkpointActivations = false

  @Flag(name: .long, help: "Also say where the time of one more run of a model goes.")
  var profile = false

  @Option(name: .long, help: "Precision of matrix products in inference: f32 or bf16.")
  var precision: Precision = .float32

  @Flag(name: .long, help: "Run inference operation by operation instead of by a plan.")
  var eager = false

  @Flag(name: .long, help: "Time single operations, and the matrix product of oneDNN by turns.")
  var ops = false

  @Option(name: .long, help: "Of the operations only those whose name contains this.")
  var only: String?

  @Flag(name: .long, help: "Time the blocks of the full Restore-RWKV.")
  var blocks = false

  @Flag(name: .long, help: "Take the batch as the frames of one clip (gdkvm).")
  var clip = false

  @Flag(name: .long, help: "Time translation-variant and weighted convolution layers.")
  var convolutions = false

  @Flag(name: .long, help: "Also on one thread.")
  var single = false

  @Option(name: .long, help: "Instruction set: base, avx2 or avx512; default: the best there is.")
  var isa: InstructionSet?

  @OptionGroup(title: "General") var common: CommonOptions

  /// The levels of the kernels.
  enum InstructionSet: String, ExpressibleByArgument, CaseIterable {
    case base, avx2, avx512
  }

  func validate() throws {
    guard sizes != nil else {
      throw ValidationError("--shape \(shape): expected BATCHxHEIGHTxWIDTH, as in 1x256x256")
    }
    guard runs >= 1 else { throw ValidationError("--runs \(runs): at least 1") }
    guard let only else { return }
    guard ops else { throw ValidationError("--only: it belongs to --ops") }
    let names = OperationBenchmarks.names
    guard names.contains(where: { $0.lowercased().contains(only.lowercased()) }) else {
      throw ValidationError("--only \(only): there are \(names.joined(separator: ", "))")
    }
  }

  private var sizes: [Int]? {
    let sizes = shape.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    guard sizes.count == 3, !sizes.contains(nil) else { return nil }
    let numbers = sizes.compactMap(\.self)
    return numbers.allSatisfy { $0 >= 1 && $0 <= 1 << 20 } ? numbers : nil
  }

  func run() throws {
    common.apply()
    try useInstructionSet()
    let all = Engine.shared.threads
    var report = BenchReport()
    for threads in single && all > 1 ? [1, all] : [all] {
      Engine.shared.threads = threads
      report.parts.append(try ops || blocks || convolutions ? parts() : models())
    }
    if common.json { Console.shared.result(report) } else { Console.shared.result(report.lines) }
  }

  /// Starts the program anew with the level in its environment, which oneDNN and all kernels read.
  private func useInstructionSet() throws {
    guard let isa, isa.rawValue != MachinePeak.instructionSet else { return }
    let variable = "RESTORE_ISA"
    guard ProcessInfo.processInfo.environment[variable] != isa.rawValue else {
      throw CommandFailure(
        code: ExitStatus.unavailable, kind: "unavailable",
        what: "no such instruction set (\(isa.rawValue))",
        cause: "this processor offers \(MachinePeak.instructionSet)", advice: "leave out --isa")
    }
    setenv(variable, isa.rawValue, 1)
    var arguments = CommandLine.arguments.map { strdup($0) } + [nil]
    execv("/proc/self/exe", &arguments)
    throw CommandFailure(
      code: ExitStatus.failure, kind: "internal", what: "cannot start again",
      cause: String(cString: strerror(errno)), advice: "set \(variable)=\(isa.rawValue) yourself")
  }

  private func requireUninterrupted() throws {
    if Interruption.signal != nil { throw Interruption.failure("run the same command again") }
  }

  /// Operations and blocks.
  private func parts() throws -> BenchReport.Part {
    var part = BenchReport.Part(peak: MachinePeak.measured())
    func shows(_ measurement: TimedWork) -> Bool {
      Console.shared.detail("\(measurement.name) \(measurement.size)")
      return Interruption.signal == nil
    }
    if ops {
      part.measurements += OperationBenchmarks.run(
        against: part.peak, only: only, progress: shows)
    }
    if blocks {
      part.measurements += BlockBenchmarks.run(
        against: part.peak, isTraining: train, progress: shows)
    }
    if convolutions {
      part.measurements += ConvolutionBenchmarks.run(
        against: part.peak, isTraining: train, progress: shows)
    }
    try requireUninterrupted()
    return part
  }

  /// The whole network; the machine's peaks are measured after it, so that the memory is its own.
  private func models() throws -> BenchReport.Part {
    guard let sizes else { preconditionFailure("bench: the shape was checked before") }
    let precision = precision.available
    let network = try network()
    if let bound = network.boundSize, (bound.height, bound.width) != (sizes[1], sizes[2]) {
      throw CommandFailure(
        code: ExitStatus.usage, kind: "usage",
        what: "--shape \(shape) does not fit the model (\(model))",
        cause: "its kernels are made for images of \(bound.height)x\(bound.width)",
        advice: "--shape \(sizes[0])x\(bound.height)x\(bound.width)")
    }
    let (needed, limit) = (
      memory(for: network, sizes, precision), ProcessInfo.processInfo.physicalMemory
    )
    guard UInt64(needed) <= limit else {
      throw CommandFailure(
        code: ExitStatus.memory, kind: "needs-memory",
        what: "--shape \(shape) needs \(Memory.text(UInt64(needed)))",
        cause: "this machine has \(Memory.text(limit))", advice: "take a smaller shape")
    }
    let benchmark = ModelBenchmark(
      network, shape: sizes, isTraining: train,
      checkpointsActivations: checkpointActivations, isClip: clip, precision: precision,
      isPlanned: !eager)
    if case .eager(let reason)? = benchmark.execution {
      Console.shared.warning("\(model) runs without a plan: \(reason)")
    }
    let product = Engine.shared.measuredPeak()
    guard
      let timing = benchmark.timing(runs: runs, shouldStop: { Interruption.signal != nil })
    else { throw Interruption.failure("run the same command again") }
    let memory = Memory.peak
    if profile { benchmark.profile().forEach { Console.shared.info($0) } }
    var part = BenchReport.Part(peak: MachinePeak.measured())
    let gflops = 1e-9 * benchmark.operations / timing.median
    let bestProduct = max(product, Engine.shared.measuredPeak())
    part.model = BenchReport.Model(
      model: model, shape: sizes, mode: train ? "train" : "inference",
      precision: (train || eager ? .float32 : precision).rawValue,
      isPlanned: benchmark.execution == .planned, planBytes: benchmark.planBytes, timing: timing,
      gflop: 1e-9 * benchmark.operations, gflops: gflops,
      shareOfMultiplyAdd: gflops / part.peak.multiplyAdd, product: bestProduct,
      shareOfProduct: gflops / bestProduct, peakMemoryBytes: memory)
    return part
  }

  /// Bytes that are known to be needed before any are taken: those of the plan, else input and output alone.
  private func memory(
    for network: any RestorationModel, _ sizes: [Int], _ precision: Precision
  ) -> Int {
    let channels = network.inChannels + network.outChannels
    let images = MemoryLayout<Float>.size * sizes.reduce(channels, *)
    guard !train, !eager, !clip, images < 1 << 40 else { return images }
    let input = Shape([sizes[0], sizes[1], sizes[2], network.inChannels])
    return ModelRunner(network, precision: precision).memoryBytes(for: input) ?? images
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
}
