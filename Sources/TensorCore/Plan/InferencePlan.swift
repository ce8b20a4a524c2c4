/// A computation for one set of input shapes, traced once and replayed for any number of inputs.
///
/// Making a plan runs the computation without values (``PlanError`` tells if that is impossible), folds
/// what follows from constants alone, rewrites the operations into fewer and cheaper ones and gives
/// every intermediate result a place in one arena by its lifetime; ``memoryBytes`` is known then. The
/// first run takes the memory and lays out the weights. Replaying does no graph work and takes no
/// memory. Any network gets its plan without code of its own.
///
/// A plan belongs to the values that parameters had and to the number of threads that there were when it
/// was made; a run after a change of either makes it anew.
public final class InferencePlan: @unchecked Sendable {
  // @unchecked: what changes is touched on the engine thread only.

  /// The shapes of the inputs.
  public let inputShapes: [Shape]
  /// The shapes of the results.
  public let outputShapes: [Shape]
  /// The precision of the operations that have a choice.
  public let precision: Precision

  private let body: @Sendable ([Tensor]) -> [Tensor]
  private let parameters: [Tensor]
  private let rewrites: Bool
  private var state: State

  /// What holds for some values of parameters and some number of threads.
  fileprivate struct State {
    let watched: [(storage: Storage, version: Int)]
    let workers: WorkerPool
    let kinds: [OperationKind]
    let memoryBytes: Int
    let arenaBytes: Int
    /// Nil as soon as there is a program, so that weights which that does not need are free.
    var layout: PlanLayout?
    var program: PlanProgram?
  }

  /// Plans a computation.
  ///
  /// - Parameters:
  ///   - inputShapes: The shapes of the inputs.
  ///   - precision: Of the operations that have a choice; others stay in float32.
  ///   - parameters: Tensors on which the computation depends in ways that it may not show when it is
  ///     traced (kept results); parameters that it uses directly are known.
  ///   - rewrites: Whether operations are rewritten; false only to compare.
  ///   - body: The computation, called with tensors that have no values, once for each making.
  /// - Throws: ``PlanError`` if the computation depends on more than shapes.
  public init(
    _ inputShapes: [Shape], precision: Precision = .float32, parameters: [Tensor] = [],
    rewrites: Bool = true, _ body: @escaping @Sendable ([Tensor]) -> [Tensor]
  ) throws(PlanError) {
    self.inputShapes = inputShapes
    self.precision = precision
    self.parameters = parameters
    self.rewrites = rewrites
    self.body = body
    let (state, shapes) = try Engine.shared.perform { () throws(PlanError) in
      let state = try Self.state(inputShapes, precision, parameters, rewrites, body)
      return (state, state.layout?.outputs.map(\.shape) ?? [])
    }
    self.state = state
    outputShapes = shapes
  }

  /// Plans a computation of one tensor from one.
  public convenience init(
    _ inputShape: Shape, precision: Precision = .float32, parameters: [Tensor] = [],
    rewrites: Bool = true, _ body: @escaping @Sendable (Tensor) -> Tensor
  ) throws(PlanError) {
    try self.init(
      [inputShape], precision: precision, parameters: parameters, rewrites: rewrites
    ) { [body($0[0])] }
  }

  private static func state(
    _ shapes: [Shape], _ precision: Precision, _ parameters: [Tensor], _ rewrites: Bool,
    _ body: ([Tensor]) -> [Tensor]
  ) throws(PlanError) -> State {
    let trace = Trace()
    trace.watch(parameters)
    let inputs = shapes.map(trace.input)
    let outputs = Engine.shared.tracing(trace) { body(inputs) }
    if let failure = trace.failure { throw failure }
    var values: [Int] = []
    for output in outputs {
      guard let value = output.storage.traced?.value else { throw .constantOutput }
      values.append(value)
    }
    var graph = PlanGraph(trace, inputs: Array(shapes.indices), outputs: values)
    if rewrites { for rewrite in PlanRewrites.all { rewrite.apply(to: &graph) } }
    graph.removeUnused()
    for index in graph.steps.indices {
      if let lowered = graph.steps[index].operation.lowered(to: precision) {
        graph.steps[index].operation = lowered
      }
      let step = graph.steps[index]
      if let specialized = step.operation.specialized(for: graph.shapes(of: step)) {
        graph.steps[index].operation = specialized
      }
    }
    let layout = PlanLayout(graph)
    return State(
      watched: Array(trace.watched.values), workers: Engine.shared.workers,
      kinds: graph.steps.map(\.operation.kind), memoryBytes: layout.memoryBytes,
      arenaBytes: layout.arenaCount * MemoryLayout<Float>.stride, layout: layout)
  }

