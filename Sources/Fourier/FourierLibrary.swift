import CFFTW
import Synchronization

/// One precision of FFTW together with the plans made so far; used through ``FourierTransform``.
public final class FourierLibrary<Scalar: FourierScalar>: Sendable {
  typealias Buffer = UnsafeMutablePointer<Scalar>
  typealias MakePlan =
    @Sendable (FourierKind, FourierDimensions, Buffer, Buffer, UInt32) -> OpaquePointer?

  /// Everything that a plan depends on; the addresses themselves may change.
  private struct Key: Hashable {
    var kind: FourierKind
    var layout: FourierLayout
    var isInPlace: Bool
    var isAligned: Bool
  }

  private struct Cache {
    var entries: [Key: (plan: FourierPlan, lastUse: UInt64)] = [:]
    var uses: UInt64 = 0
  }

  private let alignment: @Sendable (Buffer) -> Int
  private let makePlan: MakePlan
  private let execute: @Sendable (FourierKind, OpaquePointer, Buffer, Buffer) -> Void
  private let scale: @Sendable (Buffer, Int, Scalar) -> Void
  private let destroy: @Sendable (OpaquePointer) -> Void
  private let cache = Mutex(Cache())

  /// The number of plans kept, of some kilobytes each: then the one unused for longest goes.
  private let capacity = 256

  /// Collects the functions of one precision.
  ///
  /// They are closures of concrete types, `scale` included, because a loop in a generic method runs
  /// unspecialised for callers in other modules.
  init(
    alignment: @escaping @Sendable (Buffer) -> Int,
    makePlan: @escaping MakePlan,
    execute: @escaping @Sendable (FourierKind, OpaquePointer, Buffer, Buffer) -> Void,
    scale: @escaping @Sendable (Buffer, Int, Scalar) -> Void,
    destroy: @escaping @Sendable (OpaquePointer) -> Void
  ) {
    self.alignment = alignment
    self.makePlan = makePlan
    self.execute = execute
    self.scale = scale
    self.destroy = destroy
  }

  /// Transforms without scaling, with a plan from the cache or a new one.
  func run(
    _ kind: FourierKind, _ layout: FourierLayout, from input: UnsafePointer<Scalar>,
    into output: Buffer
  ) {
    // FFTW's interface is not const-correct: it writes to the input of `realInverse` only, which is
    // mutable where it comes from.
    let input = Buffer(mutating: input)
    let key = Key(
      kind: kind, layout: layout, isInPlace: input == output,
      isAligned: alignment(input) == 0 && alignment(output) == 0)
    execute(kind, plan(for: key, input, output).handle.pointer, input, output)
  }

  /// Multiplies `count` values by `factor`.
  func multiply(_ values: Buffer, count: Int, by factor: Scalar) {
    if factor != 1 { scale(values, count, factor) }
  }

  private func plan(for key: Key, _ input: Buffer, _ output: Buffer) -> FourierPlan {
    cache.withLock { cache in
      cache.uses += 1
      if let plan = cache.entries[key]?.plan {
        cache.entries[key]?.lastUse = cache.uses
        return plan
      }
      if cache.entries.count >= capacity,
        let oldest = cache.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
      {
        cache.entries[oldest.key] = nil
      }
      let plan = create(key, input, output)
      cache.entries[key] = (plan, cache.uses)
      return plan
    }
  }

  private func create(_ key: Key, _ input: Buffer, _ output: Buffer) -> FourierPlan {
    // The buffers only show how they are aligned and whether they coincide: an estimating planner
    // does not touch their content.
    let flags = FFTW_ESTIMATE | (key.isAligned ? 0 : FFTW_UNALIGNED)
    let dimensions = FourierDimensions(key.kind, key.layout)
    let plan = FourierPlan(destroy: destroy) {
      makePlan(key.kind, dimensions, input, output, flags)
    }
    guard let plan else { preconditionFailure("fourier: FFTW has no plan for \(key)") }
    return plan
  }
}

/// A plan of FFTW, destroyed with its last reference: one in use outlives its place in the cache.
final class FourierPlan: Sendable {
  /// The plan as FFTW knows it.
  ///
  /// Unchecked because of the pointer: FFTW lets any number of threads execute one plan.
  struct Handle: @unchecked Sendable {
    var pointer: OpaquePointer
  }

  let handle: Handle
  private let destroy: @Sendable (OpaquePointer) -> Void

  /// The planner, to which creation and destruction belong, is not reentrant.
  ///
  /// Taken last, and nothing else is taken while it is held: no deadlock with the lock of a cache.
  private static let planner = Mutex(())

  /// Returns nil if `make` does.
  init?(destroy: @escaping @Sendable (OpaquePointer) -> Void, make: () -> OpaquePointer?) {
    guard let handle = Self.planner.withLock({ _ in make().map(Handle.init) }) else { return nil }
    self.handle = handle
    self.destroy = destroy
  }

  deinit {
    Self.planner.withLock { _ in destroy(handle.pointer) }
  }
}
