import Synchronization
public import TensorCore

/// Tensors that follow from parameters (folded kernels, parts of packed matrices), computed again only
/// after one of those changed.
///
/// While a parameter requires gradients nothing is kept: the result must remember its history.
public final class DerivedTensors: Sendable {
  private struct Kept {
    let versions: [Int]
    let tensors: [Tensor]
  }

  private let kept = Mutex<Kept?>(nil)

  /// Nothing kept yet.
  public init() {}

  /// The tensors that `compute` makes of the parameters.
  ///
  /// - Parameters:
  ///   - parameters: Everything that `compute` reads.
  ///   - compute: Called at first and after each change of a parameter.
  /// - Returns: What `compute` returned; as parameters, so that their prepared forms are kept too.
  public func callAsFunction(
    from parameters: [Parameter], compute: () -> [Tensor]
  ) -> [Tensor] {
    if parameters.contains(where: \.requiresGradient) { return compute() }
    let versions = parameters.map(\.version)
    // The lock is not held while the engine computes: a thread that waits for the engine and has the
    // lock would block the engine's own thread when that comes here.
    if let kept = kept.withLock({ $0 }), kept.versions == versions { return kept.tensors }
    let tensors = compute().map { $0.asParameter(tracked: false) }
    kept.withLock { $0 = Kept(versions: versions, tensors: tensors) }
    return tensors
  }
}
