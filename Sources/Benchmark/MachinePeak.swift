import Foundation
import Kernels
import TensorCore

/// What this machine can do at most, measured in this process with this number of threads and this
/// instruction set.
public struct MachinePeak: Sendable, Encodable {
  /// `base`, `avx2` or `avx512`: the level whose peak this is.
  public let instructionSet: String
  /// Threads that took part.
  public let threads: Int
  /// Multiply-adds in registers, GFLOP/s.
  public let multiplyAdd: Double
  /// The STREAM triad on arrays far larger than the caches, 12 bytes counted an element, GB/s.
  public let triad: Double

  /// Measures both, in about a second; takes 192 MiB for that time.
  ///
  /// - Returns: The best of several runs: a bound, not a typical value.
  public static func measured() -> MachinePeak {
    Engine.shared.perform {
      MachinePeak(
        instructionSet: instructionSet, threads: Engine.shared.threads,
        multiplyAdd: multiplyAddRate(Engine.shared.workers),
        triad: triadRate(Engine.shared.workers))
    }
  }

  /// The level of the kernels of this process.
  public static var instructionSet: String { String(cString: k_isa_name(k_active_isa())) }

  /// The model name of the processor, as the system tells it.
  public static var processor: String {
    let lines = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let line = lines.split(separator: "\n").first { $0.hasPrefix("model name") }
    return line?.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) }
      ?? "unknown"
  }

  private static func multiplyAddRate(_ workers: WorkerPool) -> Double {
    let iterations = 2_000_000
    // Two chunks for each thread: one that starts late does not idle the others for long.
    let chunks = 2 * workers.threads
    var sinks = [Float](repeating: 0, count: chunks)
    let best = (0..<8).reduce(Double.infinity) { best, _ in
      let time = sinks.withUnsafeMutableBufferPointer { sinks in
        let sinks = SendablePointer(sinks)
        return clocked {
          workers.run(chunks: chunks) { index in
            // Factors near 1 keep the numbers normal.
            var result: Float = 0
            k_peak_multiply_add(&result, 0.999, 0.001, iterations)
            sinks.buffer[index] = result
          }
        }
      }
      return min(best, time)
    }
    return 1e-9 * Double(chunks) * Double(k_peak_operations(iterations)) / best
  }

  private static func triadRate(_ workers: WorkerPool) -> Double {
    let count = 16 << 20
    let inputs = (Tensor([count], repeating: 1), Tensor([count], repeating: 2))
    let best = inputs.0.withValues { b in
      inputs.1.withValues { c in
        (0..<6).reduce(Double.infinity) { best, _ in
          var time = 0.0
          // The pool gives the same pages again after the first run.
          _ = Tensor([count]) { a in
            let (a, b, c) = (SendablePointer(a), ReadablePointer(b), ReadablePointer(c))
            time = clocked {
              workers.run(count: count, grain: 1 << 16) { range in
                guard let a = a.buffer.baseAddress, let b = b.buffer.baseAddress,
                  let c = c.buffer.baseAddress
                else { return }
                k_peak_triad(
                  a + range.lowerBound, b + range.lowerBound, c + range.lowerBound, 3, range.count)
              }
            }
          }
          return min(best, time)
        }
      }
    }
    return 1e-9 * 12 * Double(count) / best
  }
}

/// Memory whose parts several threads write, each its own.
private struct SendablePointer: @unchecked Sendable {
  let buffer: UnsafeMutableBufferPointer<Float>
  init(_ buffer: UnsafeMutableBufferPointer<Float>) { self.buffer = buffer }
}

/// Memory that several threads read.
private struct ReadablePointer: @unchecked Sendable {
  let buffer: UnsafeBufferPointer<Float>
  init(_ buffer: UnsafeBufferPointer<Float>) { self.buffer = buffer }
}
