import OneDNNBridge

/// A convolution with a ReLU on its result, in inference plans: inputs as ``Convolution``.
struct InferenceConvolution: NonDifferentiableOperation, @unchecked Sendable {
  // @unchecked: the primitive is used on the engine thread only.
  let convolution: Convolution
  /// The ReLU's slope below zero; nil for none.
  var reluSlope: Float?
  /// Code for the shape, at hand in a plan.
  private(set) var primitive: ConvolutionPrimitive?

  init(convolution: Convolution, reluSlope: Float? = nil) {
    self.convolution = convolution
    self.reluSlope = reluSlope
  }

  var kind: OperationKind { .convolution }

  func outputShape(_ inputs: [Shape]) -> Shape { convolution.outputShape(inputs) }

  private func shape(_ inputs: [Shape]) -> ConvolutionShape {
    var shape = convolution.shape(inputs, hasBias: convolution.hasBias)
    shape.reluSlope = reluSlope
    return shape
  }

  private func primitive(_ inputs: [Shape]) -> ConvolutionPrimitive {
    primitive ?? ConvolutionPrimitives.shared[shape(inputs), ONEDNN_FORWARD]
  }

  func specialized(for inputs: [Shape]) -> (any Operation)? {
    var specialized = self
    specialized.primitive = primitive(inputs)
    return specialized
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int { primitive(inputs).scratchCount }

  func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation? {
    guard index == 1 else { return nil }
    return Preparation(
      key: shape(inputs).preparationKey(ONEDNN_FORWARD), count: primitive(inputs).preparedCount,
      replacesValues: true)
  }

  func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    primitive(inputs).prepare(source, into: destination)
  }

  func forward(_ pass: ForwardPass) {
    guard let weights = pass.prepared[1] else { preconditionFailure("\(kind): no weights") }
    let primitive = primitive ?? primitive(pass.inputs.map(\.shape))
    primitive.forward(
      pass.inputs[0].pointer, prepared: weights,
      bias: convolution.hasBias ? pass.inputs[2].pointer : nil, into: pass.output.pointer,
      scratch: pass.scratch)
  }
}
