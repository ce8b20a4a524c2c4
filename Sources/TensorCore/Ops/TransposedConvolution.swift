import Kernels
import OneDNNBridge

/// Transposed convolution of `[N, ..., I]`, weight `[I, O / groups, k...]`: the gradient with respect to
/// the input of the convolution from O to I channels with the same weight.
///
/// Inputs: x, weight and, if there is one, bias `[O]`.
struct TransposedConvolution: Operation, @unchecked Sendable {
  // @unchecked: the primitive is used on the engine thread only.

  let geometry: ConvolutionGeometry
  let outputPadding: [Int]
  let hasBias: Bool
  /// Code for the shape, at hand in a plan.
  private var atHand: ConvolutionPrimitive?

  init(geometry: ConvolutionGeometry, outputPadding: [Int], hasBias: Bool) {
    self.geometry = geometry
    self.outputPadding = outputPadding
    self.hasBias = hasBias
  }

  func specialized(for inputs: [Shape]) -> (any Operation)? {
    var specialized = self
    specialized.atHand = primitive(inputs, ONEDNN_BACKWARD_DATA)
    return specialized
  }

  var kind: OperationKind { .transposedConvolution }
  var backwardReads: BackwardReads { .only([0, 1]) }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let (x, weight) = (inputs[0], inputs[1])
    let sizes = SpatialSizes.of(x, "transposedConvolution")
    let groups = geometry.groups
    precondition(
      weight.rank == x.rank && weight[0] == x.channels && x.channels % groups == 0,
      "transposedConvolution: x \(x), weight \(weight), \(groups) groups")
    precondition(
      zip(outputPadding, geometry.stride).allSatisfy { (0..<$1).contains($0) },
      "transposedConvolution: output padding \(outputPadding), stride \(geometry.stride)")
    let channels = weight[1] * groups
    if hasBias {
      precondition(
        inputs[2] == [channels], "transposedConvolution: weight \(weight), bias \(inputs[2])")
    }
    let kernel = Array(weight.dimensions.dropFirst(2))
    guard x.count > 0, weight.count > 0,
      let output = geometry.transposedSizes(sizes, kernel: kernel, outputPadding: outputPadding)
    else {
      preconditionFailure(
        "transposedConvolution: x \(x), weight \(weight), padding \(geometry.padding): no output")
    }
    return Shape([x[0]] + output + [channels])
  }

  private func primitive(_ inputs: [Shape], _ kind: onednn_conv_kind) -> ConvolutionPrimitive {
    ConvolutionPrimitives.shared[mirrored(inputs), kind]
  }

  /// The convolution whose input gradient this is.
  private func mirrored(_ inputs: [Shape]) -> ConvolutionShape {
    ConvolutionShape(
      geometry: geometry, input: outputShape(inputs), output: inputs[0],
      kernel: Array(inputs[1].dimensions.dropFirst(2)), hasBias: false)
  }

  private func primitiveKind(_ pass: Pass) -> onednn_conv_kind {
    pass == .forward ? ONEDNN_BACKWARD_DATA : ONEDNN_FORWARD
  }

  func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation? {
    guard index == 1 else { return nil }
    return Preparation(
      key: mirrored(inputs).preparationKey(primitiveKind(pass)),
      count: primitive(inputs, primitiveKind(pass)).preparedCount, replacesValues: true)
  }

  func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    let isForward =
      preparation.key == mirrored(inputs).preparationKey(primitiveKind(.forward))
    primitive(inputs, primitiveKind(isForward ? .forward : .backward))
      .prepare(source, into: destination)
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    let data = primitive(inputs, primitiveKind(pass)).scratchCount
    if pass == .forward { return data }
    let bias = hasBias ? ChannelSum(outputShape(inputs)).scratchCount : 0
    return max(data, primitive(inputs, ONEDNN_BACKWARD_WEIGHTS).scratchCount, bias)
  }

  func forward(_ pass: ForwardPass) {
    guard let weights = pass.prepared[1] else { preconditionFailure("\(kind): no weights") }
    let y = pass.output
    let primitive = atHand ?? primitive(pass.inputs.map(\.shape), ONEDNN_BACKWARD_DATA)
    primitive.backwardData(
      pass.inputs[0].pointer, prepared: weights, into: y.pointer, scratch: pass.scratch)
    guard hasBias else { return }
    let (bias, channels) = (pass.inputs[2].pointer, y.shape.channels)
    pass.workers.run(count: y.shape.rows, grain: (1 << 15) / channels) { range in
      let start = y.pointer + range.lowerBound * channels
      k_binary_columns(start, start, bias, K_BINARY_ADD, false, range.count, channels)
    }
  }

  func backward(_ pass: BackwardPass) {
    let upstream = pass.outputGradient
    if let gradient = pass.inputGradients[0] {
      guard let weights = pass.prepared[1] else { preconditionFailure("\(kind): no weights") }
      primitive(pass.shapes, ONEDNN_FORWARD).forward(
        upstream.pointer, prepared: weights, bias: nil, into: gradient.pointer,
        scratch: pass.scratch)
    }
    if let gradient = pass.inputGradients[1] {
      primitive(pass.shapes, ONEDNN_BACKWARD_WEIGHTS).backwardWeights(
        upstream.pointer, pass.input(0).pointer, into: gradient.pointer, scratch: pass.scratch)
    }
    if hasBias, let gradient = pass.inputGradients[2] {
      ChannelSum(upstream.shape).run(
        from: upstream.pointer, to: gradient.pointer, scratch: pass.scratch, pass.workers)
    }
  }
}

extension Tensor {
  /// Transposed convolution of `[N, W, I]`, `[N, H, W, I]` or `[N, D, H, W, I]`.
  ///
  /// The weight is `[I, O / groups, k...]`, the bias `[O]`; arrays have one number per spatial axis, or
  /// one for all. The result has size
  /// `(size − 1) · stride − 2 · padding + dilation · (k − 1) + outputPadding + 1`, with
  /// `outputPadding < stride`.
  public func transposedConvolved(
    with weight: Tensor, bias: Tensor? = nil, stride: [Int] = [1], padding: [Int] = [0],
    outputPadding: [Int] = [0], dilation: [Int] = [1], groups: Int = 1
  ) -> Tensor {
    let geometry = ConvolutionGeometry(
      of: shape, "transposedConvolution", stride: stride, padding: padding, dilation: dilation,
      groups: groups)
    let outputPadding = SpatialSizes.expanded(
      outputPadding, to: geometry.stride.count, "transposedConvolution", "output padding")
    return Tensor.apply(
      TransposedConvolution(geometry: geometry, outputPadding: outputPadding, hasBias: bias != nil),
      [self, weight] + [bias].compactMap(\.self))
  }
}
