import Foundation

/// Makes the batches of coming steps on a thread of its own, so that a step finds its batch ready.
///
/// Batches come in the order of the steps, and each depends on its step alone: a run is the same with or
/// without the queue, and a resumed one starts a new queue where it goes on.
package final class BatchQueue<Batch: Sendable> {
  /// What the two threads share; touched only while the condition is locked.
  private final class Shared: @unchecked Sendable {
    let condition = NSCondition()
    var ready: [Batch] = []
    var isStopped = false

    /// Adds a batch as soon as there is room; false if nobody wants it any more.
    func add(_ batch: Batch, capacity: Int) -> Bool {
      condition.lock()
      defer { condition.unlock() }
      while ready.count >= capacity && !isStopped { condition.wait() }
      ready.append(batch)
      condition.broadcast()
      return !isStopped
    }

    func take() -> Batch {
      condition.lock()
      defer { condition.unlock() }
      while ready.isEmpty { condition.wait() }
      condition.broadcast()
      return ready.removeFirst()
    }

    func stop() {
      condition.lock()
      isStopped = true
      condition.broadcast()
      condition.unlock()
    }
  }

  private let shared = Shared()
  private let capacity: Int
  private let make: @Sendable (_ step: Int) -> Batch
  private var step: Int

  /// Starts making batches; stops when the queue is let go of.
  ///
  /// - Parameters:
  ///   - step: The first step.
  ///   - steps: Where the run ends; nothing is made for steps from there on.
  ///   - capacity: Batches that may lie ready at once; with 0 each is made when it is asked for.
  ///   - make: Makes the batch of a step, on another thread than the caller's.
  package init(
    from step: Int, to steps: Int, capacity: Int, make: @escaping @Sendable (_ step: Int) -> Batch
  ) {
    (self.step, self.capacity, self.make) = (step, capacity, make)
    guard capacity > 0, step < steps else { return }
    let thread = Thread { [shared] in
      for step in step..<steps {
        guard shared.add(make(step), capacity: capacity) else { return }
      }
    }
    thread.name = "restore.batches"
    thread.start()
  }

  deinit { shared.stop() }

  /// The batch of the next step, of which there must be one; waits until it is ready.
  package func next() -> Batch {
    defer { step += 1 }
    return capacity == 0 ? make(step) : shared.take()
  }
}
