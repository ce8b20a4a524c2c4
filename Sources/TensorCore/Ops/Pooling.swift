import Kernels

/// The windows of a pooling along the spatial axes of `[N, ..., C]`.
struct PoolingWindows: Sendable {
  let kernel: [Int]
  let stride: [Int]
  let padding: [Int]

  func outputShape(_ name: String, _ input: Shape) -> Shape {
    let sizes = SpatialSizes.of(input, name)
    let output = sizes.indices.map { axis -> Int in
      // Padding below the kernel's size leaves an input in every window.
      precondition(
        kernel[axis] > 0 && stride[axis] > 0 && (0..<kernel[axis]).contains(padding[axis])
          && sizes[axis] + 2 * padding[axis] >= kernel[axis],
        "\(name): kernel \(kernel), stride \(stride), padding \(padding) do not fit \(input)")
      return (sizes[axis] + 2 * padding[axis] - kernel[axis]) / stride[axis] + 1
    }
    return Shape([input.dimensions[0]] + output + [input.channels])
  }

  fileprivate func kernelShape(_ input: Shape, _ output: Shape) -> k_pool {
    let axes = (0..<3).map { position -> k_pool_axis in
      let axis = position - (3 - kernel.count)
      guard axis >= 0 else {
        return k_pool_axis(input: 1, output: 1, kernel: 1, stride: 1, padding: 0, dilation: 1)
      }
      return k_pool_axis(
        input: input.dimensions[axis + 1], output: output.dimensions[axis + 1],
        kernel: kernel[axis], stride: stride[axis], padding: padding[axis], dilation: 1)
    }
    return k_pool(depth: axes[0], height: axes[1], width: axes[2])
  }

  fileprivate var taps: Int { kernel.reduce(1, *) }
}

/// A tensor `[N, ..., C]` as N volumes of positions, and ranges of positions as chunks of work.
struct Volumes {
  let items: Int
  let positions: Int
  let channels: Int

  init(_ shape: Shape) {
    items = shape.dimensions[0]
    positions = shape.dimensions[1..<shape.rank - 1].reduce(1, *)
    channels = shape.channels
  }

  /// Elements of one volume.
  var count: Int { positions * channels }

  /// Calls `body` with an item and a range of its positions; `cost` scales the work of an element.
  func forEachRange(
    cost: Int, _ workers: WorkerPool, _ body: (_ item: Int, _ positions: Range<Int>) -> Void
  ) {
    let perUnit = max(1, (1 << 16) / max(1, cost * channels))
    let unitsPerItem = (positions + perUnit - 1) / perUnit
    workers.run(chunks: items * unitsPerItem) { unit in
      let first = unit % unitsPerItem * perUnit
      body(unit / unitsPerItem, first..<min(positions, first + perUnit))
    }
  }
}

/// The largest element of each window.
///
/// Saved: for each output the position of its maximum, as 32-bit integers.
struct MaxPool: Operation {
  let windows: PoolingWindows

  var kind: OperationKind { .maxPool }
  var backwardReads: BackwardReads { .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape { windows.outputShape("maxPool", inputs[0]) }

  func savedCount(_ inputs: [Shape]) -> Int { outputShape(inputs).count }

  func forward(_ pass: ForwardPass) {
    let (x, y) = (pass.inputs[0], pass.output)
    let (from, to) = (Volumes(x.shape), Volumes(y.shape))
    let index = UnsafeMutableRawPointer(pass.saved).bindMemory(to: Int32.self, capacity: y.count)
    let shape = windows.kernelShape(x.shape, y.shape)
    to.forEachRange(cost: windows.taps, pass.workers) { item, range in
      withUnsafePointer(to: shape) { shape in
        k_max_pool_forward(
          y.pointer + item * to.count, index + item * to.count, x.pointer + item * from.count,
          shape, range.lowerBound, range.upperBound, to.channels)
      }
    }
  }

  func backward(_ pass: BackwardPass) {
    guard let gradient = pass.inputGradients[0] else { return }
    let upstream = pass.outputGradient
    let (inputs, outputs) = (Volumes(gradient.shape), Volumes(upstream.shape))
    let index = UnsafeMutableRawPointer(pass.saved)
      .bindMemory(to: Int32.self, capacity: upstream.count)
    let shape = windows.kernelShape(gradient.shape, upstream.shape)
    inputs.forEachRange(cost: 4, pass.workers) { item, range in
      withUnsafePointer(to: shape) { shape in
        k_max_pool_backward(
          gradient.pointer + item * inputs.count, upstream.pointer + item * outputs.count,
          index + item * outputs.count, shape, false, range.lowerBound, range.upperBound,
          inputs.channels)
      }
    }
  }
}

/// The mean of each window; in inference plans, if wanted, its ReLU.
///
/// Inputs: x and, if there is one, a shift `[C]` of the means before their ReLU.
struct AveragePool: Operation {
  let windows: PoolingWindows
  let countsPadding: Bool
  /// Whether means are rectified; such an operation has no gradient.
  var isRectified = false
  /// Whether rectified means are shifted before.
  var hasShift = false

