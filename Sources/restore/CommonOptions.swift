public import ArgumentParser
import Foundation
public import TensorCore

/// The options that every command has, spelled the same everywhere.
struct CommonOptions: ParsableArguments {
  @Flag(name: .long, help: "Print the result as one JSON document.")
  var json = false

  @OptionGroup var messages: MessageOptions

  /// Sets up messages and threads.
  func apply() { messages.apply(isJSON: json) }
}

/// Messages and threads, for commands whose `--json` takes a file.
struct MessageOptions: ParsableArguments {
  @Option(
    name: [.short, .customLong("threads")],
    help: "Threads that compute; by default all processors that this process may use.")
  var threads: Int?

  @Flag(name: .customShort("v"), help: "Say more; twice for everything.")
  var verbose: Int

  @Flag(name: [.short, .long], help: "Say nothing but errors.")
  var quiet = false

  @Option(name: .long, help: "How messages look: text or json.")
  var logFormat: Console.LogFormat = .text

  @Flag(name: .long, help: "Plain messages. NO_COLOR has the same effect.")
  var noColor = false

  func validate() throws {
    if let threads, threads < 1 {
      throw ValidationError("--threads \(threads): at least one thread is needed")
    }
    if let threads, threads > Self.mostThreads {
      throw ValidationError("--threads \(threads): at most \(Self.mostThreads) can be used")
    }
  }

  /// More would only exhaust what the system has to give.
  private static let mostThreads = 1024

  /// Sets up messages and threads.
  func apply(isJSON: Bool) {
    Console.shared.configure(isJSON: isJSON, verbosity: quiet ? -1 : verbose, format: logFormat)
    let variable = ProcessInfo.processInfo.environment["RESTORE_THREADS"].flatMap(Int.init)
    if let count = threads ?? variable, (1...Self.mostThreads).contains(count) {
      Engine.shared.threads = count
    }
  }
}

extension Console.LogFormat: ExpressibleByArgument {}

extension Precision: ExpressibleByArgument {
  /// This precision, or float32 with a notice where the processor would only be slower with it.
  var available: Precision {
    if isSupported { return self }
    Console.shared.info(
      "--precision \(rawValue): this processor has no \(rawValue) arithmetic; using f32")
    return .float32
  }
}

/// A number of bytes as people write it: `4G`, `512M`, `1.5GiB`, `1000000`.
struct ByteCount: ExpressibleByArgument {
  let bytes: UInt64

  init?(argument: String) {
    var text = argument.lowercased()
    for ending in ["ib", "b"] where text.hasSuffix(ending) { text.removeLast(ending.count) }
    var factor = 1.0
    for (letter, power) in [("k", 10.0), ("m", 20), ("g", 30), ("t", 40)]
    where text.hasSuffix(letter) {
      text.removeLast()
      factor = pow(2, power)
    }
    guard let number = Double(text), number > 0, number * factor < Double(1 << 62) else {
      return nil
    }
    bytes = UInt64(number * factor)
  }
}

/// Which part of a list of items this process does.
struct ShardingOptions: ParsableArguments {
  @Option(name: .long, help: "Number of this part, from 0.")
  var partID: Int?

  @Option(name: .long, help: "Number of parts.")
  var numParts: Int?

  @Option(name: .long, help: "`slurm`: take both from the array job's environment.")
  var shard: String?

  /// Whether an option is given.
  var isUsed: Bool { partID != nil || numParts != nil || shard != nil }

  func validate() throws {
    if let shard, shard != "slurm" {
      throw ValidationError("--shard \(shard): only slurm is known")
    }
    // One of them alone is a variable that was forgotten: one job would do all, or all the same part.
    guard shard != nil || (partID == nil) == (numParts == nil) else {
      throw ValidationError(
        "--part-id and --num-parts belong together: part K of N is part-id K, num-parts N")
    }
    let (part, parts) = try resolved()
    guard parts >= 1, (0..<parts).contains(part) else {
      throw ValidationError("part-id must be 0..N-1: \(part) of \(parts)")
    }
  }

  /// The part and the number of parts.
  private func resolved() throws(ValidationError) -> (part: Int, parts: Int) {
    var (part, parts) = (partID ?? 0, numParts ?? 1)
    if shard == "slurm" {
      func variable(_ name: String) -> Int? {
        ProcessInfo.processInfo.environment[name].flatMap(Int.init)
      }
      if partID == nil, let id = variable("SLURM_ARRAY_TASK_ID") {
        let first = variable("SLURM_ARRAY_TASK_MIN") ?? 0
        let (difference, overflow) = id.subtractingReportingOverflow(first)
        guard !overflow else {
          throw ValidationError(
            "part-id must be 0..N-1: SLURM_ARRAY_TASK_ID is \(id), SLURM_ARRAY_TASK_MIN \(first)")
        }
        part = difference
      }
      parts = numParts ?? variable("SLURM_ARRAY_TASK_COUNT") ?? 1
    }
    return (part, parts)
  }

  /// This part's items, and the line that tells so if there is more than one part.
  func select<Item>(_ items: [Item]) throws -> (items: [Item], notice: String?) {
    let (part, parts) = try resolved()
    guard parts > 1 else { return (items, nil) }
    let own = items.indices.filter { $0 % parts == part }.map { items[$0] }
    return (own, "part \(part) of \(parts): \(own.count) of \(items.count) cases")
  }
}
