import OneDNNBridge

/// One of the three computations of a convolution, with code generated for its shape.
final class ConvolutionPrimitive {
  private let handle: OpaquePointer

  fileprivate init(_ shape: onednn_conv_shape, _ kind: onednn_conv_kind) {
    let handle = withUnsafePointer(to: shape) { onednn_conv_create($0, kind) }
    guard let handle else {
      preconditionFailure("convolution: \(shape): \(Self.lastError)")
    }
    self.handle = handle
  }

  deinit { onednn_conv_destroy(handle) }

  private static var lastError: String { String(cString: onednn_last_error()) }

  private func check(_ succeeded: Bool) {
    precondition(succeeded, "convolution: \(Self.lastError)")
  }

  /// Floats of the weights in the order that the primitive reads.
  var preparedCount: Int { onednn_conv_prepared_count(handle) }

  /// Floats of temporary memory of one execution.
  var scratchCount: Int { onednn_conv_scratch_count(handle) }

  /// Whether a forward pass without bias is faster than the same with it.
  var isFasterBare: Bool { onednn_conv_is_faster_bare(handle) }

  /// Writes weights in the order that the primitive reads.
  func prepare(_ weights: UnsafePointer<Float>, into prepared: UnsafeMutablePointer<Float>) {
    check(onednn_conv_prepare(handle, prepared, weights))
  }

  /// `y = x * weights + bias`.
  func forward(
    _ x: UnsafePointer<Float>, prepared: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
    into y: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) {
    check(onednn_conv_forward(handle, y, x, prepared, bias, scratch))
  }

  /// The gradient of x, of that of y.
  func backwardData(
    _ dy: UnsafePointer<Float>, prepared: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) {
    check(onednn_conv_backward_data(handle, dx, dy, prepared, scratch))
  }

  /// The gradient of the weights, of that of y.
  func backwardWeights(
    _ x: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
    into dw: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) {
    check(onednn_conv_backward_weights(handle, dw, nil, x, dy, scratch))
  }
}

/// A convolution between tensors of given shapes, by which its primitives are found.
struct ConvolutionShape: Hashable, Sendable {
  let geometry: ConvolutionGeometry
  let input: Shape
  let output: Shape
  let kernel: [Int]
  let hasBias: Bool
  /// The slope below zero of a ReLU on the result; nil for none.
  var reluSlope: Float?

  /// Names the prepared weights of one primitive: their order depends on all of this.
  func preparationKey(_ kind: onednn_conv_kind) -> PreparationKey {
    PreparationKey(
      "convolution weights",
      [
        Int(kind.rawValue), ConvolutionPrimitives.threads, hasBias ? 1 : 0,
        Int(reluSlope?.bitPattern ?? .max), geometry.groups,
      ]
        + geometry.stride + geometry.padding + geometry.dilation + kernel + input.dimensions
        + output.dimensions)
  }
}

/// The primitives in use, each made at its first use.
///
/// Generating code takes milliseconds, and a network asks for the same few dozen again and again.
final class ConvolutionPrimitives: @unchecked Sendable {
  // @unchecked: used on the engine thread only, like everything that oneDNN does.
  static let shared = ConvolutionPrimitives()

  private struct Key: Hashable {
    let shape: ConvolutionShape
    let kind: UInt32
    let threads: Int
  }

  private var primitives: [Key: ConvolutionPrimitive] = [:]

  /// More than any network needs at one size; volumes of ever new sizes must not fill the memory.
  private static let capacity = 512

  /// A primitive runs on the number of threads that was set when it was made.
  static var threads: Int { Engine.shared.workers.threads }

  subscript(shape: ConvolutionShape, kind: onednn_conv_kind) -> ConvolutionPrimitive {
    let key = Key(shape: shape, kind: kind.rawValue, threads: Self.threads)
    if let primitive = primitives[key] { return primitive }
    if primitives.count >= Self.capacity { primitives.removeAll() }
    let primitive = ConvolutionPrimitive(
      shape.geometry.bridgeShape(
        input: shape.input, output: shape.output, kernel: shape.kernel, hasBias: shape.hasBias,
        reluSlope: shape.reluSlope),
      kind)
    primitives[key] = primitive
    return primitive
  }
}