  /// Whether parameters and threads are those for which the plan was made.
  public var isCurrent: Bool { Engine.shared.perform { state.isCurrent } }

  /// Bytes that the plan holds after its first run.
  ///
  /// The arena, the weights in the order in which operations read them, and folded constants. The
  /// model's parameters are not among them.
  public var memoryBytes: Int { Engine.shared.perform { state.memoryBytes } }

  /// Bytes of the arena that holds all intermediate results.
  public var arenaBytes: Int { Engine.shared.perform { state.arenaBytes } }

  /// The kinds of the operations in order, those that only reshape included.
  public var kinds: [OperationKind] { Engine.shared.perform { state.kinds } }

  /// Runs the computation.
  ///
  /// - Parameters:
  ///   - inputs: Values of tensors of ``inputShapes``, row-major.
  ///   - outputs: Memory for tensors of ``outputShapes``.
  /// - Throws: ``PlanError`` if parameters changed and the computation cannot be planned any more.
  public func run(
    _ inputs: [UnsafeBufferPointer<Float>], into outputs: [UnsafeMutableBufferPointer<Float>]
  ) throws(PlanError) {
    precondition(
      inputs.map(\.count) == inputShapes.map(\.count)
        && outputs.map(\.count) == outputShapes.map(\.count),
      "plan: \(inputs.map(\.count)) to \(outputs.map(\.count)) values, "
        + "made for \(inputShapes) to \(outputShapes)")
    try Engine.shared.perform { () throws(PlanError) in
      if !state.isCurrent {
        // The old program's memory first: there may not be enough for two.
        state.program = nil
        state = try Self.state(inputShapes, precision, parameters, rewrites, body)
      }
      if let layout = state.layout {
        state.program = PlanProgram(layout, state.workers)
        state.layout = nil
        // Weights that were folded into others.
        BufferPool.shared.trim()
      }
      state.program?.run(inputs, into: outputs)
    }
  }

  /// Runs the computation.
  ///
  /// - Parameter inputs: Tensors of ``inputShapes``.
  /// - Returns: Tensors of ``outputShapes``, without history.
  /// - Throws: ``PlanError`` if parameters changed and the computation cannot be planned any more.
  public func callAsFunction(_ inputs: [Tensor]) throws(PlanError) -> [Tensor] {
    precondition(
      inputs.map(\.shape) == inputShapes,
      "plan: inputs \(inputs.map(\.shape)), made for \(inputShapes)")
    let storages = outputShapes.map { Storage(count: $0.count) }
    try withExtendedLifetime(inputs) { () throws(PlanError) in
      try run(
        inputs.map { UnsafeBufferPointer(start: $0.storage.pointer, count: $0.count) },
        into: storages.map { UnsafeMutableBufferPointer(start: $0.pointer, count: $0.count) })
    }
    return zip(storages, outputShapes).map { Tensor(storage: $0, shape: $1, node: nil) }
  }

  /// Runs a computation of one tensor from one.
  public func callAsFunction(_ input: Tensor) throws(PlanError) -> Tensor { try self([input])[0] }
}

extension InferencePlan.State {
  fileprivate var isCurrent: Bool {
    workers === Engine.shared.workers && watched.allSatisfy { $0.storage.version == $0.version }
  }
}
