import Synchronization
public import TensorCore

/// A tensor that belongs to a module and that training or loading changes in place.
///
/// Also holds a module's buffers (running statistics), which never require gradients. A parameter has
/// no name; the module that owns it gives it one. It may be read from anywhere, and is changed on the
/// engine's thread alone.
public final class Parameter: Sendable {
  private let values: Tensor
  // One leaf for the parameter's whole life, so that a gradient can be looked up at any later time.
  private let leaf: Tensor
  private let tracks: Atomic<Bool>
  private let changes = Atomic<Int>(0)

  /// A parameter whose elements `fill` writes: it gets uninitialised memory and must set all of it.
  ///
  /// - Parameters:
  ///   - shape: The shape, in the layout of the weight file.
  ///   - requiresGradient: False for a buffer.
  ///   - fill: Writes the initial values, row-major.
  public init(
    _ shape: Shape, requiresGradient: Bool = true,
    fill: (UnsafeMutableBufferPointer<Float>) -> Void
  ) {
    values = (Self.census?.tensor(shape) ?? Tensor(shape, fill: fill)).asParameter(tracked: false)
    leaf = values.tracked()
    tracks = Atomic(requiresGradient)
  }

  /// Where parameters are counted instead of made.
  @TaskLocal private static var census: Census?

  /// Whether parameters are counted instead of made: layers need not compute with them.
  static var isCounting: Bool { census != nil }

  /// How many elements the parameters have that a closure makes; they get no memory.
  ///
  /// - Parameter body: Makes modules, which are of no use. Their parameters are not drawn.
  /// - Returns: Elements of all parameters, buffers too.
  /// - Throws: What `body` throws.
  package static func count<Failure: Error>(
    in body: () throws(Failure) -> Void
  ) throws(Failure) -> Int {
    let census = Census()
    let result = $census.withValue(census) { Result { () throws(Failure) in try body() } }
    try result.get()
    return census.count
  }

  /// The shape, which never changes.
  public var shape: Shape { values.shape }

  /// The number of elements.
  public var count: Int { shape.count }

  /// The values for use in a computation: tracked if and only if gradients are required.
  ///
  /// It shares the parameter's memory. Change values with ``update(_:)``, never through this tensor:
  /// what is derived from them would not notice.
  public var tensor: Tensor { requiresGradient ? leaf : values }

  /// Whether computations remember how they depend on this parameter.
  public var requiresGradient: Bool {
    get { tracks.load(ordering: .acquiring) }
    set { tracks.store(newValue, ordering: .releasing) }
  }

  /// Rises with every change of the values.
  public var version: Int { changes.load(ordering: .acquiring) }

  /// The gradient with respect to this parameter, nil if the result does not depend on it.
  public func gradient(in gradients: Gradients) -> Tensor? { gradients[leaf] }

  /// Changes the values in place.
  ///
  /// - Parameter body: Gets the values, row-major; what it leaves there stays, even if it throws.
  /// - Throws: What `body` throws.
  public func update<Failure: Error>(
    _ body: (UnsafeMutableBufferPointer<Float>) throws(Failure) -> Void
  ) throws(Failure) {
    guard values.hasValues else { return }
    // On the engine's thread as a whole: no forward pass sees new values under an old version.
    try Engine.shared.perform { () throws(Failure) in
      defer { changes.add(1, ordering: .acquiringAndReleasing) }
      try values.update(body)
    }
  }

  /// Changes the values of many parameters in place.
  ///
  /// - Parameters:
  ///   - parameters: Which.
  ///   - body: Gets a tensor of each one's values, to be changed by a computation that works in place.
  public static func update(_ parameters: [Parameter], _ body: ([Tensor]) -> Void) {
    Engine.shared.perform {
      body(parameters.map(\.values))
      for parameter in parameters { parameter.changes.add(1, ordering: .acquiringAndReleasing) }
    }
  }

  /// Copies values from a tensor of the same shape.
  public func load(_ tensor: Tensor) {
    precondition(
      tensor.shape == shape, "parameter: load of \(tensor.shape) into \(shape), shapes differ")
    update { destination in tensor.withValues { _ = destination.initialize(from: $0) } }
  }
}
