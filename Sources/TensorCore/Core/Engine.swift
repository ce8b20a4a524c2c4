import Foundation
import Kernels
import OneDNNBridge
import Synchronization

/// The one thread that issues all compute, and the workers that share its loops.
///
/// Every operation runs on the engine thread: OpenMP libraries keep a team of threads for each thread
/// that calls them, and interleaved callers would fight for the same cores. Calls from elsewhere
/// wait for their turn. Wrap a whole computation in ``perform(_:)`` to hand over once, not per op.
public final class Engine: @unchecked Sendable {
  /// The engine of this process.
  public static let shared = Engine()

  private let condition = NSCondition()
  private var queue: [Job] = []
  private var thread: Thread?
  private var pool: WorkerPool
  private var recordedKinds: Set<OperationKind>?
  /// Collects times while ``profiling(_:)`` runs; only touched on the engine thread.
  var profile: OperationProfile?
  /// The first pass through a checkpointed part, if one is under way; on the engine thread only.
  var checkpointedPart: CheckpointedPart?

  private init() {
    pool = WorkerPool(threads: ThreadCount.allowed)
    onednn_set_threads(Int32(pool.threads))
    let thread = Thread { [unowned self] in serve() }
    thread.name = "restore.engine"
    // A long graph is released node by node, recursively.
    thread.stackSize = 256 << 20
    self.thread = thread
    thread.start()
  }

  /// The workers for the loops of operations; to be used on the engine thread only.
  public var workers: WorkerPool { pool }

  /// What computes, as in `own kernels (avx512), oneDNN 2.6.3`.
  public var backEnd: String {
    let level = String(cString: k_isa_name(k_active_isa()))
    return "own kernels (\(level)), oneDNN \(String(cString: onednn_version()))"
  }

  /// The best rate of a matrix product that fits the caches, in GFLOP/s with all threads.
  ///
  /// The yardstick for whole networks: what this machine reached just now, not what its data sheet
  /// says. Takes about a fifth of a second.
  public func measuredPeak() -> Double {
    let (rows, size) = (2048, 384)
    let x = Tensor([rows, size], repeating: 0.01)
    let weight = Tensor([size, size], repeating: 0.01).asParameter(tracked: false)
    return perform {
      var best = Double.infinity
      for _ in 0..<60 {
        let start = ContinuousClock.now
        _ = x.linear(weight)
        let time = start.duration(to: .now).components
        best = min(best, Double(time.seconds) + Double(time.attoseconds) * 1e-18)
      }
      return 2e-9 * Double(rows * size * size) / best
    }
  }

  /// The number of threads that compute: ``ThreadCount/allowed`` unless set.
  ///
  /// Results of the engine's own kernels do not depend on it; those of the convolution library may,
  /// in the last bits.
  public var threads: Int {
    get { perform { pool.threads } }
    set {
      precondition(newValue >= 1, "threads: \(newValue) is not at least 1")
      perform {
        guard newValue != pool.threads else { return }
        pool.stop()
        pool = WorkerPool(threads: newValue)
        onednn_set_threads(Int32(newValue))
      }
    }
  }

  /// Runs `body` on the engine thread and returns its result; at once if already there.
  public func perform<Result, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    if Thread.current === thread { return try body() }
    var outcome: Swift.Result<Result, Failure>?
    func job() {
      do throws(Failure) { outcome = .success(try body()) } catch { outcome = .failure(error) }
    }
    withoutActuallyEscaping(job) { body in
      let job = Job(body)
      condition.lock()
      queue.append(job)
      condition.signal()
      condition.unlock()
      job.done.wait()
    }
    guard let outcome else { preconditionFailure("engine: a job ended without a result") }
    return try outcome.get()
  }

  /// Runs `body` and also returns the kinds of all tracked operations that it applied.
  package func recordingKinds<Result>(
    _ body: () -> Result
  ) -> (result: Result, kinds: Set<OperationKind>) {
    perform {
      recordedKinds = []
      defer { recordedKinds = nil }
      let result = body()
      return (result, recordedKinds ?? [])
    }
  }

  /// The trace that takes operations on its tensors instead of running them; on the engine thread only.
  private(set) var trace: Trace?

  /// Runs a computation while a trace takes its operations; on the engine thread only.
  func tracing<Result>(_ trace: Trace, _ body: () -> Result) -> Result {
    let outer = self.trace
    self.trace = trace
    defer { self.trace = outer }
    return body()
  }

  /// To be called on the engine thread for each tracked operation.
  func record(_ kind: OperationKind) { recordedKinds?.insert(kind) }

  private func serve() {
    while true {
      condition.lock()
      while queue.isEmpty { condition.wait() }
      let jobs = queue
      queue.removeAll(keepingCapacity: true)
      condition.unlock()
      for job in jobs { job.run() }
    }
  }
}

/// A closure that another thread waits for.
private final class Job {
  let done = DispatchSemaphore(value: 0)
  private var body: (() -> Void)?

  init(_ body: @escaping () -> Void) { self.body = body }

  func run() {
    call()
    done.signal()
  }

  /// Lets go of the closure before returning: whoever waits checks that it did not escape.
  @inline(never)
  private func call() {
    let body = body
    self.body = nil
    body?()
  }
}
