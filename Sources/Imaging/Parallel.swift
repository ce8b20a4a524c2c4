import Dispatch
import Foundation
import Synchronization

/// Loops over independent pieces of work.
enum Parallel {
  /// Calls `body` once for each index in `0..<count`, shared by some threads.
  ///
  /// What a call computes must depend on its index alone; results then do not depend on `threads`.
  static func run(_ count: Int, threads: Int, _ body: (Int) -> Void) {
    let workers = min(max(1, threads), count)
    guard workers > 1 else {
      for index in 0..<count { body(index) }
      return
    }
    let next = Atomic<Int>(0)
    withoutActuallyEscaping(body) { body in
      // Indices are independent of each other, and all calls end before this function does.
      nonisolated(unsafe) let body = body
      DispatchQueue.concurrentPerform(iterations: workers) { _ in
        while true {
          let index = next.add(1, ordering: .relaxed).oldValue
          guard index < count else { return }
          body(index)
        }
      }
    }
  }
}

extension Parallel {
  /// The number of threads asked for, or of all processors.
  static func threads(_ wanted: Int?) -> Int {
    max(1, wanted ?? ProcessInfo.processInfo.activeProcessorCount)
  }

  /// The results of two independent pieces of work, done side by side if there are two threads.
  static func both<A, B>(threads: Int, _ first: () -> A, _ second: () -> B) -> (A, B) {
    var (a, b): (A?, B?) = (nil, nil)
    withUnsafeMutablePointer(to: &a) { a in
      withUnsafeMutablePointer(to: &b) { b in
        // Each call writes its own variable, and both end before this function does.
        nonisolated(unsafe) let (a, b) = (a, b)
        run(2, threads: threads) { index in
          if index == 0 { a.pointee = first() } else { b.pointee = second() }
        }
      }
    }
    guard let a, let b else { preconditionFailure("Parallel: a piece of work did not run") }
    return (a, b)
  }
}

extension Collection {
  /// What a function makes of each element, in order, shared by some threads.
  ///
  /// - Parameters:
  ///   - threads: Threads that share the elements; the result does not depend on it.
  ///   - transform: Must depend on its argument alone.
  /// - Returns: One result an element.
  /// - Throws: The error of the first element that has one.
  public func concurrentMap<Value>(
    threads: Int, _ transform: (Element) throws -> Value
  ) throws -> [Value] {
    let elements = Array(self)
    var results = [Result<Value, any Error>?](repeating: nil, count: elements.count)
    results.withUnsafeMutableBufferPointer { results in
      // Each call writes its own element.
      nonisolated(unsafe) let results = results
      Parallel.run(results.count, threads: threads) { index in
        results[index] = Result { try transform(elements[index]) }
      }
    }
    return try results.compactMap { try $0?.get() }
  }
}
