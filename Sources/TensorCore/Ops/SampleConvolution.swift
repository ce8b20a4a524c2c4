import OneDNNBridge

/// Convolution of each sample of `[N, H, W, I]` with a kernel of its own, `[N, O, I, k…]`.
///
/// Inputs: x, weight and, if there is one, bias `[O]`. The samples share the code generated for one.
struct SampleConvolution: Operation {
  let geometry: ConvolutionGeometry
  let hasBias: Bool

  var kind: OperationKind { .sampleConvolution }
  var backwardReads: BackwardReads { .only([0, 1]) }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let (x, weight) = (inputs[0], inputs[1])
    let sizes = SpatialSizes.of(x, "sampleConvolution")
    precondition(
      weight.rank == x.rank + 1 && weight[0] == x[0] && weight[2] == x.channels
        && geometry.groups == 1,
      "sampleConvolution: x \(x), weight \(weight), expected [N, …, I] and [N, O, I, k…]")
    if hasBias {
      precondition(
        inputs[2] == [weight[1]], "sampleConvolution: weight \(weight), bias \(inputs[2])")
    }
    guard x.count > 0, weight.count > 0,
      let output = geometry.convolvedSizes(sizes, kernel: Array(weight.dimensions.dropFirst(3)))
    else {
      preconditionFailure(
        "sampleConvolution: x \(x), weight \(weight), padding \(geometry.padding): no output")
    }
    return Shape([x[0]] + output + [weight[1]])
  }

  /// One sample's convolution.
  private func shape(_ inputs: [Shape], hasBias: Bool = false) -> ConvolutionShape {
    ConvolutionShape(
      geometry: geometry, input: inputs[0].replacing(axis: 0, with: 1),
      output: outputShape(inputs).replacing(axis: 0, with: 1),
      kernel: Array(inputs[1].dimensions.dropFirst(3)), hasBias: hasBias)
  }

  private func primitive(
    _ inputs: [Shape], _ kind: onednn_conv_kind
  ) -> ConvolutionPrimitive {
    ConvolutionPrimitives.shared[
      shape(inputs, hasBias: hasBias && kind == ONEDNN_FORWARD), kind]
  }

  /// Whole vectors, so that what follows stays aligned.
  private func aligned(_ count: Int) -> Int { (count + 15) / 16 * 16 }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    func need(_ kind: onednn_conv_kind) -> Int {
      let primitive = primitive(inputs, kind)
      return aligned(primitive.preparedCount) + primitive.scratchCount
    }
    if pass == .forward { return need(ONEDNN_FORWARD) }
    let bias = hasBias ? ChannelSum(outputShape(inputs)).scratchCount : 0
    return max(
      need(ONEDNN_BACKWARD_DATA), primitive(inputs, ONEDNN_BACKWARD_WEIGHTS).scratchCount, bias)
  }

  func forward(_ pass: ForwardPass) {
    let (x, weight, y) = (pass.inputs[0], pass.inputs[1], pass.output)
    let samples = x.shape[0]
    let primitive = primitive(pass.inputs.map(\.shape), ONEDNN_FORWARD)
    let scratch = pass.scratch + aligned(primitive.preparedCount)
    for sample in 0..<samples {
      primitive.prepare(weight.pointer + sample * (weight.count / samples), into: pass.scratch)
      primitive.forward(
        x.pointer + sample * (x.count / samples), prepared: pass.scratch,
        bias: hasBias ? pass.inputs[2].pointer : nil,
        into: y.pointer + sample * (y.count / samples), scratch: scratch)
    }
  }

  func backward(_ pass: BackwardPass) {
    let upstream = pass.outputGradient
    let (x, weight) = (pass.input(0), pass.input(1))
    let samples = x.shape[0]
    let (inputCount, kernelCount) = (x.count / samples, weight.count / samples)
    let outputCount = upstream.count / samples
    if let gradient = pass.inputGradients[0]?.pointer {
      let primitive = primitive(pass.shapes, ONEDNN_BACKWARD_DATA)
      for sample in 0..<samples {
        primitive.prepare(weight.pointer + sample * kernelCount, into: pass.scratch)
        primitive.backwardData(
          upstream.pointer + sample * outputCount, prepared: pass.scratch,
          into: gradient + sample * inputCount,
          scratch: pass.scratch + aligned(primitive.preparedCount))
      }
    }
    if let gradient = pass.inputGradients[1]?.pointer {
      let primitive = primitive(pass.shapes, ONEDNN_BACKWARD_WEIGHTS)
      for sample in 0..<samples {
        primitive.backwardWeights(
          x.pointer + sample * inputCount, upstream.pointer + sample * outputCount,
          into: gradient + sample * kernelCount, scratch: pass.scratch)
      }
    }
    if hasBias, let gradient = pass.inputGradients[2] {
      ChannelSum(upstream.shape).run(
        from: upstream.pointer, to: gradient.pointer, scratch: pass.scratch, pass.workers)
    }
  }
}

extension Tensor {
  /// Each sample of `[N, …, I]` convolved with a kernel of its own.
  ///
  /// - Parameters:
  ///   - weight: `[N, O, I, k…]`.
  ///   - bias: `[O]`, the same for all samples.
  ///   - stride: One number for each spatial axis, or one for all.
  ///   - padding: Zeros at both ends, likewise.
  ///   - dilation: Distances between taps, likewise.
  /// - Returns: `[N, …, O]` as ``convolved(with:bias:stride:padding:dilation:groups:)``.
  public func convolvedBySample(
    with weight: Tensor, bias: Tensor? = nil, stride: [Int] = [1], padding: [Int] = [0],
    dilation: [Int] = [1]
  ) -> Tensor {
    let geometry = ConvolutionGeometry(
      of: shape, "sampleConvolution", stride: stride, padding: padding, dilation: dilation,
      groups: 1)
    return Tensor.apply(
      SampleConvolution(geometry: geometry, hasBias: bias != nil),
      [self, weight] + [bias].compactMap(\.self))
  }
}
