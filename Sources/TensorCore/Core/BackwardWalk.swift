import Kernels

/// One walk from outputs back to the leaves that they depend on; on the engine thread.
///
/// A node's gradient waits in the node until the walk comes there. The walk's own state are the leaves,
/// whose gradients are the result.
struct BackwardWalk {
  private var leaves: [ObjectIdentifier: Node] = [:]

  /// A walk that adds to what earlier ones found.
  ///
  /// It takes the sums away: nothing but the leaves may hold them, or they could not be added to in
  /// place.
  init(continuing gradients: inout Gradients) {
    for (key, entry) in gradients.byLeaf {
      entry.leaf.gradient = entry.gradient
      leaves[key] = entry.leaf
    }
    gradients = Gradients()
  }

  /// The gradients of all leaves; the walk is over.
  func finish() -> Gradients {
    var gradients = Gradients()
    for (key, leaf) in leaves {
      guard let gradient = leaf.gradient else { continue }
      leaf.gradient = nil
      gradients.byLeaf[key] = (leaf, gradient)
    }
    return gradients
  }

  /// Passes the gradients of `roots` on to everything that they were computed from.
  mutating func run(from roots: [Node]) {
    for node in Self.descending(from: roots) {
      if node.isLeaf {
        leaves[ObjectIdentifier(node)] = node
        continue
      }
      if let gradient = node.takeGradient() {
        if let operation = node.operation {
          propagate(gradient, through: node, operation)
        } else if let recomputation = node.recomputation {
          recompute(node, recomputation, gradient)
        }
      }
      node.release()
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

  // MARK: - One operation

  private func propagate(
    _ gradient: Tensor, through node: Node, _ operation: some Operation
  ) {
    let (shapes, parents) = (node.shapes, node.parents)
    if operation.aliasesInput {
      guard let parent = parents[0] else { return }
      return add(Tensor(storage: gradient.storage, shape: shapes[0], node: nil), to: parent)
    }
    // What backward writes, and whether it adds to what is there already.
    var targets = [Tensor?](repeating: nil, count: parents.count)
    var adds = [Bool](repeating: false, count: parents.count)
    for (index, parent) in parents.enumerated() {
      guard let parent, !operation.passesGradient(toInput: index, shapes) else { continue }
      let isOnlyOnce = parents.count { $0 === parent } == 1
      if isOnlyOnce, operation.addsGradient(toInput: index, shapes), parent.ownsGradient {
        targets[index] = parent.gradient
        adds[index] = true
      } else {
        let shape = shapes[index]
        targets[index] = Tensor(storage: Storage(count: shape.count), shape: shape, node: nil)
      }
    }
    if targets.contains(where: { $0 != nil }) {
      run(operation, backwardOf: node, gradient, into: targets, adds)
    }
    for (index, parent) in parents.enumerated() where !adds[index] {
      guard let parent else { continue }
      let isPassed = operation.passesGradient(toInput: index, shapes)
      let own = isPassed ? gradient : targets[index]
      targets[index] = nil
      if let own { add(own, to: parent) }
    }
  }

  private func run(
    _ operation: some Operation, backwardOf node: Node, _ gradient: Tensor,
    into gradients: [Tensor?], _ adds: [Bool]
  ) {
    let shapes = node.shapes
    let scratch = Storage(count: operation.scratchCount(shapes, .backward))
    let prepared = node.inputs.indices.map { index -> Storage? in
      node.inputs[index].flatMap {
        Tensor.preparedForm(of: $0, at: index, shapes, for: operation, .backward)
      }
    }
    Engine.shared.timed(operation.kind, .backward, shapes) {
      operation.backward(
        BackwardPass(
          outputGradient: Buffer(gradient.storage.pointer, gradient.shape),
          inputs: node.inputs.map { $0.map { Buffer($0.storage.pointer, $0.shape) } },
          shapes: shapes, output: node.output.map { Buffer($0.storage.pointer, $0.shape) },
          saved: node.saved?.pointer ?? scratch.pointer,
          kept: node.kept?.pointer ?? scratch.pointer, scratch: scratch.pointer,
          prepared: prepared.map { $0?.pointer },
          inputGradients: gradients.map { $0.map { Buffer($0.storage.pointer, $0.shape) } },
          adds: adds, workers: Engine.shared.workers))
    }
    withExtendedLifetime((scratch, prepared)) {}
  }

  // MARK: - A checkpointed part

  /// Computes the part again, this time remembering how, and walks through it.
  ///
  /// Gradients that its inputs have already are lent to the stand-ins that it sees, so that all sums
  /// are formed in the order in which they would be without a checkpoint.
  private mutating func recompute(
    _ node: Node, _ body: ([Tensor]) -> Tensor, _ gradient: Tensor
  ) {
    let parents = node.parents
    let standIns = zip(node.inputs, parents).map { input, parent -> Tensor in
      guard let input else { preconditionFailure("checkpoint: an input is gone") }
      return parent == nil ? input : input.tracked()
    }
    for (standIn, parent) in zip(standIns, parents) {
      standIn.node?.gradient = parent?.takeGradient()
    }
    let output = body(standIns)
    if let root = output.node {
      add(gradient, to: root)
      run(from: [root])
    }
    for (standIn, parent) in zip(standIns, parents) {
      guard let own = standIn.node else { continue }
      leaves[ObjectIdentifier(own)] = nil
      if let parent, let gradient = own.takeGradient() { add(gradient, to: parent) }
    }
  }

  // MARK: - Sums

  /// Adds a gradient to what a node has, in that memory if nothing else holds it.
  func add(_ gradient: Tensor, to node: Node) {
    let isOwned = node.ownsGradient
    guard let present = node.gradient else {
      node.gradient = gradient
      return
    }
    if isOwned {
      Self.add(gradient, into: present)
    } else {
      node.gradient = present + gradient
    }
  }

  private static func add(_ gradient: Tensor, into sum: Tensor) {
    let (y, x) = (sum.storage.pointer, gradient.storage.pointer)
    Engine.shared.workers.run(count: sum.count, grain: ElementChunks.elements) { range in
      let first = range.lowerBound
      k_binary_forward(y + first, y + first, 1, x + first, 1, K_BINARY_ADD, false, range.count)
    }
  }
}
