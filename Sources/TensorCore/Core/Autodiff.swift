import Kernels
import Synchronization

/// How a tracked tensor was computed; a leaf if `operation` is nil.
final class Node {
  private static let counter = Atomic<Int>(0)

  /// Later nodes have larger numbers, so descending order is a valid order for backward.
  let number = Node.counter.add(1, ordering: .relaxed).newValue
  let operation: (any Operation)?
  let shapes: [Shape]
  private(set) var parents: [Node?]
  private(set) var inputs: [Tensor?]
  private(set) var output: Tensor?
  private(set) var saved: Storage?

  /// A leaf.
  init() {
    operation = nil
    shapes = []
    parents = []
    inputs = []
  }

  init(_ operation: some Operation, _ inputs: [Tensor], output: Tensor?, saved: Storage?) {
    let reads = operation.backwardReads
    self.operation = operation
    shapes = inputs.map(\.shape)
    parents = inputs.map(\.node)
    self.inputs = inputs.enumerated().map { index, input in
      reads.inputs?.contains(index) ?? true ? input.detached() : nil
    }
    self.output = reads.output ? output : nil
    self.saved = saved
  }

  /// Lets go of everything that only this node's backward needed.
  func release() {
    parents = []
    inputs = []
    output = nil
    saved = nil
  }
}

/// Gradients of a scalar (or of a weighted sum of outputs) with respect to tracked leaves.
public struct Gradients: @unchecked Sendable {
  // @unchecked: tensors are Sendable and node identities are never dereferenced.
  private let byLeaf: [ObjectIdentifier: Tensor]

  init(_ byLeaf: [ObjectIdentifier: Tensor]) { self.byLeaf = byLeaf }

  /// The gradient with respect to a tracked leaf, nil if the result does not depend on it.
  public subscript(leaf: Tensor) -> Tensor? {
    leaf.node.flatMap { byLeaf[ObjectIdentifier($0)] }
  }
}

extension Tensor {
  /// The gradients of this scalar with respect to every tracked leaf that it depends on.
  ///
  /// The graph is consumed: what it held is freed as backward passes over it.
  public func gradients() -> Gradients {
    precondition(count == 1, "gradients: shape \(shape) is not a scalar; pass upstream gradients")
    return Tensor.gradients(of: [self], upstream: [Tensor(shape, repeating: 1)])
  }

  /// The gradients of the sum over all outputs of `output · upstream`.
  ///
  /// - Parameters:
  ///   - outputs: Tracked tensors; those that are not tracked contribute nothing.
  ///   - upstream: For each output a tensor of its shape.
  /// - Returns: The gradients of all leaves that an output depends on.
  public static func gradients(of outputs: [Tensor], upstream: [Tensor]) -> Gradients {
    precondition(
      outputs.map(\.shape) == upstream.map(\.shape),
      "gradients: outputs \(outputs.map(\.shape)), upstream \(upstream.map(\.shape))")
    return Engine.shared.perform {
      var pending: [ObjectIdentifier: Tensor] = [:]
      for (output, gradient) in zip(outputs, upstream) {
        if let node = output.node { add(gradient.detached(), to: node, in: &pending) }
      }
      var leaves: [ObjectIdentifier: Tensor] = [:]
      for node in descending(from: outputs.compactMap(\.node)) {
        guard let gradient = pending.removeValue(forKey: ObjectIdentifier(node)) else {
          node.release()
          continue
        }
        if let operation = node.operation {
          propagate(gradient, through: node, operation, into: &pending)
          node.release()
        } else {
          leaves[ObjectIdentifier(node)] = gradient
        }
      }
      return Gradients(leaves)
    }
  }

  /// All nodes reachable from `roots`, newest first.
  private static func descending(from roots: [Node]) -> [Node] {
    var seen = Set<ObjectIdentifier>()
    var found: [Node] = []
    var stack = roots
    while let node = stack.popLast() {
      guard seen.insert(ObjectIdentifier(node)).inserted else { continue }
      found.append(node)
      stack.append(contentsOf: node.parents.compactMap(\.self))
    }
    return found.sorted { $0.number > $1.number }
  }

  private static func propagate(
    _ gradient: Tensor, through node: Node, _ operation: some Operation,
    into pending: inout [ObjectIdentifier: Tensor]
  ) {
    if operation.aliasesInput {
      guard let parent = node.parents[0] else { return }
      let source = Tensor(storage: gradient.storage, shape: node.shapes[0], node: nil)
      return add(source, to: parent, in: &pending)
    }
    let shapes = node.shapes
    let gradients = node.parents.indices.map { index -> Tensor? in
      guard node.parents[index] != nil else { return nil }
      if operation.passesGradient(toInput: index, shapes) { return gradient }
      return Tensor(storage: Storage(count: shapes[index].count), shape: shapes[index], node: nil)
    }
    let wanted = zip(node.parents.indices, gradients).map { index, gradient in
      operation.passesGradient(toInput: index, shapes) ? nil : gradient
    }
    if wanted.contains(where: { $0 != nil }) {
      run(operation, backwardOf: node, gradient, into: wanted)
    }
    for (parent, gradient) in zip(node.parents, gradients) {
      if let parent, let gradient { add(gradient, to: parent, in: &pending) }
    }
  }

  private static func run(
    _ operation: some Operation, backwardOf node: Node, _ gradient: Tensor,
    into gradients: [Tensor?]
  ) {
    let shapes = node.shapes
    let scratch = Storage(count: operation.scratchCount(shapes, .backward))
    let prepared = node.inputs.indices.map { index -> Storage? in
      node.inputs[index].flatMap {
        preparedForm(of: $0, at: index, shapes, for: operation, .backward)
      }
    }
    operation.backward(
      BackwardPass(
        outputGradient: Buffer(gradient.storage.pointer, gradient.shape),
        inputs: node.inputs.map { $0.map { Buffer($0.storage.pointer, $0.shape) } },
        shapes: shapes, output: node.output.map { Buffer($0.storage.pointer, $0.shape) },
        saved: node.saved?.pointer ?? scratch.pointer, scratch: scratch.pointer,
        prepared: prepared.map { $0?.pointer },
        inputGradients: gradients.map { $0.map { Buffer($0.storage.pointer, $0.shape) } },
        workers: Engine.shared.workers))
    withExtendedLifetime((scratch, prepared)) {}
  }

  private static func add(
    _ gradient: Tensor, to node: Node, in pending: inout [ObjectIdentifier: Tensor]
  ) {
    let key = ObjectIdentifier(node)
    // A gradient's memory may be shared (reshape passes it on), so the sum is a new tensor.
    pending[key] = pending[key].map { $0 + gradient } ?? gradient
  }
}
