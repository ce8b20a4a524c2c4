/// One differentiable (or explicitly not differentiable) computation, as a value.
///
/// An operation states its output's shape and the memory that it needs, and computes forward and
/// backward into buffers that it is given. It allocates nothing and captures no tensors, so the same
/// declaration serves eager execution (run at once), the tape (stored for backward) and an inference
/// plan (traced, placed in an arena, replayed).
public protocol Operation: Sendable {
  /// What kind of operation this is; the gradient tests require a case for every kind.
  var kind: OperationKind { get }

  /// The output's shape; stops with the operation's name and the shapes if they do not fit.
  func outputShape(_ inputs: [Shape]) -> Shape

  /// Floats that ``forward(_:)`` leaves for ``backward(_:)``, such as a norm's statistics.
  func savedCount(_ inputs: [Shape]) -> Int

  /// Floats that ``forward(_:)`` leaves for ``backward(_:)`` only where a gradient may be asked for:
  /// what is cheaper to store than to compute again, but a waste in inference.
  func keptCount(_ inputs: [Shape]) -> Int

  /// Floats of temporary memory that a pass needs.
  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int

  /// The re-laid-out form of an input that a pass reads instead of (or beside) its plain values.
  ///
  /// The engine makes it before the pass with ``prepare(_:from:into:_:)``: once for a parameter, each
  /// time for other tensors.
  func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation?

  /// Fills a prepared form of the input `index`.
  func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>)

  /// Whether the output is the first input's memory with another shape, and nothing is computed.
  var aliasesInput: Bool { get }

  /// Whether an input's gradient is the output's gradient itself, as for a term of a sum: it is then
  /// passed on without a copy, and ``backward(_:)`` is not asked for it.
  func passesGradient(toInput index: Int, _ inputs: [Shape]) -> Bool

  /// Whether backward can add to a gradient that the input has already, see ``BackwardPass/adds``.
  func addsGradient(toInput index: Int, _ inputs: [Shape]) -> Bool
  /// Whether ``forward(_:)`` is right if the output is the memory of this input, of equal size: true
  /// where each element of the output is written after the last read of the input's element there.
  func canOverwrite(input index: Int, _ inputs: [Shape]) -> Bool

  /// Whether ``forward(_:)`` minds the output's ``Buffer/rowStride``, so that the output can be some of
  /// the channels of a wider tensor.
  var writesSpacedRows: Bool { get }

  /// Whether ``forward(_:)`` minds this input's ``Buffer/rowStride``.
  func readsSpacedRows(ofInput index: Int) -> Bool

  /// What backward reads besides the output's gradient; anything else is freed early.
  var backwardReads: BackwardReads { get }

  /// Writes every element of the output.
  func forward(_ pass: ForwardPass)

  /// Writes every element of each requested input gradient, or adds to it if told so.
  func backward(_ pass: BackwardPass)

  /// The operation that takes this one's place in an inference plan of a lower precision: same inputs,
  /// same output shape, forward only. Nil if there is none, and this one runs as it is.
  func lowered(to precision: Precision) -> (any Operation)?

  /// The operation that takes this one's place where the shapes stay the same from now on, with
  /// everything looked up that depends on them: same inputs, same output, forward only. Nil if there
  /// is nothing to look up.
  func specialized(for inputs: [Shape]) -> (any Operation)?
}

/// The direction in which an operation runs.
public enum Pass: Hashable, Sendable {
  /// From inputs to output.
  case forward
  /// From the output's gradient to those of the inputs.
  case backward
}

/// A re-laid-out form of an input: packed matrix panels, blocked convolution weights.
public struct Preparation: Sendable {
  /// Distinguishes forms of one tensor; equal keys mean equal contents for equal values.
  public var key: PreparationKey
  /// The size of the form in floats.
  public var count: Int
  /// Whether the pass reads the form instead of the plain values, never beside them: the plain values
  /// of a weight that is read nowhere else can then be let go of.
  public var replacesValues: Bool

  /// A form of `count` floats named by `key`.
  public init(key: PreparationKey, count: Int, replacesValues: Bool = false) {
    self.key = key
    self.count = count
    self.replacesValues = replacesValues
  }
}

/// The name of a prepared form, unique among all operations.
public struct PreparationKey: Hashable, Sendable {
  private let name: String
  private let values: [Int]

  /// A key made of the form's name and the sizes on which it depends.
  public init(_ name: String, _ values: [Int] = []) {
    self.name = name
    self.values = values
  }
}

/// Which tensors an operation's backward pass reads.
public struct BackwardReads: Sendable {
  /// Indices of the inputs whose values are read; nil for all of them.
  public var inputs: Set<Int>?
  /// Whether the output's values are read.
  public var output: Bool

  /// All inputs, not the output.
  public static let inputs = BackwardReads(inputs: nil, output: false)
  /// The output alone.
  public static let output = BackwardReads(inputs: [], output: true)
  /// Neither inputs nor output.
  public static let nothing = BackwardReads(inputs: [], output: false)
  /// Inputs and output.
  public static let everything = BackwardReads(inputs: nil, output: true)

