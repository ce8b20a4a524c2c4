import Foundation
import Synchronization

/// N threads that share the chunks of one loop at a time: the caller and N − 1 waiting workers.
///
/// Chunks are taken from one atomic counter, so a slow or busy core takes fewer of them. What a chunk
/// computes must depend only on its index: results then do not depend on N.
public final class WorkerPool: @unchecked Sendable {
  /// The number of threads that compute, the caller's own included.
  public let threads: Int

  private let next = Atomic<Int>(0)
  /// How many workers are in the loop; −1 while there is no loop to come into.
  private let inside = Atomic<Int>(-1)
  private let generation = Atomic<Int>(0)
  private let stopping = Atomic<Bool>(false)
  private let condition = NSCondition()
  // Written by the caller before it opens `inside`, read by workers after they came in.
  private var body: ((_ index: Int, _ worker: Int) -> Void)?
  private var chunks = 0

  /// How often a waiting thread looks before it sleeps: about 20 µs, the gap between two operators.
  private static let spins = 4000

  init(threads: Int) {
    self.threads = max(1, threads)
    for index in 1..<max(2, self.threads) where index < self.threads {
      let thread = Thread { [self] in work(as: index) }
      thread.name = "restore.worker.\(index)"
      thread.start()
    }
  }

  /// Calls `body` once for each index in `0..<chunks`, on any of the threads.
  ///
  /// Returns when all calls have returned. Not reentrant: a body must not call it.
  public func run(chunks: Int, _ body: (Int) -> Void) {
    run(chunks: chunks) { index, _ in body(index) }
  }

  /// Like ``run(chunks:_:)``, and tells the body which thread it runs on, `0..<threads`, so that each
  /// thread can have scratch memory of its own.
  public func run(chunks: Int, _ body: (_ index: Int, _ worker: Int) -> Void) {
    if chunks <= 0 { return }
    if threads == 1 || chunks == 1 {
      for index in 0..<chunks { body(index, 0) }
      return
    }
    withoutActuallyEscaping(body) { escaping in
      self.body = escaping
      self.chunks = chunks
      next.store(0, ordering: .relaxed)
      inside.store(0, ordering: .releasing)
      condition.lock()
      generation.add(1, ordering: .releasing)
      condition.broadcast()
      condition.unlock()
      takeChunks(escaping, as: 0)
      // Closes the loop when no worker is in it. One that is still waking up finds it closed: a short
      // loop does not wait for sleepers.
      var spins = 0
      while !inside.compareExchange(
        expected: 0, desired: -1, ordering: .acquiringAndReleasing
      ).exchanged {
        spins += 1
        if spins > Self.spins { sched_yield() }
      }
      self.body = nil
    }
  }

  /// Calls `body` with consecutive ranges that cover `0..<count`, each of at most `grain` elements.
  ///
  /// The ranges depend on `count` and `grain` alone, never on the number of threads.
  public func run(count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
    let grain = max(1, grain)
    run(chunks: (count + grain - 1) / grain) { index in
      body(index * grain..<min(count, (index + 1) * grain))
    }
  }

  func stop() {
    stopping.store(true, ordering: .releasing)
    condition.lock()
    generation.add(1, ordering: .releasing)
    condition.broadcast()
    condition.unlock()
  }

  private func takeChunks(_ body: (Int, Int) -> Void, as worker: Int) {
    while true {
      let index = next.add(1, ordering: .relaxed).oldValue
      if index >= chunks { return }
      body(index, worker)
    }
  }

  /// Comes into the loop, unless it is closed.
  private func comesIn() -> Bool {
    var count = inside.load(ordering: .acquiring)
    while count >= 0 {
      let (isIn, found) = inside.compareExchange(
        expected: count, desired: count + 1, ordering: .acquiringAndReleasing)
      if isIn { return true }
      count = found
    }
    return false
  }

  /// Lets go of the closure before the caller, who waits, checks that it did not escape.
  @inline(never)
  private func help(as worker: Int) {
    if let body { takeChunks(body, as: worker) }
  }

  private func work(as worker: Int) {
    var seen = 0
    while true {
      var spins = 0
      while generation.load(ordering: .acquiring) == seen && spins < Self.spins { spins += 1 }
      if generation.load(ordering: .acquiring) == seen {
        condition.lock()
        while generation.load(ordering: .acquiring) == seen { condition.wait() }
        condition.unlock()
      }
      // Loops that came and went in the meantime are over.
      seen = generation.load(ordering: .acquiring)
      if stopping.load(ordering: .acquiring) { return }
      guard comesIn() else { continue }
      help(as: worker)
      inside.subtract(1, ordering: .releasing)
    }
  }
}
