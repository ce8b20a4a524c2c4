import Synchronization
package import TensorCore

/// Keeps a value that follows from parameters until one of them changes.
///
/// Folded kernels, for example, or parts of joined matrices. Nothing is kept while gradients are
/// required: the value then has to remember how it was made. Tensors in it are best made parameters
/// (``TensorCore/Tensor/asParameter(tracked:)``), so that their re-laid-out forms are kept too.
package final class FoldCache<Value: Sendable>: Sendable {
  private struct Kept {
    let versions: [Int]
    let value: Value
  }

  private let kept = Mutex<Kept?>(nil)

  /// An empty cache.
  package init() {}

  /// The kept value, or a new one.
  ///
  /// The lock is not held while the engine computes: a thread that waits for the engine and has the
  /// lock would block the engine's own thread when that comes here.
  package func value(of parameters: [Parameter], make: () -> Value) -> Value {
    if parameters.contains(where: \.requiresGradient) { return make() }
    let versions = parameters.map(\.version)
    if let kept = kept.withLock({ $0 }), kept.versions == versions { return kept.value }
    let value = make()
    kept.withLock { $0 = Kept(versions: versions, value: value) }
    return value
  }
}

extension Tensor {
  /// This tensor as a parameter, whose re-laid-out forms are kept, if it does not have to remember how it
  /// was made.
  package var keptAsParameter: Tensor { isTracked ? self : asParameter(tracked: false) }
}
