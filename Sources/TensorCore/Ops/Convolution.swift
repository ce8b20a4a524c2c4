import OneDNNBridge

/// Convolution of `[N, ..., I]` over one to three spatial axes by oneDNN, weight `[O, I / groups, k...]`.
///
/// Inputs: x, weight and, if there is one, bias `[O]`.
struct Convolution: Operation {
  let geometry: ConvolutionGeometry
  let hasBias: Bool

  var kind: OperationKind { .convolution }
  var backwardReads: BackwardReads { .only([0, 1]) }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let (x, weight) = (inputs[0], inputs[1])
    let sizes = SpatialSizes.of(x, "convolution")
    let groups = geometry.groups
    precondition(
      weight.rank == x.rank && weight[1] * groups == x.channels && weight[0] % groups == 0,
      "convolution: x \(x), weight \(weight), \(groups) groups")
    if hasBias {
      precondition(
        inputs[2] == [weight[0]], "convolution: weight \(weight), bias \(inputs[2])")
    }
    let kernel = Array(weight.dimensions.dropFirst(2))
    guard x.count > 0, weight.count > 0,
      let output = geometry.convolvedSizes(sizes, kernel: kernel)
    else {
      preconditionFailure(
        "convolution: x \(x), weight \(weight), padding \(geometry.padding): no output")
    }
    return Shape([x[0]] + output + [weight[0]])
  }

  func shape(_ inputs: [Shape], hasBias: Bool = false) -> ConvolutionShape {
    ConvolutionShape(
      geometry: geometry, input: inputs[0], output: outputShape(inputs),
      kernel: Array(inputs[1].dimensions.dropFirst(2)), hasBias: hasBias)
  }

  private func primitive(_ inputs: [Shape], _ pass: Pass) -> ConvolutionPrimitive {
    switch pass {
    case .forward:
      ConvolutionPrimitives.shared[shape(inputs, hasBias: hasBias), ONEDNN_FORWARD]
    case .backward: ConvolutionPrimitives.shared[shape(inputs), ONEDNN_BACKWARD_DATA]
    }
  }

  private func weightsPrimitive(_ inputs: [Shape]) -> ConvolutionPrimitive {
    ConvolutionPrimitives.shared[shape(inputs), ONEDNN_BACKWARD_WEIGHTS]
  }

  func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation? {
    guard index == 1 else { return nil }
    let key =
      switch pass {
      case .forward: shape(inputs, hasBias: hasBias).preparationKey(ONEDNN_FORWARD)
      case .backward: shape(inputs).preparationKey(ONEDNN_BACKWARD_DATA)
      }
    return Preparation(
      key: key, count: primitive(inputs, pass).preparedCount, replacesValues: true)
  }

  func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    let isForward =
      preparation.key == shape(inputs, hasBias: hasBias).preparationKey(ONEDNN_FORWARD)
    primitive(inputs, isForward ? .forward : .backward).prepare(source, into: destination)
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    if pass == .forward { return primitive(inputs, pass).scratchCount }
    let bias = hasBias ? ChannelSum(outputShape(inputs)).scratchCount : 0
    return max(
      primitive(inputs, pass).scratchCount, weightsPrimitive(inputs).scratchCount, bias)
  }

  func forward(_ pass: ForwardPass) {
    guard let weights = pass.prepared[1] else { preconditionFailure("\(kind): no weights") }
    primitive(pass.inputs.map(\.shape), .forward).forward(
      pass.inputs[0].pointer, prepared: weights, bias: hasBias ? pass.inputs[2].pointer : nil,
      into: pass.output.pointer, scratch: pass.scratch)
  }

  func specialized(for inputs: [Shape]) -> (any Operation)? {
    InferenceConvolution(convolution: self).specialized(for: inputs)
  }

  func backward(_ pass: BackwardPass) {
    let upstream = pass.outputGradient
    if let gradient = pass.inputGradients[0] {
      guard let weights = pass.prepared[1] else { preconditionFailure("\(kind): no weights") }
      primitive(pass.shapes, .backward).backwardData(
        upstream.pointer, prepared: weights, into: gradient.pointer, scratch: pass.scratch)
    }
    if let gradient = pass.inputGradients[1] {
      weightsPrimitive(pass.shapes).backwardWeights(
        pass.input(0).pointer, upstream.pointer, into: gradient.pointer, scratch: pass.scratch)
    }
    if hasBias, let gradient = pass.inputGradients[2] {
      ChannelSum(upstream.shape).run(
        from: upstream.pointer, to: gradient.pointer, scratch: pass.scratch, pass.workers)
    }
  }
}

/// The sum over all axes but the innermost: the gradient of a bias.
struct ChannelSum {
  private let reduction: AxisReduction

  init(_ shape: Shape) {
    reduction = AxisReduction([shape.rows, shape.channels]) { $0 == 0 }
  }

  var scratchCount: Int { reduction.scratchCount }

  func run(
    from source: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, _ workers: WorkerPool
  ) {
    reduction.run(.sum, from: source, to: target, scratch: scratch, workers: workers)
  }
}

extension Tensor {
  /// Convolution of `[N, W, I]`, `[N, H, W, I]` or `[N, D, H, W, I]` with zero padding.
  ///
  /// The weight is `[O, I / groups, k...]`, the bias `[O]`; arrays have one number per spatial axis, or
  /// one for all. Dilation 1 is dense. The kernel is not mirrored (cross-correlation). The result has
  /// size `⌊(size + 2 · padding − dilation · (k − 1) − 1) / stride⌋ + 1`.
  public func convolved(
    with weight: Tensor, bias: Tensor? = nil, stride: [Int] = [1], padding: [Int] = [0],
    dilation: [Int] = [1], groups: Int = 1
  ) -> Tensor {
    let geometry = ConvolutionGeometry(
      of: shape, "convolution", stride: stride, padding: padding, dilation: dilation,
      groups: groups)
    if geometry.isDepthwise(weight.shape, on: shape) {
      let output = depthwiseConvolved(with: weight)
      return bias.map { output + $0 } ?? output
    }
    if geometry.isPointwise(weight.shape) {
      return linear(weight.reshaped(to: [weight.shape[0], weight.shape[1]]), bias: bias)
    }
    return Tensor.apply(
      Convolution(geometry: geometry, hasBias: bias != nil),
      [self, weight] + [bias].compactMap(\.self))
  }
}

extension ConvolutionGeometry {
  /// Whether the engine's own kernel applies: odd squares of at most 7, one per channel, stride 1, same
  /// size.
  fileprivate func isDepthwise(_ weight: Shape, on x: Shape) -> Bool {
    guard x.rank == 4, weight.rank == 4, groups == x.channels, groups > 1 else { return false }
    return weight[0] == groups && weight[1] == 1 && weight[2] == weight[3]
      && [3, 5, 7].contains(weight[2]) && padding == [weight[2] / 2, weight[2] / 2]
      && (stride + dilation).allSatisfy { $0 == 1 }
  }

  /// Whether each position is a matrix product of its own.
  func isPointwise(_ weight: Shape) -> Bool {
    groups == 1 && weight.rank > 2 && weight.dimensions.dropFirst(2).allSatisfy { $0 == 1 }
      && stride.allSatisfy { $0 == 1 } && padding.allSatisfy { $0 == 0 }
  }
}
