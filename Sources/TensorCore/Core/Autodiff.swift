import Synchronization

/// How a tracked tensor was computed; a leaf if there is neither operation nor recomputation.
final class Node {
  private static let counter = Atomic<Int>(0)

  /// Later nodes have larger numbers, so descending order is a valid order for backward.
  let number = Node.counter.add(1, ordering: .relaxed).newValue
  let operation: (any Operation)?
  /// Computes a checkpointed part anew from ``inputs``; nil for a single operation.
  private(set) var recomputation: (([Tensor]) -> Tensor)?
  let shapes: [Shape]
  private(set) var parents: [Node?]
  private(set) var inputs: [Tensor?]
  private(set) var output: Tensor?
  private(set) var saved: Storage?
  private(set) var kept: Storage?

  // The gradient so far, while a backward pass is under way; on the engine thread only. Memory and
  // shape apart, so that it can be asked whether anything else holds the memory.
  private var sum: Storage?
  private var sumShape = Shape.scalar

  var isLeaf: Bool { operation == nil && !isCheckpoint }
  private let isCheckpoint: Bool

  /// A leaf.
  init() {
    operation = nil
    isCheckpoint = false
    shapes = []
    parents = []
    inputs = []
  }

  init(
    _ operation: some Operation, _ inputs: [Tensor], output: Tensor? = nil, saved: Storage? = nil,
    kept: Storage? = nil
  ) {
    let reads = operation.backwardReads
    self.operation = operation
    isCheckpoint = false
    shapes = inputs.map(\.shape)
    parents = inputs.map(\.node)
    self.inputs = inputs.enumerated().map { index, input in
      reads.inputs?.contains(index) ?? true ? input.detached() : nil
    }
    self.output = reads.output ? output : nil
    self.saved = saved
    self.kept = kept
  }

  /// A checkpointed part.
  init(recomputing body: @escaping ([Tensor]) -> Tensor, from inputs: [Tensor]) {
    operation = nil
    isCheckpoint = true
    recomputation = body
    shapes = inputs.map(\.shape)
    parents = inputs.map(\.node)
    self.inputs = inputs.map { $0.detached() }
  }

  /// Lets go of everything that only this node's backward needed.
  func release() {
    recomputation = nil
    parents = []
    inputs = []
    output = nil
    saved = nil
    kept = nil
  }

  /// The gradient so far.
  var gradient: Tensor? {
    get { sum.map { Tensor(storage: $0, shape: sumShape, node: nil) } }
    set {
      sum = newValue?.storage
      if let newValue { sumShape = newValue.shape }
    }
  }

  /// Whether there is a gradient in memory that nothing else holds, so that it can be added to.
  var ownsGradient: Bool { isKnownUniquelyReferenced(&sum) }

  /// The gradient, which the node then no longer has.
  func takeGradient() -> Tensor? {
    defer { sum = nil }
    return gradient
  }
}

/// Gradients of a scalar (or of a weighted sum of outputs) with respect to tracked leaves.
public struct Gradients: @unchecked Sendable {
  // @unchecked: tensors are Sendable, and nodes are touched on the engine thread alone.
  var byLeaf: [ObjectIdentifier: (leaf: Node, gradient: Tensor)] = [:]

  /// No gradient of anything.
  public init() {}

  /// The gradient with respect to a tracked leaf, nil if the result does not depend on it.
  public subscript(leaf: Tensor) -> Tensor? {
    leaf.node.flatMap { byLeaf[ObjectIdentifier($0)]?.gradient }
  }
}

extension Tensor {
  /// The gradients of this scalar with respect to every tracked leaf that it depends on.
  ///
  /// The graph is consumed: what it held is freed as backward passes over it.
  public func gradients() -> Gradients {
    var gradients = Gradients()
    addGradients(to: &gradients)
    return gradients
  }

  /// Adds the gradients of this scalar to others, in their memory where nothing else holds it.
  ///
  /// For a batch that is computed in parts: the sum over the parts needs no more memory than one of
  /// them. The graph is consumed as by ``gradients()``.
  ///
  /// - Parameter gradients: The sums so far; leaves that they lack are added.
  public func addGradients(to gradients: inout Gradients) {
    precondition(count == 1, "gradients: shape \(shape) is not a scalar; pass upstream gradients")
    Tensor.addGradients(
      of: [self], upstream: [Tensor(shape, repeating: 1)], to: &gradients)
  }

  /// The gradients of the sum over all outputs of `output · upstream`.
  ///
  /// - Parameters:
  ///   - outputs: Tracked tensors; those that are not tracked contribute nothing.
  ///   - upstream: For each output a tensor of its shape.
  /// - Returns: The gradients of all leaves that an output depends on.
  public static func gradients(of outputs: [Tensor], upstream: [Tensor]) -> Gradients {
    var gradients = Gradients()
    addGradients(of: outputs, upstream: upstream, to: &gradients)
    return gradients
  }

  private static func addGradients(
    of outputs: [Tensor], upstream: [Tensor], to gradients: inout Gradients
  ) {
    precondition(
      outputs.map(\.shape) == upstream.map(\.shape),
      "gradients: outputs \(outputs.map(\.shape)), upstream \(upstream.map(\.shape))")
    Engine.shared.perform {
      var walk = BackwardWalk(continuing: &gradients)
      for (output, gradient) in zip(outputs, upstream) {
        if let node = output.node { walk.add(gradient.detached(), to: node) }
      }
      walk.run(from: outputs.compactMap(\.node))
      gradients = walk.finish()
    }
  }
}
