import Kernels

/// Convolution of `[N, H, W, C]` with a kernel of its own at every position.
///
/// Inputs: x, and weight `[N, H, W, C / group · k²]` with the k² taps of each group of channels side by
/// side. Stride 1, zeros outside, same size.
struct AdaptiveConvolution: Operation {
  let kernel: Int
  let group: Int

  var kind: OperationKind { .adaptiveConvolution }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let (x, weight) = (inputs[0], inputs[1])
    precondition(
      x.rank == 4 && kernel % 2 == 1 && kernel > 0 && group > 0 && x.channels % group == 0
        && weight == x.replacing(axis: 3, with: x.channels / group * kernel * kernel),
      """
      adaptiveConvolution: x \(x), weight \(weight), expected [N, H, W, C] and \
      [N, H, W, C / \(group) · \(kernel)²] with an odd kernel
      """)
    return x
  }

  private func forEach(
    _ x: Shape, _ workers: WorkerPool,
    _ body: (_ x: Int, _ weight: Int, _ rows: Range<Int>) -> Void
  ) {
    let (height, width, c) = (x[1], x[2], x[3])
    let perChunk = max(1, ElementChunks.elements / max(1, width * c))
    let chunks = (height + perChunk - 1) / perChunk
    let weights = c / group * kernel * kernel
    workers.run(chunks: x[0] * chunks) { chunk in
      let (item, first) = (chunk / chunks, chunk % chunks * perChunk)
      body(
        item * height * width * c, item * height * width * weights,
        first..<min(height, first + perChunk))
    }
  }

  func forward(_ pass: ForwardPass) {
    let shape = pass.output.shape
    let (x, w, y) = (pass.inputs[0].pointer, pass.inputs[1].pointer, pass.output.pointer)
    forEach(shape, pass.workers) { image, weight, rows in
      k_adaptive_forward(
        y + image, x + image, w + weight, kernel, group, rows.lowerBound, rows.upperBound,
        shape[1], shape[2], shape[3])
    }
  }

  func backward(_ pass: BackwardPass) {
    let shape = pass.shapes[0]
    let (x, w) = (pass.input(0).pointer, pass.input(1).pointer)
    let dy = pass.outputGradient.pointer
    let (dx, dw) = (pass.inputGradients[0]?.pointer, pass.inputGradients[1]?.pointer)
    forEach(shape, pass.workers) { image, weight, rows in
      if let dx {
        k_adaptive_input_gradient(
          dx + image, dy + image, w + weight, kernel, group, rows.lowerBound, rows.upperBound,
          shape[1], shape[2], shape[3])
      }
      if let dw {
        k_adaptive_weight_gradient(
          dw + weight, dy + image, x + image, kernel, group, rows.lowerBound, rows.upperBound,
          shape[1], shape[2], shape[3])
      }
    }
  }
}

extension Tensor {
  /// This image `[N, H, W, C]` convolved at every position with the kernel that stands there.
  ///
  /// - Parameters:
  ///   - weight: `[N, H, W, C / group · k²]`: for each group of neighbouring channels k² taps, row by
  ///     row.
  ///   - kernel: k, odd.
  ///   - group: Channels that share a kernel.
  /// - Returns: `[N, H, W, C]`; positions outside the image count as 0.
  ///
  /// Source: Wang et al., *LSNet: See Large, Focus Small*, CVPR 2025, §3.2.
  public func adaptivelyConvolved(with weight: Tensor, kernel: Int, group: Int) -> Tensor {
    Tensor.apply(AdaptiveConvolution(kernel: kernel, group: group), [self, weight])
  }
}
