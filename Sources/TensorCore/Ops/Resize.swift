import Kernels

/// How ``Tensor/resized(to:mode:)`` finds values between samples.
public enum ResizeMode: Hashable, Sendable {
  /// The sample at `⌊output · input size / output size⌋`.
  case nearest
  /// Linear along each axis.
  ///
  /// With aligned corners the centres of the first and last samples coincide in input and output; else
  /// samples are pixels of equal extent, and the outermost ones continue to the border.
  case linear(alignCorners: Bool)
}

/// Resamples the spatial axes of `[N, ..., C]` to other sizes.
struct Resize: Operation {
  let sizes: [Int]
  let mode: ResizeMode

  var kind: OperationKind { .resize }
  var backwardReads: BackwardReads { .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let input = SpatialSizes.of(inputs[0], "resize")
    precondition(
      sizes.count == input.count && (input + sizes).allSatisfy { $0 > 0 },
      "resize: \(inputs[0]) to \(sizes)")
    return Shape([inputs[0].dimensions[0]] + sizes + [inputs[0].channels])
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    // Tables of 32-bit numbers: two per output index and one per input index and axis, with axes of
    // size 1 where there are fewer than three.
    let input = SpatialSizes.of(inputs[0], "resize")
    return 2 * sizes.reduce(0, +) + input.reduce(0) { $0 + $1 + 1 } + (3 - sizes.count) * 4
  }

  /// Fills the tables in `scratch`.
  private func plan(_ input: Shape, _ scratch: UnsafeMutablePointer<Float>) -> k_resize {
    var next = scratch
    func integers(_ count: Int) -> UnsafeMutablePointer<Int32> {
      defer { next += count }
      return UnsafeMutableRawPointer(next).bindMemory(to: Int32.self, capacity: count)
    }
    let kernelMode =
      switch mode {
      case .nearest: K_RESIZE_NEAREST
      case .linear(alignCorners: false): K_RESIZE_LINEAR
      case .linear(alignCorners: true): K_RESIZE_LINEAR_CORNERS
      }
    let axes = (0..<3).map { position -> k_resize_axis in
      let axis = position - (3 - sizes.count)
      let (from, to) = axis < 0 ? (1, 1) : (input.dimensions[axis + 1], sizes[axis])
      let low = integers(to)
      let first = integers(from + 1)
      let fraction = next
      next += to
      k_resize_plan(low, fraction, first, kernelMode, Float(from) / Float(to), from, to)
      return k_resize_axis(input: from, output: to, low: low, fraction: fraction, first: first)
    }
    return k_resize(depth: axes[0], height: axes[1], width: axes[2])
  }

  func forward(_ pass: ForwardPass) {
    let (x, y) = (pass.inputs[0], pass.output)
    let (from, to) = (Volumes(x.shape), Volumes(y.shape))
    let plan = plan(x.shape, pass.scratch)
    to.forEachRange(cost: 2, pass.workers) { item, range in
      withUnsafePointer(to: plan) { plan in
        k_resize_forward(
          y.pointer + item * to.count, x.pointer + item * from.count, plan, range.lowerBound,
          range.upperBound, to.channels)
      }
    }
  }

  func backward(_ pass: BackwardPass) {
    guard let gradient = pass.inputGradients[0] else { return }
    let upstream = pass.outputGradient
    let (inputs, outputs) = (Volumes(gradient.shape), Volumes(upstream.shape))
    let plan = plan(gradient.shape, pass.scratch)
    inputs.forEachRange(cost: max(1, outputs.count / max(1, inputs.count)), pass.workers) {
      item, range in
      withUnsafePointer(to: plan) { plan in
        k_resize_backward(
          gradient.pointer + item * inputs.count, upstream.pointer + item * outputs.count, plan,
          false, range.lowerBound, range.upperBound, inputs.channels)
      }
    }
  }
}

extension Tensor {
  /// The spatial axes of `[N, ..., C]` resampled to `sizes`, outermost axis first.
  public func resized(to sizes: [Int], mode: ResizeMode) -> Tensor {
    if sizes == SpatialSizes.of(shape, "resize") { return self }
    return Tensor.apply(Resize(sizes: sizes, mode: mode), [self])
  }
}
