import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Keeps freed blocks for the next tensor of about the same size.
///
/// A fresh block costs a page fault for each 4 KiB that is touched, often more than the arithmetic
/// on it; a block from here costs a lock. Blocks are 64-byte aligned and never zero-filled.
public final class BufferPool: Sendable {
  /// The pool from which all tensors draw.
  public static let shared = BufferPool()

  private struct State {
    // Addresses rather than pointers, which are not Sendable.
    var free: [Int: [UInt]] = [:]
    var bytesInUse = 0
    var bytesHeld = 0
    var peakBytesInUse = 0
    var watch: Watch?
  }

  /// What one thread takes and gives while it is watched.
  private struct Watch {
    let thread: pthread_t
    var takes = 0
    var bytes = 0

    var isHere: Bool { pthread_equal(thread, pthread_self()) != 0 }
  }

  private let state = Mutex(State())
  private let measuring = Mutex(())

  /// Bytes in live tensors.
  public var bytesInUse: Int { state.withLock { $0.bytesInUse } }

  /// The most bytes that were ever in live tensors at once.
  public var peakBytesInUse: Int { state.withLock { $0.peakBytesInUse } }

  /// The most bytes that live tensors took during a computation, beyond those before it.
  ///
  /// - Parameter body: Runs alone: tensors of other threads would be counted too.
  /// - Returns: Bytes.
  public func measuringPeak(_ body: () -> Void) -> Int {
    let before = state.withLock { state in
      defer { state.peakBytesInUse = state.bytesInUse }
      return (peak: state.peakBytesInUse, inUse: state.bytesInUse)
    }
    body()
    return state.withLock { state in
      let peak = state.peakBytesInUse
      state.peakBytesInUse = max(peak, before.peak)
      return peak - before.inUse
    }
  }

  /// Counts what the engine's thread alone takes, whatever others do meanwhile.
  ///
  /// - Parameter body: Runs on the engine's thread; not to be nested.
  /// - Returns: The number of blocks taken, and the bytes taken and not given back.
  package func measuringTakes(_ body: () -> Void) -> (takes: Int, bytes: Int) {
    measuring.withLock { _ in
      Engine.shared.perform {
        state.withLock { $0.watch = Watch(thread: pthread_self()) }
        defer { state.withLock { $0.watch = nil } }
        body()
        return state.withLock { ($0.watch?.takes ?? 0, $0.watch?.bytes ?? 0) }
      }
    }
  }

  /// Capacity in bytes that a request is rounded up to: steps of an eighth of a power of two, so
  /// that blocks are interchangeable and at most 12.5 % is wasted.
  static func capacity(forBytes bytes: Int) -> Int {
    guard bytes > 512 else { return (max(bytes, 64) + 63) / 64 * 64 }
    let power = Int.bitWidth - (bytes - 1).leadingZeroBitCount
    let step = max(64, 1 << (power - 4))
    return (bytes + step - 1) / step * step
  }

  func take(bytes: Int) -> UnsafeMutableRawPointer {
    let recycled = state.withLock { state -> UInt? in
      state.bytesInUse += bytes
      if let watch = state.watch, watch.isHere {
        state.watch?.takes += 1
        state.watch?.bytes += bytes
      }
      state.peakBytesInUse = max(state.peakBytesInUse, state.bytesInUse)
      guard let block = state.free[bytes]?.popLast() else { return nil }
      state.bytesHeld -= bytes
      return block
    }
    if let recycled, let block = UnsafeMutableRawPointer(bitPattern: recycled) { return block }
    // Large blocks sit on huge-page boundaries: fewer faults and fewer TLB misses.
    let large = bytes >= 4 << 20
    let block = UnsafeMutableRawPointer.allocate(
      byteCount: bytes, alignment: large ? 2 << 20 : 64)
    #if os(Linux)
      if large { madvise(block, bytes, MADV_HUGEPAGE) }
    #endif
    return block
  }

  func give(_ block: UnsafeMutableRawPointer, bytes: Int) {
    let address = UInt(bitPattern: block)
    state.withLock { state in
      state.bytesInUse -= bytes
      if let watch = state.watch, watch.isHere { state.watch?.bytes -= bytes }
      state.bytesHeld += bytes
      state.free[bytes, default: []].append(address)
    }
  }

  /// Returns all unused blocks to the system.
  public func trim() {
    let blocks = state.withLock { state in
      let blocks = state.free.values.flatMap(\.self)
      state.free.removeAll()
      state.bytesHeld = 0
      return blocks
    }
    for block in blocks { UnsafeMutableRawPointer(bitPattern: block)?.deallocate() }
  }
}

/// The memory of one or more tensors (a reshaped tensor shares it with its source).
///
/// Written by the operation that creates it and never after, but for parameters, which the optimiser
/// changes in place on the engine thread and then marks with `markChanged()`.
final class Storage: @unchecked Sendable {
  let count: Int
  private let bytes: Int
  private var block: UnsafeMutablePointer<Float>?
  /// The trace in which this tensor has a number but no values; nil for tensors with values.
  let traced: (trace: Trace, value: Int)?

  /// The first element.
  var pointer: UnsafeMutablePointer<Float> { block ?? stand(in: traced?.trace) }

  /// Re-laid-out forms of a parameter's values (packed panels, blocked weights), made once.
  ///
  /// Only touched on the engine thread.
  private(set) var prepared: [PreparationKey: Storage] = [:]
  /// Rises with every change of the values; only touched on the engine thread.
  private(set) var version = 0
  /// Whether prepared forms are worth keeping: true for parameters.
  var keepsPreparations = false

  init(count: Int) {
    self.count = count
    bytes = BufferPool.capacity(forBytes: count * MemoryLayout<Float>.stride)
    block = Self.take(bytes, count)
    traced = nil
  }

  /// A tensor of a trace.
  init(count: Int, traced trace: Trace, value: Int) {
    self.count = count
    bytes = BufferPool.capacity(forBytes: count * MemoryLayout<Float>.stride)
    traced = (trace, value)
  }

  deinit {
    if let block { BufferPool.shared.give(UnsafeMutableRawPointer(block), bytes: bytes) }
  }

  private static func take(_ bytes: Int, _ count: Int) -> UnsafeMutablePointer<Float> {
    BufferPool.shared.take(bytes: bytes).bindMemory(to: Float.self, capacity: count)
  }

  /// Zeros in place of the values that a traced tensor does not have; the trace is told, and comes to
  /// nothing.
  @inline(never)
  private func stand(in trace: Trace?) -> UnsafeMutablePointer<Float> {
    trace?.noteRead()
    let zeros = Self.take(bytes, count)
    zeros.initialize(repeating: 0, count: count)
    block = zeros
    return zeros
  }

  func keep(_ storage: Storage, as key: PreparationKey) { prepared[key] = storage }

  /// Forgets the prepared forms after the values changed.
  func markChanged() {
    prepared.removeAll()
    version += 1
  }
}
