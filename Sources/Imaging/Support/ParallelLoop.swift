import Dispatch
import Synchronization

/// Loops over independent pieces of an image, shared by as many threads as the process may use.
///
/// What a piece computes must depend on its index alone, so that results do not depend on the number
/// of threads. Networks have workers of their own (`TensorCore`); this is for image processing.
public enum ParallelLoop {
  private static let limit = Atomic<Int>(0)

  /// The most threads that a loop uses; 0, the default, for as many as there are processors.
  public static var threads: Int {
    get { limit.load(ordering: .relaxed) }
    set { limit.store(max(0, newValue), ordering: .relaxed) }
  }

  /// Calls `body` once for each index in `0..<count`, on any thread, and returns when all are done.
  ///
  /// - Parameters:
  ///   - count: The number of pieces.
  ///   - body: Computes one piece; must not call ``run(count:_:)``.
  public static func run(count: Int, _ body: @Sendable (Int) -> Void) {
    let most = threads
    guard count > 1, most != 1 else {
      for index in 0..<max(0, count) { body(index) }
      return
    }
    guard most > 0, most < count else {
      DispatchQueue.concurrentPerform(iterations: count, execute: body)
      return
    }
    let next = Atomic<Int>(0)
    DispatchQueue.concurrentPerform(iterations: most) { _ in
      while true {
        let index = next.add(1, ordering: .relaxed).oldValue
        guard index < count else { return }
        body(index)
      }
    }
  }
}

/// A pointer that pieces of a loop write to at disjoint places.
struct SharedPointer<Element>: @unchecked Sendable {
  // @unchecked: whoever makes one sees to it that the pieces do not overlap.
  let pointer: UnsafeMutablePointer<Element>

  init(_ pointer: UnsafeMutablePointer<Element>) { self.pointer = pointer }
}
