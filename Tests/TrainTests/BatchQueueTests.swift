import Foundation
import Synchronization
import Testing
import Train

@Suite("Batches made ahead")
struct BatchQueueTests {
  /// What a queue made so far, in order.
  private final class Log: Sendable {
    let steps = Mutex<[Int]>([])
    func make(_ step: Int) -> Int {
      steps.withLock { $0.append(step) }
      return step * step
    }
  }

  @Test("come in the order of the steps, whatever the capacity", arguments: [0, 1, 3, 100])
  func order(capacity: Int) {
    let queue = BatchQueue(from: 5, to: 40, capacity: capacity) { $0 * $0 }
    for step in 5..<40 { #expect(queue.next() == step * step) }
  }

  @Test("no more of them are made than fit")
  func bound() {
    let log = Log()
    let queue = BatchQueue(from: 0, to: 1000, capacity: 2) { log.make($0) }
    #expect(queue.next() == 0)
    Thread.sleep(forTimeInterval: 0.05)
    // One was taken, two lie ready, one is in the maker's hands.
    #expect(log.steps.withLock { $0.count } <= 4)
    #expect(queue.next() == 1)
  }

  @Test("none are made after the queue is gone, nor beyond the last step")
  func ends() {
    let log = Log()
    do {
      let queue = BatchQueue(from: 0, to: 3, capacity: 10) { log.make($0) }
      for expected in [0, 1, 4] { #expect(queue.next() == expected) }
    }
    let made: [Int] = log.steps.withLock { $0 }
    #expect(made == [0, 1, 2])
    let other = Log()
    do { _ = BatchQueue(from: 0, to: 1000, capacity: 1) { other.make($0) } }
    Thread.sleep(forTimeInterval: 0.05)
    #expect(other.steps.withLock { $0.count } <= 3)
  }
}
