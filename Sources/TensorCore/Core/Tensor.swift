/// A dense float32 array of any rank, channels-last by convention.
///
/// A tensor is a value: no operation changes one. Storage is pooled and shared, never copied between
/// operations. A tensor that depends on a tracked one (``tracked()``, or a parameter that requires
/// gradients) remembers how it was computed; any other remembers nothing and its memory is free for
/// reuse as soon as the last copy goes away.
public struct Tensor: @unchecked Sendable {
  // @unchecked: storage is written only before the tensor is handed out (parameters aside, which
  // change on the engine thread alone), and nodes are touched on the engine thread alone.

  /// The sizes of the axes.
  public let shape: Shape
  let storage: Storage
  let node: Node?

  init(storage: Storage, shape: Shape, node: Node?) {
    precondition(storage.count >= shape.count)
    self.storage = storage
    self.shape = shape
    self.node = node
  }

  /// A tensor whose elements `fill` writes: it gets uninitialised memory and must set all of it.
  public init(_ shape: Shape, fill: (UnsafeMutableBufferPointer<Float>) throws -> Void) rethrows {
    let storage = Storage(count: shape.count)
    try fill(UnsafeMutableBufferPointer(start: storage.pointer, count: shape.count))
    self.init(storage: storage, shape: shape, node: nil)
  }

  /// A tensor of the given values in row-major order; stops unless there are `shape.count` of them.
  public init(_ shape: Shape, _ values: some Collection<Float>) {
    precondition(
      values.count == shape.count, "tensor: \(values.count) values for shape \(shape)")
    self.init(shape) { _ = $0.initialize(from: values) }
  }

  /// A tensor with the same value everywhere.
  public init(_ shape: Shape, repeating value: Float) {
    self.init(shape) { $0.initialize(repeating: value) }
  }

  /// A scalar.
  public init(_ value: Float) { self.init(.scalar, repeating: value) }

  /// Zeros.
  public static func zeros(_ shape: Shape) -> Tensor { Tensor(shape, repeating: 0) }

  /// Ones.
  public static func ones(_ shape: Shape) -> Tensor { Tensor(shape, repeating: 1) }

  /// The number of elements.
  public var count: Int { shape.count }

  /// Whether there are elements: false while an inference plan is made, for what depends on its input.
  public var hasValues: Bool { storage.traced == nil }

  /// The elements in row-major order.
  public var values: [Float] { withValues(Array.init) }

  /// The only element; stops if there is more than one.
  public var scalar: Float {
    precondition(count == 1, "scalar: shape \(shape) has \(count) elements")
    return storage.pointer[0]
  }

  /// Gives read access to the elements in row-major order, without a copy.
  public func withValues<Result, Failure: Error>(
    _ body: (UnsafeBufferPointer<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeBufferPointer(start: storage.pointer, count: count))
  }

  // MARK: - Gradients

  /// Whether this tensor remembers how it was computed.
  public var isTracked: Bool { node != nil }

  /// The same values as a leaf of a new graph: gradients with respect to it can be asked for.
  public func tracked() -> Tensor { Tensor(storage: storage, shape: shape, node: Node()) }

  /// The same values without their history.
  public func detached() -> Tensor { Tensor(storage: storage, shape: shape, node: nil) }

  /// The same memory as a parameter: prepared forms (packed panels) are kept until it changes.
  public func asParameter(tracked: Bool) -> Tensor {
    storage.keepsPreparations = true
    return tracked ? self.tracked() : detached()
  }

  /// Changes the values in place, for optimisers and loaders; only on tensors that own their memory.
  ///
  /// Every tensor that shares this memory sees the change, and prepared forms are made anew.
  public func update<Failure: Error>(
    _ body: (UnsafeMutableBufferPointer<Float>) throws(Failure) -> Void
  ) throws(Failure) {
    try Engine.shared.perform { () throws(Failure) in
      try body(UnsafeMutableBufferPointer(start: storage.pointer, count: count))
      storage.markChanged()
    }
  }
}

extension Tensor: CustomStringConvertible {
  /// The shape and the first elements.
  public var description: String {
    let first = withValues { $0.prefix(6).map { "\($0)" } }.joined(separator: ", ")
    return "Tensor\(shape)(\(first)\(count > 6 ? ", …" : ""))"
  }
}