  /// Some inputs, and the output if `output` is true.
  public static func only(_ inputs: Set<Int>, output: Bool = false) -> BackwardReads {
    BackwardReads(inputs: inputs, output: output)
  }
}

/// A tensor's memory and shape, as an operation sees it.
public struct Buffer {
  /// The first element; elements are row-major, and dense unless the operation can do with
  /// ``rowStride``.
  public let pointer: UnsafeMutablePointer<Float>
  /// The sizes of the axes.
  public let shape: Shape
  /// Floats from one row (what the innermost axis spans) to the next: more than there are channels
  /// where the tensor is some of the channels of a wider one.
  public let rowStride: Int
  /// The number of elements.
  public var count: Int { shape.count }

  init(_ pointer: UnsafeMutablePointer<Float>, _ shape: Shape, rowStride: Int? = nil) {
    self.pointer = pointer
    self.shape = shape
    self.rowStride = rowStride ?? shape.channels
  }
}

/// Everything that a forward pass may touch.
public struct ForwardPass {
  /// The inputs, in the operation's order; to be read only.
  public let inputs: [Buffer]
  /// The output, to be written completely.
  public let output: Buffer
  /// ``Operation/savedCount(_:)`` floats for backward.
  public let saved: UnsafeMutablePointer<Float>
  /// ``Operation/scratchCount(_:_:)`` floats.
  public let scratch: UnsafeMutablePointer<Float>
  /// The prepared form of each input, where the operation asked for one.
  public let prepared: [UnsafeMutablePointer<Float>?]
  /// The threads that share the loops.
  public let workers: WorkerPool
  /// ``Operation/keptCount(_:)`` floats for backward, nil in inference.
  ///
  /// The output must not depend on whether it is there.
  public var kept: UnsafeMutablePointer<Float>?
}

/// Everything that a backward pass may touch.
public struct BackwardPass {
  /// The gradient of the output; to be read only.
  public let outputGradient: Buffer
  /// The inputs; those not named in ``Operation/backwardReads`` are nil.
  public let inputs: [Buffer?]
  /// The shapes of all inputs.
  public let shapes: [Shape]
  /// The output, if named in ``Operation/backwardReads``.
  public let output: Buffer?
  /// What forward left.
  public let saved: UnsafeMutablePointer<Float>
  /// What forward left for backward alone.
  public let kept: UnsafeMutablePointer<Float>
  /// ``Operation/scratchCount(_:_:)`` floats.
  public let scratch: UnsafeMutablePointer<Float>
  /// The prepared form of each input, where the operation asked for one.
  public let prepared: [UnsafeMutablePointer<Float>?]
  /// Where to write the gradient of each input; nil where it is not wanted.
  public let inputGradients: [Buffer?]
  /// For each input whether its gradient holds values that are to be added to, rather than nothing.
  ///
  /// False unless the operation said that it can, in ``Operation/addsGradient(toInput:_:)``.
  public let adds: [Bool]
  /// The threads that share the loops.
  public let workers: WorkerPool

  /// The values of an input that ``Operation/backwardReads`` names.
  public func input(_ index: Int) -> Buffer {
    guard let buffer = inputs[index] else {
      preconditionFailure("backward reads input \(index), which its operation did not name")
    }
    return buffer
  }

  /// The values of the output, which ``Operation/backwardReads`` names.
  public var outputValues: Buffer {
    guard let output else {
      preconditionFailure("backward reads the output, which its operation did not name")
    }
    return output
  }
}

extension Operation {
  /// Nothing.
  public func savedCount(_ inputs: [Shape]) -> Int { 0 }
  /// Nothing.
  public func keptCount(_ inputs: [Shape]) -> Int { 0 }
  /// Nothing.
  public func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int { 0 }
  /// None.
  public func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation? {
    nil
  }
  /// Stops: an operation that asks for prepared inputs makes them itself.
  public func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    preconditionFailure("\(kind): asks for a prepared input that it does not know how to make")
  }
  /// False.
  public var aliasesInput: Bool { false }
  /// False.
  public func canOverwrite(input index: Int, _ inputs: [Shape]) -> Bool { false }
  /// False.
  public var writesSpacedRows: Bool { false }
  /// False.
  public func readsSpacedRows(ofInput index: Int) -> Bool { false }
  /// False.
  public func passesGradient(toInput index: Int, _ inputs: [Shape]) -> Bool { false }
  /// False.
  public func addsGradient(toInput index: Int, _ inputs: [Shape]) -> Bool { false }
  /// All inputs, not the output.
  public var backwardReads: BackwardReads { .inputs }
  /// None: the operation runs in float32 always.
  public func lowered(to precision: Precision) -> (any Operation)? { nil }
  /// None: nothing is looked up.
  public func specialized(for inputs: [Shape]) -> (any Operation)? { nil }
}

/// An operation without a gradient, such as an arg-max: asking for one stops with its name.
public protocol NonDifferentiableOperation: Operation {}

extension NonDifferentiableOperation {
  /// Stops with the operation's name.
  public func backward(_ pass: BackwardPass) {
    preconditionFailure("\(kind) has no gradient")
  }
}