  var kind: OperationKind { .averagePool }
  var backwardReads: BackwardReads { .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape { windows.outputShape("averagePool", inputs[0]) }

  func forward(_ pass: ForwardPass) {
    let (x, y) = (pass.inputs[0], pass.output)
    let (from, to) = (Volumes(x.shape), Volumes(y.shape))
    let shape = windows.kernelShape(x.shape, y.shape)
    to.forEachRange(cost: windows.taps, pass.workers) { item, range in
      withUnsafePointer(to: shape) { shape in
        let means = y.pointer + item * to.count
        k_average_pool_forward(
          means, x.pointer + item * from.count, shape, countsPadding, range.lowerBound,
          range.upperBound, to.channels)
        guard isRectified else { return }
        let first = means + range.lowerBound * to.channels
        if hasShift {
          k_shifted_relu_rows(
            first, to.channels, first, pass.inputs[1].pointer, range.count, to.channels)
        } else {
          k_unary_forward(first, first, K_UNARY_RELU, 0, range.count * to.channels)
        }
      }
    }
  }

  func backward(_ pass: BackwardPass) {
    precondition(!isRectified, "\(kind): rectified, which belongs into plans")
    guard let gradient = pass.inputGradients[0] else { return }
    let upstream = pass.outputGradient
    let (inputs, outputs) = (Volumes(gradient.shape), Volumes(upstream.shape))
    let shape = windows.kernelShape(gradient.shape, upstream.shape)
    inputs.forEachRange(cost: 4, pass.workers) { item, range in
      withUnsafePointer(to: shape) { shape in
        k_average_pool_backward(
          gradient.pointer + item * inputs.count, upstream.pointer + item * outputs.count, shape,
          countsPadding, false, range.lowerBound, range.upperBound, inputs.channels)
      }
    }
  }
}

extension Tensor {
  /// The largest element of each window of `[N, ..., C]`; the first of equal ones gets the gradient.
  ///
  /// Arrays have one number per spatial axis, or one for all. The stride is the kernel's size if nil;
  /// windows that do not fit completely are left out. Padding never wins.
  public func maxPooled(kernel: [Int], stride: [Int]? = nil, padding: [Int] = [0]) -> Tensor {
    Tensor.apply(MaxPool(windows: windows("maxPool", kernel, stride, padding)), [self])
  }

  /// The mean of each window of `[N, ..., C]`.
  ///
  /// Arrays are as in ``maxPooled(kernel:stride:padding:)``. Zero padding counts as elements of a
  /// window unless `countsPadding` is false.
  public func averagePooled(
    kernel: [Int], stride: [Int]? = nil, padding: [Int] = [0], countsPadding: Bool = true
  ) -> Tensor {
    let windows = windows("averagePool", kernel, stride, padding)
    return Tensor.apply(AveragePool(windows: windows, countsPadding: countsPadding), [self])
  }

  private func windows(
    _ name: String, _ kernel: [Int], _ stride: [Int]?, _ padding: [Int]
  ) -> PoolingWindows {
    let rank = SpatialSizes.of(shape, name).count
    return PoolingWindows(
      kernel: SpatialSizes.expanded(kernel, to: rank, name, "kernel"),
      stride: SpatialSizes.expanded(stride ?? kernel, to: rank, name, "stride"),
      padding: SpatialSizes.expanded(padding, to: rank, name, "padding"))
  }
}
