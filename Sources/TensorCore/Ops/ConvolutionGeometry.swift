import OneDNNBridge

/// How a convolution's kernel moves over the spatial axes, one number per axis.
struct ConvolutionGeometry: Hashable, Sendable {
  let stride: [Int]
  let padding: [Int]
  let dilation: [Int]
  let groups: Int

  /// Arrays of one number hold for all axes of `shape`.
  init(
    of shape: Shape, _ name: String, stride: [Int], padding: [Int], dilation: [Int], groups: Int
  ) {
    let rank = SpatialSizes.of(shape, name).count
    self.stride = SpatialSizes.expanded(stride, to: rank, name, "stride")
    self.padding = SpatialSizes.expanded(padding, to: rank, name, "padding")
    self.dilation = SpatialSizes.expanded(dilation, to: rank, name, "dilation")
    self.groups = groups
    precondition(
      (self.stride + self.dilation + [groups]).allSatisfy { $0 > 0 }
        && self.padding.allSatisfy { $0 >= 0 },
      "\(name): stride \(stride), padding \(padding), dilation \(dilation), groups \(groups)")
  }

  /// Inputs from the first to the last tap of a window along an axis, plus one.
  func extent(_ kernel: Int, axis: Int) -> Int { dilation[axis] * (kernel - 1) + 1 }

  /// The sizes of the output of a convolution; nil if the kernel does not fit.
  func convolvedSizes(_ input: [Int], kernel: [Int]) -> [Int]? {
    let rest = input.indices.map { axis in
      input[axis] + 2 * padding[axis] - extent(kernel[axis], axis: axis)
    }
    guard kernel.allSatisfy({ $0 > 0 }), rest.allSatisfy({ $0 >= 0 }) else { return nil }
    return zip(rest, stride).map { $0 / $1 + 1 }
  }

  /// The sizes of the output of a transposed convolution; nil if padding takes everything away.
  func transposedSizes(_ input: [Int], kernel: [Int], outputPadding: [Int]) -> [Int]? {
    let sizes = input.indices.map { axis in
      (input[axis] - 1) * stride[axis] - 2 * padding[axis] + extent(kernel[axis], axis: axis)
        + outputPadding[axis]
    }
    return kernel.allSatisfy { $0 > 0 } && sizes.allSatisfy { $0 > 0 } ? sizes : nil
  }

  /// The convolution from `input: [N, ..., I]` to `output: [N, ..., O]` as oneDNN sees it.
  func bridgeShape(
    input: Shape, output: Shape, kernel: [Int], hasBias: Bool, reluSlope: Float?
  ) -> onednn_conv_shape {
    func triple(_ values: some Collection<Int>) -> (Int64, Int64, Int64) {
      let padded = Array(values) + [1, 1]
      return (Int64(padded[0]), Int64(padded[1]), Int64(padded[2]))
    }
    func spatial(_ shape: Shape) -> (Int64, Int64, Int64) {
      triple(shape.dimensions.dropFirst().dropLast())
    }
    return onednn_conv_shape(
      spatial_rank: Int32(kernel.count), batch: Int64(input[0]), in_channels: Int64(input.channels),
      out_channels: Int64(output.channels), groups: Int64(groups), in_size: spatial(input),
      out_size: spatial(output), kernel: triple(kernel), stride: triple(stride),
      dilation: triple(dilation), pad_before: triple(padding), pad_after: triple(padding),
      has_bias: hasBias, has_relu: reluSlope != nil, relu_slope: reluSlope ?? 0)
  }
}
