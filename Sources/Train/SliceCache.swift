import Synchronization

/// Prepared slices of scans, as many as a limit of memory allows; those not used for longest go first.
final class SliceCache: Sendable {
  /// A scan of a task.
  struct Key: Hashable, Sendable {
    let task: Int
    let scan: Int
  }

  private struct Entry {
    let slices: [TaskSimulator.Pair]
    let bytes: Int
    var lastUse: Int
  }

  private struct State {
    var entries: [Key: Entry] = [:]
    var bytes = 0
    var clock = 0
  }

  private let limit: Int
  private let state = Mutex(State())

  /// - Parameter limit: Bytes; one scan is kept even if it is larger.
  init(limit: Int) { self.limit = limit }

  /// Bytes that are kept now.
  var bytes: Int { state.withLock { $0.bytes } }

  /// Keeps slices if there is room beside what is kept already.
  func offer(_ slices: [TaskSimulator.Pair], _ key: Key) {
    let size = Self.size(of: slices)
    state.withLock { state in
      guard state.bytes + size <= limit else { return }
      Self.insert(slices, size, key, &state)
    }
  }

  /// The slices of a scan, made again if they are not kept.
  func slices(
    _ key: Key, make: () throws -> [TaskSimulator.Pair]
  ) rethrows -> [TaskSimulator.Pair] {
    let kept = state.withLock { state -> [TaskSimulator.Pair]? in
      state.clock += 1
      state.entries[key]?.lastUse = state.clock
      return state.entries[key]?.slices
    }
    if let kept { return kept }
    let slices = try make()
    let size = Self.size(of: slices)
    state.withLock { state in
      while state.bytes + size > limit,
        let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
      {
        state.bytes -= oldest.value.bytes
        state.entries[oldest.key] = nil
      }
      Self.insert(slices, size, key, &state)
    }
    return slices
  }

  private static func insert(
    _ slices: [TaskSimulator.Pair], _ size: Int, _ key: Key, _ state: inout State
  ) {
    state.clock += 1
    let old = state.entries.updateValue(
      Entry(slices: slices, bytes: size, lastUse: state.clock), forKey: key)
    state.bytes += size - (old?.bytes ?? 0)
  }

  /// Bytes of the pixels of some slices; a target is one of the clean ones where there are any.
  private static func size(of slices: [TaskSimulator.Pair]) -> Int {
    slices.reduce(0) { sum, pair in
      let own = pair.clean.isEmpty ? [pair.target] : pair.clean
      return sum + MemoryLayout<Float>.size
        * (own + pair.inputs.joined()).reduce(0) { $0 + $1.count }
    }
  }
}
